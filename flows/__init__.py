"""Prefect flows, one deployment a file, and the `starloom` command. No array maths, no file formats."""
