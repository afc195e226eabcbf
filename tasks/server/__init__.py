"""Processes that outlive a command: the Prefect server, `starloom up`, liveness by file locks, flow runs.

The stand-in cutout service is in `tasks.skyserver`.
"""
