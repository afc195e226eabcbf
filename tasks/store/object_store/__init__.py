"""Datasets on an S3-compatible object store: its objects, versions published without a rename, who is at work there."""
