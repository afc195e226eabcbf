"""Networks for galaxy images, their layers, augmentation, presets, and the baselines they have to beat.

Images are (n, height, width, 3) uint8. How a network is fitted is in `tasks.learning`.
"""
