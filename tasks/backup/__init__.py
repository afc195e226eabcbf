"""Copies of a workspace in dated folders, and a workspace made of one of them.

The workspace may be in use while it is copied. No Prefect and no MLflow: a backup starts no server.
"""
