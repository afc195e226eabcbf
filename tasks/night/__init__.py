"""Scoring a night of candidates: sources, models, scores in blocks, decisions, the operations figure, the page.

Simulated nights are drawn here too. Training is in `tasks.training`, running a model in `tasks.learning`.
"""
