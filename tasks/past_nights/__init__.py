"""Nights that were scored before: which are stale, scored or decided anew, and what two models decide differently.

Scoring itself is in `tasks.night`.
"""
