"""The MLflow run of a night's visits: one per night, reopened by every run of `score-visit` that has news of it."""

from typing import TYPE_CHECKING, Any

from tasks.inbox.deliveries import Delivery
from tasks.runtime.provenance import code_version
from tasks.runtime.workspace import Workspace
from tasks.store.schema import REALBOGUS
from tasks.tracking.mlflow_runs import open_run, runs_tagged
from tasks.visits.records import VisitRecord

if TYPE_CHECKING:
    from tasks.visits.night_tables import NightTables

KIND = "visits"


def record_night(
    workspace: Workspace,
    night: str,
    records: list[VisitRecord],
    waiting: list[Delivery],
    tables: "NightTables | None",
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
    scored = [record for record in records if record.state == "scored"]
    metrics: dict[str, float | None] = {
        "visits": len(records),
        "scored": len(scored),
        "rejected": len(records) - len(scored),
        "waiting": len(waiting),
        "oldest_waiting_s": max((max(0.0, now - visit.first_seen) for visit in waiting), default=0.0),
        "latency_s": max((record.finished_at - record.first_seen for record in scored), default=None),
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
