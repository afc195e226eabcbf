"""Thin Prefect tasks: call a plain function of the subject's folder and return a reference or a small report.

No rules, no arrays: these are in the folder of their subject. A module has at most 80 lines.
"""
