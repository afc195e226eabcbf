"""Networks for galaxy images, their settings, layers and augmentation, and the baselines they have to beat.

Images are (n, height, width, 3) uint8. Presets are in `tasks.galaxies`, the fit is in `tasks.learning`.
"""
