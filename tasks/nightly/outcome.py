"""How a night ended: its summary, its record, its run in MLflow."""

import time
from collections.abc import Mapping
from typing import Any

from tasks.nightly.efficiency import STEPS
from tasks.nightly.night_record import NightRecord, State, open_record
from tasks.nightly.night_work import NightWork
from tasks.runtime.progress import SHOWN
from tasks.runtime.provenance import code_version
from tasks.runtime.run_log import run_logger
from tasks.tracking.mlflow_runs import open_run

NOTHING: dict[str, Any] = {
    "ingested": 0,
    "rejected": {},
    "scored": 0,
    "selected": 0,
    "efficiency": None,
    "drift": None,
    "labels": None,
    "label_version": None,
    "challenger": None,
    "champion": None,
    "decision": None,
    "reasons": [],
    "message": "",
}
"""Entries of a night's summary, with the values of a night on which nothing was done."""
SKY_FAULTS = frozenset({"no_psf", "no_kernel", "empty_frame", "not_injected", "no_level", "not_subtracted"})
"""Reasons for which a chip-visit shows too little of the sky; the others are faults of files or settings."""


def ingested(build: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of the summary on a build."""
    return {"ingested": build["stored"], "rejected": build["rejected"]}


def end_night(work: NightWork, record: NightRecord, summary: Mapping[str, Any], started: float) -> dict[str, Any]:
    """Record a night and return its summary.

    Parameters
    ----------
    work : NightWork
    record : NightRecord
    summary : mapping
        ``state`` may be absent: the night is done.
    started : float
        `time.monotonic` when its work began.
    """
    state: State = summary.get("state") or ("redelivered" if record.revision > 1 else "done")
    ended = {"night": work.night, **NOTHING, **summary, "state": state, "revision": record.revision}
    ended["message"] += drift_told(ended["drift"])
    ended["seconds"] = round(time.monotonic() - started, 1)
    level = run_logger().warning if state in ("failed", "set_aside", "waiting") else run_logger().info
    level("night %s: %s. %s", work.night, state, ended["message"], extra=SHOWN)
    _log_run(work, ended)
    record.finish(ended)
    return ended


def drift_told(drift: Mapping[str, Any] | None) -> str:
    """Return the largest drift of a night's summary as the end of a message; empty without one."""
    reasons = (drift or {}).get("reasons", [])
    if not reasons:
        return ""
    more = f" and {len(reasons) - 1} more" if len(reasons) > 1 else ""
    return f"; drift: {reasons[0]}{more}"


def fail_night(work: NightWork, error: Exception, started: float) -> dict[str, Any]:
    """Record a night that an error ended; its finished steps stay, and the next run takes it up again."""
    record = open_record(work.workspace, work.request.training_set, work.night)
    run_logger().error("night %s failed", work.night, exc_info=error)
    return end_night(work, record, {"state": "failed", "message": f"{type(error).__name__}: {error}"}, started)


def lost_night(work: NightWork, message: str, reasons: Mapping[str, int], started: float) -> dict[str, Any]:
    """Record a night of which no chip-visit could be worked on: clouds, if the sky is to blame, else a failure."""
    record = open_record(work.workspace, work.request.training_set, work.night)
    state = "clouds" if set(reasons) <= SKY_FAULTS else "failed"
    return end_night(work, record, {"state": state, "message": message, "rejected": dict(reasons)}, started)


def _log_run(work: NightWork, summary: Mapping[str, Any]) -> None:
    """Write the night's run in MLflow: its state and message as tags, its numbers as metrics."""
    metrics = {name: summary[name] for name in ("ingested", "scored", "selected", "seconds")}
    metrics["rejected"] = sum(summary["rejected"].values())
    metrics |= {f"efficiency_{step}": (summary["efficiency"] or {}).get(step) for step in STEPS}
    told = ("night", "state", "message", "label_version", "challenger", "champion", "decision")
    tags = {name: str(summary[name]) for name in told}
    with open_run(
        work.workspace,
        problem=work.request.problem,
        run_name=f"night {work.night}",
        params=work.request.model_dump(exclude_none=True),
        tags={"kind": "night", "code_version": code_version(), **tags},
        dataset=work.training_set() if work.has_training_set() else None,
    ) as run:
        run.log_metrics(metrics)
