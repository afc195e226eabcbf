"""HTTP towards other services: retry policy, backoff, downloads that resume, a request rate shared by all processes.

What is requested of which service is in `tasks.galaxies`; the server of simulated cutouts is in `tasks.skyserver`.
"""
