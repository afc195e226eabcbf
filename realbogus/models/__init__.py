"""Networks for triplets, their settings, layers, losses and augmentation; baselines and label noise.

Triplets are (n, y, x, 3) float32: new, reference, difference. Presets are in `tasks.candidates`, the fit is in
`tasks.learning`.
"""
