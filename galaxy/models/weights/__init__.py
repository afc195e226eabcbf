"""Weights to start a fit from: files as other programs publish them, their layouts, and their transfer to a network.

Files are read without running any code that they hold: no pickle but a torch file's, whose unpickler knows three names.
"""
