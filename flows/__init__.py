"""Prefect flows, one file and one deployment each; the `starloom` command is in `cli`.

A flow reads as its graph. No array maths, no file formats, no `@task` definitions.
"""
