"""Processes that outlive a command: the Prefect server, the services of `starloom up`, file locks, flow runs.

The simulated cutout service is in `tasks.skyserver`.
"""
