"""Labels from votes and class strings: declarative class schemes and the vote fractions that they read.

The shipped schemes are the TOML files of ``galaxy/schemes``.
"""
