"""What a process runs in: workspace, Dask cluster, logs, progress bars, memory allocator, version of the code.

Nothing here knows datasets, models or a problem.
"""
