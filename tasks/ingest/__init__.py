"""Catalogues of galaxies made of published tables in one pass over their rows; every column and row accounted for.

Not here: what a column means (`galaxy.catalogue`), how table files are read (`tasks.tables`), what a build does with a
catalogue (`tasks.galaxies`).
"""
