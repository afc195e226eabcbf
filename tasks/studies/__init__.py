"""Studies of many trainings: their rows, resumable and reported; relabelling, surveys of label errors, give-aways.

A single training is in `tasks.training` and `tasks.candidates`.
"""
