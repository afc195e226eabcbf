"""Bringing the databases of a workspace to the schema of the installed programs."""
