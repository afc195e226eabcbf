"""The environment of a process: workspace, Dask cluster, logs, progress bars, memory allocator, code version.

Nothing here knows datasets, models or a problem.
"""
