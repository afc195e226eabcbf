"""Relabelling galaxies and retraining: suspect labels, paired accuracies against the truth, the report."""
