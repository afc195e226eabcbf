"""The error atlas: what a galaxy classifier confuses, and where its error rate rises.

What every evaluation measures is in `tasks.galaxies.metrics`; shapes are measured in `galaxy.images.shapes`.
"""
