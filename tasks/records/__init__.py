"""How the tables of real/bogus sources and of known objects are opened, with the one table of synonyms.

Not here: what a source is (`realbogus.sources`), and how table files are read (`tasks.tables`).
"""
