"""A simulated survey: sky, scene, optics, camera, exposures, and the hidden truth of every source.

It imports nothing from `injection`, `psf` or `subtraction`, so those are tested on data that they did not make.
Images are (y, x) float32 in counts; positions are pixels, 0 at the centre of the first pixel.
"""
