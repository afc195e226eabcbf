"""The dataset on disk: pixels in Zarr, ledger, versions, raw bytes, staging. The format is in README.md."""
