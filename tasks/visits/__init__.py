"""Scoring visits as they arrive, and candidates as detections of one place over all their visits.

`tasks.inbox` says which visits are complete, `tasks.candidates.building.collect` finds the detections, `tasks.night`
scores them. Angles are in degrees or, where named so, arcseconds; epochs are MJD, UTC.
"""
