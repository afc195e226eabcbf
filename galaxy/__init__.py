"""Galaxy morphology: catalogue rows, schemes, cutouts, networks, simulation.

Bytes, tables and arrays in and out; angles in degrees or arcsec, as named.
"""
