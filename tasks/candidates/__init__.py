"""Datasets, training and evaluation of transient candidates. File names are those of `tasks.galaxies`.

It imports nothing from `tasks.galaxies`. What a candidate is, in arrays and tables, is in `realbogus`.
"""
