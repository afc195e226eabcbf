"""The patch of sky that a cutout shows, how a service is asked for it, and how received bytes become a sample.

Images are (height, width, 3) uint8, north up. Fetching is in `tasks`; drawn images are in `galaxy.simulation`.
"""
