"""Training any problem's classifier, cross-validation, and what every evaluation records.

Each problem derives its `TrainingTask` in `tasks.galaxies` or `tasks.candidates`; the fit is in `tasks.learning`.
"""
