"""The dataset on disk: pixels in Zarr, ledger, labels, versions, raw bytes, staging; its format is in README.md.

It knows neither what a sample is nor how a dataset is built; columns as arrays and hashing into shares are here.
"""
