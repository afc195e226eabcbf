"""Training any problem's classifier, cross-validation, and what every evaluation records.

What a problem brings is its `TrainingTask`, in `tasks.galaxies` or `tasks.candidates`; the fit is in `tasks.learning`.
"""
