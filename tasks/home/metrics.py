"""The state of a workspace as metrics of Prometheus, in its text format; `docs/reference/metrics.md` has their names.

A metric whose value is not known, as before the first night, has no sample.
"""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from tasks.decisions.ledger import rows_behind
from tasks.home.nights import EFFICIENCY
from tasks.home.status import WorkspaceStatus
from tasks.runtime.workspace import Workspace

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_START = "starloom_"
_RATES = {text: name for name, text in EFFICIENCY.items()}
_DRIFTED = {"drifted": 1.0, "quiet": 0.0}
"""By verdict; another one found nothing to compare the night with."""

Labels = Mapping[str, str]
Sample = tuple[Labels, float | None]
VerdictCounts = Mapping[tuple[str, str], int]
"""Number of decisions by registered name and verdict."""


@dataclass(frozen=True)
class Metric:
    """A metric with its samples; all are gauges: each is a state, and the workspace may be replaced by an older one."""

    name: str
    text: str
    samples: tuple[Sample, ...]


@dataclass
class VerdictCounter:
    """Counts the decisions of a workspace; a row is read once. Threads may share it."""

    workspace: Workspace
    _last: int = 0
    _counts: dict[tuple[str, str], int] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def read(self) -> VerdictCounts:
        """Return the counts of all rows that can be read."""
        with self._lock:
            rows, _ = rows_behind(self.workspace, self._last)
            for row in rows:
                key = row.name, row.verdict
                self._counts[key] = self._counts.get(key, 0) + 1
                self._last = row.sequence
            return self._counts.copy()


def metrics_text(status: WorkspaceStatus, verdicts: VerdictCounts) -> str:
    """Return all metrics of a state as text."""
    return "".join(line for metric in metrics_of(status, verdicts) for line in _lines(metric))


def metrics_of(status: WorkspaceStatus, verdicts: VerdictCounts) -> list[Metric]:
    """Return all metrics of a state, those without a sample too."""
    return [
        *_state_metrics(status),
        *_queue_metrics(status),
        *_dataset_metrics(status),
        *_night_metrics(status),
        Metric(
            "decisions",
            "Decisions by verdict",
            tuple(({"name": name, "verdict": verdict}, count) for (name, verdict), count in sorted(verdicts.items())),
        ),
    ]


def _state_metrics(status: WorkspaceStatus) -> Iterable[Metric]:
    services = (({"service": row.name}, float(row.state == "running")) for row in status.services.rows)
    yield Metric("service_up", "Whether a service runs", tuple(services))
    faults = (({"section": name}, len(getattr(status, name).faults)) for name in _sections(status))
    yield Metric("faults", "What of a section could not be read", tuple(faults))
    yield Metric("disk_free_bytes", "Free space on the disk of the workspace", (({}, status.disk.free),))
    used = (({"folder": row.name}, row.size) for row in status.disk.rows)
    yield Metric("disk_used_bytes", "Size of a folder of the workspace", tuple(used))


def _queue_metrics(status: WorkspaceStatus) -> Iterable[Metric]:
    named = [({"dataset": row.dataset, "queue": row.name}, row) for row in status.queues.rows]
    yield Metric("queue_items", "Samples of a queue of labels", tuple((name, row.items) for name, row in named))
    yield Metric(
        "queue_answered",
        "Samples of a queue that somebody answered",
        tuple((name, row.answered) for name, row in named),
    )
    ages = ((name, 0.0 if row.answered >= row.items else _age_s(status, row.opened_at)) for name, row in named)
    yield Metric(
        "queue_oldest_unanswered_seconds", "Age of the oldest sample without an answer, 0 if none", tuple(ages)
    )


def _dataset_metrics(status: WorkspaceStatus) -> Iterable[Metric]:
    published = [row for row in status.datasets.rows if row.version is not None and row.night is None]
    for name, text in (("version", "Published version"), ("stored", "Stored samples"), ("asked", "Samples asked for")):
        samples = tuple(({"dataset": row.name}, getattr(row, name)) for row in published)
        yield Metric(f"dataset_{name}", f"{text} of a dataset", samples)
    rejected = (
        ({"dataset": row.name, "reason": reason}, count) for row in published for reason, count in row.rejected.items()
    )
    yield Metric("dataset_rejected", "Rejected samples of the published version", tuple(rejected))


def _night_metrics(status: WorkspaceStatus) -> Iterable[Metric]:
    nights = [({"dataset": row.dataset}, row) for row in status.nights.rows if row.night is not None]
    for name in ("ingested", "scored", "selected"):
        counts = tuple((labels, getattr(row, name)) for labels, row in nights)
        yield Metric(f"night_{name}", f"Samples {name} in the newest night of a training set", counts)
    rejected = (
        (labels | {"reason": reason}, count) for labels, row in nights for reason, count in row.rejected.items()
    )
    yield Metric("night_rejected", "Samples rejected in the newest night", tuple(rejected))
    rates = (
        (labels | {"rate": _RATES[figure.name]}, figure.value) for labels, row in nights for figure in row.efficiency
    )
    yield Metric("night_efficiency", "Rate of injections in the newest night", tuple(rates))
    drifted = ((labels, _DRIFTED.get(row.drift or "")) for labels, row in nights)
    yield Metric("night_drifted", "Whether the newest night has drifted", tuple(drifted))
    newest = max((row.scored_at for row in status.scorings.rows), default=None)
    yield Metric("last_scoring_seconds", "Time since a night was scored", (({}, _age_s(status, newest)),))


def _sections(status: WorkspaceStatus) -> list[str]:
    return [name for name in type(status).model_fields if hasattr(getattr(status, name), "faults")]


def _age_s(status: WorkspaceStatus, since: datetime | None) -> float | None:
    return None if since is None else max(0.0, (status.at - since).total_seconds())


def _lines(metric: Metric) -> Iterable[str]:
    yield f"# HELP {_START}{metric.name} {metric.text}\n"
    yield f"# TYPE {_START}{metric.name} gauge\n"
    for labels, value in metric.samples:
        if value is not None:
            inner = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
            yield f"{_START}{metric.name}{f'{{{inner}}}' if inner else ''} {value:.12g}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
