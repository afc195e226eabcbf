"""Datasets, training and evaluation of galaxies. File names are those of `tasks.candidates`.

It imports nothing from `tasks.candidates`. What a galaxy is, in arrays and tables, is in `galaxy`.
"""
