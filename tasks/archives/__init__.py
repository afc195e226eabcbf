"""Images in a folder or zip: which file belongs to an object, and its bytes or the reason why they cannot be read.

What an image is, is in `galaxy.images`; whose images are wanted, in `tasks.galaxies` and `tasks.predictions`.
"""
