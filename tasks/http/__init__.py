"""Asking other services politely: retries, backoff, downloads that resume, a rate budget shared by all processes.

What is asked of which service is in `tasks.galaxies`.
"""
