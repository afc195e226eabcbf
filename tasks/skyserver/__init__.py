"""`starloom serve-sky`: a stand-in for the SDSS cutout service on loopback, rendered or replayed.

The client that asks such services is in `tasks.http` and `tasks.galaxies`.
"""
