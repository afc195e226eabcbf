"""What builds and nights share of real/bogus records: how their tables are opened, kept readings, repeated candidates.

Not here: what a source is (`realbogus.sources`), and how table files are read (`tasks.tables`).
"""
