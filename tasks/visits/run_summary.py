"""What a run of `score-visit` has done, and its summary."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from tasks.inbox.deliveries import Delivery
from tasks.visits.night_tables import NightTables, counted
from tasks.visits.records import VisitRecord


@dataclass
class Drained:
    """What a run has done so far.

    Attributes
    ----------
    inbox : Path
    records : list of VisitRecord
        Of this run, in the order of scoring.
    tables : dict of NightTables
        Of the nights that it worked on.
    ignored : dict of str
        Entries of the inbox that are no nights or visits, with the reason.
    waiting : list of Delivery
        Visits that are not scored as they are.
    """

    inbox: Path
    records: list[VisitRecord] = field(default_factory=list)
    tables: dict[str, NightTables] = field(default_factory=dict)
    ignored: dict[str, str] = field(default_factory=dict)
    waiting: list[Delivery] = field(default_factory=list)


def summarise(run: Drained, seconds: float) -> dict[str, Any]:
    """Return the summary of a run.

    ``visits`` = ``scored`` + the sum of ``rejected``. ``path`` is the newest night's table of candidates, None where
    there is none. ``oldest_waiting_s`` is None where nothing waits.
    """
    records = run.records
    return {
        **_tables(run),
        **_visits(records),
        **_waiting(run.waiting),
        **latencies(records),
        "ignored": run.ignored,
        "model": records[-1].model if records else None,
        "threshold_version": records[-1].threshold_version if records else None,
        "seconds": round(seconds, 1),
        "seconds_per_visit": round(seconds / len(records), 2) if records else None,
    }


def latencies(records: Sequence[VisitRecord]) -> dict[str, float | None]:
    """Return the seconds from the arrival of a visit to its scores: their median, and the longest."""
    seconds = [max(0.0, each.finished_at - each.first_seen) for each in records if each.state == "scored"]
    return {
        "latency_s": round(median(seconds), 1) if seconds else None,
        "longest_latency_s": round(max(seconds), 1) if seconds else None,
    }


def _tables(run: Drained) -> dict[str, Any]:
    tables = [run.tables[night] for night in sorted(run.tables)]
    return {
        "path": str(tables[-1].candidates) if tables else None,
        "inbox": str(run.inbox),
        "nights": {night: str(run.tables[night].detections) for night in sorted(run.tables)},
        "candidates": sum(each.count for each in tables),
        "moving": sum(each.moving for each in tables),
        "selected": sum(each.selected for each in tables),
    }


def _visits(records: Sequence[VisitRecord]) -> dict[str, Any]:
    scored = [record for record in records if record.state == "scored"]
    return {
        "visits": len(records),
        "scored": len(scored),
        "rejected": counted(records),
        "revised": sum(record.revision > 1 for record in records),
        "detections": sum(record.detections for record in scored),
    }


def _waiting(visits: Sequence[Delivery]) -> dict[str, Any]:
    now = time.time()
    ages = [max(0.0, now - visit.first_seen) for visit in visits]
    return {
        "waiting": len(visits),
        "why_waiting": {f"{visit.night}/{visit.name}": visit.waiting or "not taken yet" for visit in visits},
        "oldest_waiting_s": round(max(ages), 1) if ages else None,
    }
