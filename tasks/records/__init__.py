"""How the tables of real/bogus sources are opened for builds and for nights, with the one table of synonyms.

Not here: what a source is (`realbogus.sources`), and how table files are read (`tasks.tables`).
"""
