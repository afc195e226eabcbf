"""Scoring visits as they arrive, and candidates as detections of one place over all their visits."""
