"""Where a queue comes from: scores of one or two models, suspects, a survey's sample, a night's queue, or chance."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.special import entr, expit

from tasks.decisions.labelling_queue import queue_path
from tasks.labelling.problems import problem_of
from tasks.labelling.queues import (
    GOLD_SHARE,
    OVERLAP,
    LabelQueue,
    LabelQueueError,
    QueueFacts,
    QueueSettings,
    mix_queue,
    queue_file,
    random_rows,
    rank_by,
    read_label_queue,
    samples_among,
    scores_of,
    write_label_queue,
)
from tasks.runtime.workspace import Workspace
from tasks.store.columns import align_column, to_float
from tasks.store.dataset import Dataset
from tasks.store.files import read_table
from tasks.store.schema import parse_reference
from tasks.store.versions import stored_rows
from tasks.training.registered_models import registered_name

QueueSource = Literal["random", "suspects", "disagreement", "entropy", "survey", "night"]
_CHANCES: frozenset[QueueSource] = frozenset({"random", "survey", "night"})
"""Sources from which rates are estimated: there a labeller must not be led."""
_SAMPLES: frozenset[QueueSource] = frozenset({"survey", "night"})
"""Sources whose rows were drawn elsewhere: a part of them is no sample."""


class QueueRequest(BaseModel):
    """A queue of a dataset, and what it is made of if it does not exist yet."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    queue: str = "random"
    source: QueueSource | None = None
    """None: random, or that of a queue which exists."""
    table: str | None = None
    """Scores, suspects, the survey's table, or the night, YYYY-MM-DD."""
    against: str | None = None
    """For source=disagreement: scores of the other model."""
    labels: str | None = None
    scheme: str | None = None
    count: int | None = Field(default=1000, ge=1)
    """Rows but for gold; None: all. A survey's or a night's rows come all."""
    gold_share: float = Field(default=GOLD_SHARE, ge=0, lt=1)
    overlap: float = Field(default=OVERLAP, ge=0, le=1)
    blind: bool | None = None
    """None: where rates are estimated."""
    seed: int = 0


@dataclass(frozen=True)
class _Drawn:
    """Rows of a source (`ROWS`), every score that it has, and the table of verdicts that the answers fill in."""

    rows: pa.Table
    scores: pa.Table
    table: Path | None = None


def open_queue(workspace: Workspace, request: QueueRequest) -> tuple[LabelQueue, int]:
    """Return the queue of that name, made if there is none yet, and the rows that the dataset lacks.

    Raises
    ------
    LabelQueueError
        The source has no rows of the dataset, a table is missing, or the queue is of another source.
    """
    name, _ = parse_reference(request.dataset)
    if queue_file(workspace, name, request.queue).exists():
        queue = read_label_queue(workspace, name, request.queue)
        if request.source not in (None, queue.facts.source):
            raise LabelQueueError(
                f"queue {request.queue!r} of {name!r} is of source={queue.facts.source}: name another queue"
            )
        return queue, 0
    dataset = Dataset.open(workspace, request.dataset)
    scheme = request.scheme or next(iter(dataset.schemes), None)
    if scheme is None:
        raise LabelQueueError(f"dataset {name!r} has no class scheme: build it with one, such as scheme=deck-3")
    source: QueueSource = request.source or "random"
    drawn = _SOURCES[source](workspace, dataset, scheme, request)
    rows, absent = samples_among(drawn.rows, stored_rows(dataset.samples(["id", "status"]))["id"])
    if source not in _SAMPLES:
        rows = rows.slice(0, request.count)
    if not rows.num_rows:
        raise LabelQueueError(f"source={source} has no row that is a sample of dataset {name!r}")
    facts = QueueFacts(
        name=request.queue,
        dataset=dataset.name,
        version=dataset.version,
        scheme=scheme,
        classes=tuple(dataset.classes(scheme)),
        labels=request.labels,
        source=source,
        blind=source in _CHANCES if request.blind is None else request.blind,
        table=None if drawn.table is None else _relative(workspace, drawn.table),
        seed=request.seed,
    )
    gold = problem_of(dataset).gold_labels(dataset, scheme)
    settings = QueueSettings(gold_share=request.gold_share, overlap=request.overlap, seed=request.seed)
    table = mix_queue(rows, dataset.labels(scheme, request.labels), gold, scores_of(drawn.scores), settings)
    queue = LabelQueue(facts, table)
    write_label_queue(workspace, queue)
    return queue, absent


def class_probabilities(table: pa.Table, classes: tuple[str, ...], path: Path) -> NDArray[np.float64]:
    """Return the probabilities (n, classes) of a table of scores, NaN of rows that were not scored.

    Either ``probability_CLASS`` of every class or, of two classes, ``probability`` or ``logit`` of the second.

    Raises
    ------
    LabelQueueError
        The table has none of these.
    """
    names = [f"probability_{name}" for name in classes]
    if set(names) <= set(table.column_names):
        return np.stack([to_float(table[name]) for name in names], axis=1)
    if len(classes) == 2 and {"probability", "logit"} & set(table.column_names):
        if "probability" in table.column_names:
            second = to_float(table["probability"])
        else:
            second = expit(to_float(table["logit"]))
        return np.stack([1 - second, second], axis=1)
    raise LabelQueueError(
        f"{path} has no probabilities of {', '.join(classes)}; it has {', '.join(table.column_names)}"
    )


def _random(workspace: Workspace, dataset: Dataset, scheme: str, request: QueueRequest) -> _Drawn:
    ids = stored_rows(dataset.samples(["id", "status"]))["id"].to_pylist()
    rows = random_rows(ids, request.count, request.seed)
    return _Drawn(rows, rows)


