"""Networks for triplets, their layers, losses, augmentation, presets, baselines, label noise and suspects.

Triplets are (n, y, x, 3) float32: new, reference, difference. Fitting itself is in `tasks.learning`.
"""
