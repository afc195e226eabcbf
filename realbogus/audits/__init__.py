"""Audits of a simulated or injected dataset: true origins, difficulty, and features that give the label away.

It contains checks and the measurements they need; the data are made in `simulation`, `injection` and `subtraction`.
"""
