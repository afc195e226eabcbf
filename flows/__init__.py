"""Prefect flows, one file and one deployment each, and the `starloom` command. No array maths, no file formats."""
