"""What every dataset build does between collecting and a published version: plan, validate, group, split, publish.

What only one problem knows is in `tasks.galaxies` and `tasks.candidates`; the format on disk is in `tasks.store`.
"""
