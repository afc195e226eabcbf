"""From published tables to one typed catalogue: recognising, joining, converting, removing duplicates, writing.

Columns have their unit in their name; positions are ICRS degrees. Class schemes and votes are in `galaxy.labels`.
"""