def _entropy(workspace: Workspace, dataset: Dataset, scheme: str, request: QueueRequest) -> _Drawn:
    path = _table_of(workspace, request.table, "source=entropy needs table=SCORES.parquet")
    table = read_table(path)
    values = entr(class_probabilities(table, tuple(dataset.classes(scheme)), path)).sum(axis=1)
    ranked = rank_by(table["id"].to_pylist(), values, "entropy", None)
    return _Drawn(ranked, ranked)


def _disagreement(workspace: Workspace, dataset: Dataset, scheme: str, request: QueueRequest) -> _Drawn:
    paths = [
        _table_of(workspace, name, "source=disagreement needs table= and against=, the scores of two models")
        for name in (request.table, request.against)
    ]
    classes = tuple(dataset.classes(scheme))
    tables = [read_table(path) for path in paths]
    ids = tables[0]["id"].to_pylist()
    one = class_probabilities(tables[0], classes, paths[0])
    names = [name for name in tables[1].column_names if name.startswith("probability") or name == "logit"]
    aligned = pa.table({name: align_column(tables[1], name, ids) for name in names})
    # Total variation distance; of two classes the difference of the probabilities.
    values = np.abs(one - class_probabilities(aligned, classes, paths[1])).sum(axis=1) / 2
    ranked = rank_by(ids, values, "disagreement", None)
    return _Drawn(ranked, ranked)


def _suspects(workspace: Workspace, dataset: Dataset, scheme: str, request: QueueRequest) -> _Drawn:
    """Return the suspects of a table by its rank, or the labels that a relabelling changed in random order."""
    if request.table is None and request.labels is not None:
        changed = dataset.labels(scheme, request.labels)
        changed = changed.filter(pc.is_valid(changed["reason"]))
        rows = random_rows(changed["id"].to_pylist(), None, request.seed)
        count = rows.num_rows
        columns = {"reason": align_column(changed, "reason", rows["id"]), "score": pa.nulls(count, pa.float64())}
        rows = pa.table({"id": rows["id"], **columns, "inclusion_probability": pa.nulls(count, pa.float64())})
        return _Drawn(rows, rows)
    path = _table_of(workspace, request.table, "source=suspects needs table=scores/suspects-....parquet or labels=NAME")
    table = _with_columns(read_table(path), path, "id", "suspect", "rank", "margin")
    table = table.filter(pc.equal(table["suspect"], True)).sort_by("rank")
    ranked = rank_by(table["id"].to_pylist(), -to_float(table["margin"]), "suspect", None)
    return _Drawn(ranked, ranked)


def _survey(workspace: Workspace, dataset: Dataset, scheme: str, request: QueueRequest) -> _Drawn:
    default = workspace.reports / f"label-errors-{dataset.name}.csv"
    path = _table_of(workspace, request.table or str(default), "source=survey needs a table of survey-label-errors")
    text = {name: pa.string() for name in ("id", "label", "verdict")}
    table = pacsv.read_csv(path, convert_options=pacsv.ConvertOptions(column_types=text))
    table = _with_columns(table, path, "id", "label", "verdict")
    rows = random_rows(table["id"].to_pylist(), None, request.seed)
    columns = {"reason": pa.array(["survey"] * len(rows)), "score": pa.nulls(len(rows), pa.float64())}
    rows = pa.table({"id": rows["id"], **columns, "inclusion_probability": pa.nulls(len(rows), pa.float64())})
    return _Drawn(rows, rows, path)


def _night(workspace: Workspace, dataset: Dataset, scheme: str, request: QueueRequest) -> _Drawn:
    """Return a night's queue for the gate: the rows on which the models differ, and the random stream."""
    if request.table is None:
        raise LabelQueueError("source=night needs table=YYYY-MM-DD")
    name = registered_name(dataset.manifest["problem"], scheme)
    path = queue_path(workspace, name, request.table)
    if not path.exists():
        raise LabelQueueError(f"night {request.table} has no labelling queue of {name}: there is no {path}")
    table = read_table(path)
    columns = {"reason": table["stream"], "score": pa.nulls(len(table), pa.float64())}
    rows = pa.table({"id": table["id"], "inclusion_probability": table["inclusion_probability"], **columns})
    return _Drawn(rows, rows, path.with_suffix(".csv"))


_SOURCES: dict[QueueSource, Callable[[Workspace, Dataset, str, QueueRequest], _Drawn]] = {
    "random": _random,
    "suspects": _suspects,
    "disagreement": _disagreement,
    "entropy": _entropy,
    "survey": _survey,
    "night": _night,
}


def _table_of(workspace: Workspace, name: str | None, need: str) -> Path:
    """Return the path of a table: as it is given, or below the workspace."""
    if name is None:
        raise LabelQueueError(need)
    given = Path(name).expanduser()
    for path in (workspace.root / given, given.resolve()):
        if path.is_file():
            return path
    raise LabelQueueError(f"there is no table {name}: {need}")


def _with_columns(table: pa.Table, path: Path, *names: str) -> pa.Table:
    """Return the table, which has to have some columns."""
    if not set(names) <= set(table.column_names):
        raise LabelQueueError(f"{path} lacks one of the columns {', '.join(names)}; it has {table.column_names}")
    return table


def _relative(workspace: Workspace, path: Path) -> str:
    """Return a path below the workspace relative to it, so that it survives a move."""
    return str(path.relative_to(workspace.root) if path.is_relative_to(workspace.root) else path)
