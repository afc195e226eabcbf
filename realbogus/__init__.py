"""Real/bogus classification of transients: survey frames, injection, subtraction, detection, triplets.

Bytes, tables and arrays in and out. Images are (y, x); a position (x, y) is in pixels, 0-based, with the
centre of the first pixel at (0, 0). Pixel values are counts, fluxes counts above the background.
"""
