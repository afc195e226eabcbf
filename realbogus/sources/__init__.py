"""Readers of external data: FITS frames and pairs, triplet arrays, alert packets, the published set, known objects.

Bytes and tables in, records and arrays out; fetching and staging are in `tasks.candidates`.
"""
