"""Validation suites as functions of the schema's constants, and the runner that touches Great Expectations.

Nothing here repairs data. The shares of a split are stated here, the lowest package that both sides import.
"""
