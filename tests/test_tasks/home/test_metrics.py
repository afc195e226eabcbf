"""Metrics: a reader of Prometheus understands them, they say what the state says, and their names are documented."""

import re
from datetime import timedelta
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tasks.decisions.ledger import append
from tasks.home.app import create_app
from tasks.home.metrics import VerdictCounter, metrics_of, metrics_text
from tasks.home.status import QueueStatus, WorkspaceStatus
from tasks.home.status_reader import StatusReader
from tasks.runtime.workspace import Workspace
from tests.served_pages import served
from tests.small_home import NIGHTS, RATES, decision

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "metrics.md"
Values = dict[tuple[str, frozenset[tuple[str, str]]], float]


def values_of(text: str) -> Values:
    """Return the samples by name and labels, as Prometheus's own parser reads them."""
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    found = {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}
    assert len(found) == len(samples)
    return found


def value(values: Values, metric: str, /, **labels: str) -> float:
    return values[f"starloom_{metric}", frozenset(labels.items())]


def test_they_say_what_the_state_says(filled: Workspace, status: WorkspaceStatus) -> None:
    with served(create_app(filled)) as address, httpx.Client(base_url=address, timeout=30) as client:
        reply = client.get("/metrics")
    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    values = values_of(reply.text)
    assert {value(values, "service_up", service=row.name) for row in status.services.rows} == {0}
    sky = next(row for row in status.datasets.rows if row.name == "sky")
    assert value(values, "dataset_stored", dataset="sky") == sky.stored
    assert value(values, "dataset_asked", dataset="sky") == sky.stored + sum(sky.rejected.values())
    assert sky.rejected
    for reason, count in sky.rejected.items():
        assert value(values, "dataset_rejected", dataset="sky", reason=reason) == count
    assert value(values, "night_ingested", dataset="nightly") == 138 + NIGHTS - 1
    assert value(values, "night_rejected", dataset="nightly", reason="nan_plane") == 5
    assert value(values, "night_drifted", dataset="nightly") == 1
    assert {name: value(values, "night_efficiency", dataset="nightly", rate=name) for name in RATES} == RATES
    assert value(values, "queue_answered", dataset="night-2026-11-28", queue="random") == 3
    assert value(values, "queue_oldest_unanswered_seconds", dataset="night-2026-11-28", queue="random") > 0
    assert [value(values, "decisions", name="realbogus", verdict=word) for word in ("HOLD", "REJECT", "PROMOTE")] == [
        1
    ] * 3
    assert value(values, "disk_free_bytes") > 0
    assert value(values, "disk_used_bytes", folder="datasets") > 0
    assert not any("night-2026-11-28" in dict(labels).values() for name, labels in values if "dataset_" in name)


def test_ages_count_from_what_happened(status: WorkspaceStatus) -> None:
    scored = status.scorings.rows[0].scored_at
    later = status.model_copy(update={"at": scored + timedelta(hours=2)})
    assert value(values_of(metrics_text(later, {})), "last_scoring_seconds") == 7200
    queue = QueueStatus(
        dataset="d", name="q", source="s", items=2, answered=1, opened_at=scored, labellers=(), path=None
    )
    rows = (queue, queue.model_copy(update={"name": "done", "answered": 2}))
    asked = later.model_copy(update={"queues": status.queues.model_copy(update={"rows": rows})})
    values = values_of(metrics_text(asked, {}))
    assert value(values, "queue_oldest_unanswered_seconds", dataset="d", queue="q") == 7200
    assert value(values, "queue_oldest_unanswered_seconds", dataset="d", queue="done") == 0


def test_any_text_may_be_a_label(status: WorkspaceStatus) -> None:
    name = 'a "b" \\ c\nd'
    assert value(values_of(metrics_text(status, {(name, "HOLD"): 2})), "decisions", name=name, verdict="HOLD") == 2


def test_a_decision_is_counted_once(own: Workspace) -> None:
    counter = VerdictCounter(own)
    assert counter.read() == counter.read()
    append(own, decision(3, "HOLD"))
    assert counter.read() == {("realbogus", "HOLD"): 2, ("realbogus", "REJECT"): 1, ("realbogus", "PROMOTE"): 1}


def test_an_empty_workspace_has_no_sample_of_what_is_not_there(workspace: Workspace) -> None:
    names = {name for name, _ in values_of(metrics_text(StatusReader(workspace).read(), {}))}
    assert names == {"starloom_service_up", "starloom_faults"}


def test_the_page_has_every_metric_with_its_labels(status: WorkspaceStatus) -> None:
    told = dict(re.findall(r"^\| `starloom_(\w+)` \| *([^|]*?) *\|", PAGE.read_text(encoding="utf-8"), re.M))
    metrics = {metric.name: metric for metric in metrics_of(status, {("realbogus", "HOLD"): 1})}
    assert set(told) == set(metrics)
    for name, metric in metrics.items():
        assert metric.samples
        assert re.findall(r"`(\w+)`", told[name]) == list(metric.samples[0][0])
