"""Which patch of sky a cutout shows, how services are asked for it, and how received bytes become a sample.

Images are (height, width, 3) uint8, north up. Fetching is in `tasks`; drawn images are in `galaxy.simulation`.
"""
