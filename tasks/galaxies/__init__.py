"""Training and evaluation of galaxies. File names are those of `tasks.candidates`.

Dataset builds are in `building`, relabelling in `relabelling`, the error atlas in `atlas`. It imports nothing from
`tasks.candidates`. What a galaxy is, in arrays and tables, is in `galaxy`.
"""
