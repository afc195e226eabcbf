"""Stages that work on a night or a visit, or on nights that were scored before."""
