"""Thin Prefect tasks: load, call a pure function, save, return a reference (path, run id, small report)."""
