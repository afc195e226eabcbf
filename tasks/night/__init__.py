"""Scoring a night of candidates: sources of stamps, streaming scores, decisions, the operations figure, the report.

Models come from `tasks.tracking`; how they run is in `tasks.learning`.
"""
