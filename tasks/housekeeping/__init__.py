"""Housekeeping: what a workspace may forget to keep within its budget, and what it must keep."""
