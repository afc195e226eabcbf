"""`starloom serve-sky`: simulated cutout services on loopback, with rendered or recorded images.

The client that asks such services is in `tasks.http` and `tasks.galaxies`.
"""
