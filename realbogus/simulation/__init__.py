"""A simulated survey: sky, scene, optics, camera, exposures, and the hidden truth of every source.

It imports nothing from `injection`, `psf` or `subtraction`, so that what is tested on it is not what made it.
"""
