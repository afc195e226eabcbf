"""Classes of galaxies by a registered model, as tables, and their agreement with a published catalogue.

How a model is trained and evaluated is in `tasks.galaxies`; scores of candidates are in `tasks.night`.
"""
