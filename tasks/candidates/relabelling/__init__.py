"""Relabelling of candidates: suspect labels, recurrence over visits, the second training."""
