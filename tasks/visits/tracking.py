"""The MLflow run of a night's visits: one per night, reopened by every run of `score-visit` that has news of it."""

from typing import Any

from tasks.inbox.deliveries import Delivery
from tasks.runtime.provenance import code_version
from tasks.runtime.workspace import Workspace
from tasks.store.schema import REALBOGUS
from tasks.tracking.mlflow_runs import open_run, runs_tagged
from tasks.visits.night_tables import NightTables
from tasks.visits.records import VisitRecord
from tasks.visits.run_summary import latencies

KIND = "visits"


def record_night(
    workspace: Workspace,
    night: str,
    records: list[VisitRecord],
    waiting: list[Delivery],
    tables: NightTables | None,
    now: float,
) -> None:
    """Record what a run did with a night's visits.

    Parameters
    ----------
    workspace : Workspace
    night : str
    records : list of VisitRecord
        Of this run and night.
    waiting : list of Delivery
        The night's visits that are not scored as they are.
    tables : NightTables or None
        None where they have not changed.
    now : float
        Unix time.
    """
    scored = sum(record.state == "scored" for record in records)
    metrics: dict[str, float | None] = {
        "visits": len(records),
        "scored": scored,
        "rejected": len(records) - scored,
        "waiting": len(waiting),
        "oldest_waiting_s": max((max(0.0, now - visit.first_seen) for visit in waiting), default=0.0),
        **latencies(records),
        "candidates": None if tables is None else tables.count,
        "selected": None if tables is None else tables.selected,
    }
    tags: dict[str, Any] = {"kind": KIND, "night": night, "code_version": code_version()}
    if records:
        tags |= {"model": records[-1].model, "threshold_version": records[-1].threshold_version}
    earlier = runs_tagged(workspace, REALBOGUS, {"kind": KIND, "night": night})
    with open_run(
        workspace,
        problem=REALBOGUS,
        run_name=f"visits {night}",
        params={},
        tags=tags,
        dataset=None,
        run_id=earlier[0] if earlier else None,
    ) as run:
        run.log_metrics(metrics, step=int(now))
