"""The MLflow run of a night: one however often, each step with the counts of its run, and no metric of nothing."""

from pathlib import Path
from typing import Any

from mlflow.entities import Run

from tasks.inbox.deliveries import Delivery
from tasks.runtime.workspace import Workspace
from tasks.tracking.database import open_client
from tasks.visits.night_tables import NightTables
from tasks.visits.records import VisitRecord
from tasks.visits.tracking import KIND, record_night

NOW = 1_000_000.0


def record(number: int, night: str, **changes: Any) -> VisitRecord:
    fields = {"revision": 1, "order": number, "digest": "d", "state": "scored", "model": "realbogus/1"}
    return VisitRecord(night=night, visit=f"v{number}", **{**fields, **changes})


def waiting(night: str, since_s: float) -> Delivery:
    return Delivery(night, "w", Path("w"), "frames", (), first_seen=NOW - since_s)


def runs_of(workspace: Workspace, night: str) -> list[Run]:
    client = open_client(workspace)
    experiment = client.get_experiment_by_name("realbogus").experiment_id
    return list(client.search_runs([experiment], f"tags.kind = '{KIND}' and tags.night = '{night}'"))


def test_the_metrics_of_a_night_are_counted_by_hand(tracked_workspace: Workspace) -> None:
    night = "2026-10-01"
    records = [
        record(1, night, first_seen=NOW - 90, finished_at=NOW - 60),
        record(2, night, first_seen=NOW - 90, finished_at=NOW - 20),
        record(3, night, state="rejected", reason="corrupt", first_seen=NOW - 900, finished_at=NOW),
        record(4, night, state="duplicate", model="realbogus/2", threshold_version="tpr90"),
    ]
    tables = NightTables(night, Path("d"), Path("c"), 12, 5, 1)
    record_night(tracked_workspace, night, records, [waiting(night, 40), waiting(night, 700)], tables, NOW)
    (run,) = runs_of(tracked_workspace, night)
    assert run.info.run_name == f"visits {night}"
    assert run.data.metrics == {
        "visits": 4,
        "scored": 2,
        "rejected": 2,
        "waiting": 2,
        "oldest_waiting_s": 700,
        "latency_s": 50,
        "longest_latency_s": 70,
        "candidates": 12,
        "selected": 5,
    }
    assert (run.data.tags["model"], run.data.tags["threshold_version"]) == ("realbogus/2", "tpr90")


def test_a_night_that_only_waits_has_no_latency_no_tables_and_no_model(tracked_workspace: Workspace) -> None:
    night = "2026-10-02"
    record_night(tracked_workspace, night, [], [waiting(night, -5)], None, NOW)
    (run,) = runs_of(tracked_workspace, night)
    assert run.data.metrics == {"visits": 0, "scored": 0, "rejected": 0, "waiting": 1, "oldest_waiting_s": 0}
    assert not {"model", "threshold_version"} & {*run.data.tags}


def test_later_runs_go_on_with_the_night_s_run_and_another_night_has_its_own(tracked_workspace: Workspace) -> None:
    for night, times in (("2026-10-03", 3), ("2026-10-04", 1)):
        for number in range(times):
            records = [record(order, night) for order in range(number + 1)]
            record_night(tracked_workspace, night, records, [], None, NOW + 60 * number)
    (run,), (other,) = (runs_of(tracked_workspace, night) for night in ("2026-10-03", "2026-10-04"))
    assert run.info.run_id != other.info.run_id
    history = open_client(tracked_workspace).get_metric_history(run.info.run_id, "visits")
    assert [(metric.step, metric.value) for metric in history] == [
        (NOW + 60 * number, number + 1) for number in range(3)
    ]
