"""A queue: the samples that people are asked about, in order, each with why and with which chance it was chosen.

Some rows are gold: their right answer is known, and nothing that a labeller sees tells them from the others. Some are
asked of two people, whose agreement tells how far the answers can be trusted.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tasks.labelling.answer_log import labelling_folder
from tasks.runtime.workspace import Workspace
from tasks.store.columns import Ids, positions_of, to_float, to_text
from tasks.store.files import read_table, write_table
from tasks.store.sampling import hash_order, hash_shares
from tasks.store.schema import check_name

GOLD_SHARE = 0.02
OVERLAP = 0.1
EVERYBODY = 0
"""Opinions wanted of a row that every labeller gets."""
ROWS = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("inclusion_probability", pa.float64()),
        pa.field("score", pa.float64()),
    ]
)
"""What a source draws, in order. `score` is what ranked the row; null: nothing."""
QUEUE = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("rank", pa.int32()),
        *list(ROWS)[1:],
        pa.field("previous", pa.string()),
        pa.field("gold", pa.string()),
        pa.field("opinions", pa.int32()),
    ]
)
"""`rank` is from 0; `previous` the label in the label version; `gold` the right answer, null of other rows; `opinions`
the labellers that are asked, `EVERYBODY` for gold."""
_FACTS = b"starloom_queue"


class LabelQueueError(ValueError):
    """A queue cannot be made or used; the message says what to do."""


class QueueFacts(BaseModel):
    """What belongs to a queue as a whole."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    dataset: str
    version: int
    """Of the dataset, when the queue was made."""
    scheme: str
    classes: tuple[str, ...]
    labels: str | None
    """The relabelling that `previous` comes from; None: the original labels."""
    source: str
    blind: bool
    """Whether labellers see neither scores nor labels."""
    table: str | None = None
    """Table of verdicts that its answers fill in, relative to the workspace."""
    seed: int = 0

    @property
    def label_version(self) -> str:
        """The label version that was shown: ``DATASET@VERSION``, with ``:NAME`` of a relabelling."""
        return f"{self.dataset}@{self.version}" + (f":{self.labels}" if self.labels else "")


class QueueSettings(BaseModel):
    """How a queue is mixed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gold_share: float = Field(default=GOLD_SHARE, ge=0, lt=1)
    """Of the queue, gold items."""
    overlap: float = Field(default=OVERLAP, ge=0, le=1)
    """Of the other rows, those that two people are asked about."""
    seed: int = 0


@dataclass(frozen=True)
class LabelQueue:
    """A queue: its facts and its rows, `QUEUE` by rank."""

    facts: QueueFacts
    rows: pa.Table

    def __len__(self) -> int:
        return int(self.rows.num_rows)

    @cached_property
    def ids(self) -> list[str]:
        """Sample of each row, (n,)."""
        return list(self.rows["id"].to_pylist())

    @cached_property
    def positions(self) -> dict[str, int]:
        """Rank of each sample."""
        return {name: rank for rank, name in enumerate(self.ids)}

    @cached_property
    def reasons(self) -> NDArray[np.str_]:
        """Reason of each row, (n,)."""
        return to_text(self.rows["reason"])

    @cached_property
    def previous(self) -> NDArray[np.str_]:
        """Label of each row in the label version, (n,); empty without one."""
        return to_text(self.rows["previous"])

    @cached_property
    def scores(self) -> NDArray[np.float64]:
        """Score of each row, (n,); NaN without one."""
        return to_float(self.rows["score"])

    @cached_property
    def opinions(self) -> NDArray[np.int32]:
        """Labellers that each row is asked of, (n,)."""
        return np.asarray(self.rows["opinions"].to_numpy(), np.int32)

    def row(self, rank: int) -> dict[str, Any]:
        """Return a row by column."""
        return dict(self.rows.slice(rank, 1).to_pylist()[0])


def mix_queue(
    rows: pa.Table, labels: pa.Table, gold: Mapping[str, str], scores: Mapping[str, float], settings: QueueSettings
) -> pa.Table:
    """Return the rows of a queue (`QUEUE`): what was drawn, with gold items spread evenly among it.

    A gold item takes the reason of the row before it, and its own score, so that neither tells what it is.

    Parameters
    ----------
    rows : Table
        `ROWS`; of an id that comes twice the first counts.
    labels : Table
        Columns id and label, of the label version.
    gold : mapping
        Right answer by id of samples that may be gold items.
    scores : mapping
        Score by id, where samples that were not drawn have one too.
    settings : QueueSettings
    """
    ids = rows["id"].to_pylist()
    first = positions_of(ids, ids) == np.arange(len(ids))
    rows = rows.filter(pa.array(first)).select(ROWS.names).cast(ROWS)
    chosen = _gold_items(sorted(gold.keys() - set(ids)), rows.num_rows, settings)
    # Equal steps, from the middle of the first; the rows fill the queue in the same way.
    places = np.concatenate([_middles(rows.num_rows), _jittered(chosen, settings.seed)])
    order = np.argsort(places, kind="stable")
    is_gold = (np.arange(len(places)) >= rows.num_rows)[order]
    before = np.maximum(np.cumsum(~is_gold) - 1, 0)
    overlap = hash_shares((f"overlap/{name}" for name in rows["id"].to_pylist()), settings.seed) < settings.overlap
    opinions = np.concatenate([1 + overlap, np.full(len(chosen), EVERYBODY)])[order]
    names = np.array([*rows["id"].to_pylist(), *chosen], object)[order].tolist()
    score = [*rows["score"].to_pylist(), *(scores.get(name) for name in chosen)]
    probability = [*rows["inclusion_probability"].to_pylist(), *([None] * len(chosen))]
    previous = dict(zip(labels["id"].to_pylist(), labels["label"].to_pylist(), strict=True))
    columns: dict[str, Any] = {
        "id": names,
        "rank": np.arange(len(names)),
        "reason": rows["reason"].take(pa.array(before)).combine_chunks(),
        "inclusion_probability": [probability[place] for place in order],
        "score": [score[place] for place in order],
        "previous": [previous.get(name) for name in names],
        "gold": [gold[name] if flag else None for name, flag in zip(names, is_gold, strict=True)],
        "opinions": opinions,
    }
    return pa.table([pa.array(columns[field.name], field.type) for field in QUEUE], schema=QUEUE)


def queue_file(workspace: Workspace, dataset: str, name: str) -> Path:
    """Return the path of a dataset's queue."""
    return labelling_folder(workspace, dataset) / "queues" / f"{check_name(name)}.parquet"


def write_label_queue(workspace: Workspace, queue: LabelQueue) -> Path:
    """Write a queue and return its path; facts are in the schema's metadata."""
    path = queue_file(workspace, queue.facts.dataset, queue.facts.name)
    write_table(path, queue.rows.replace_schema_metadata({_FACTS: queue.facts.model_dump_json().encode()}))
    return path


def read_label_queue(workspace: Workspace, dataset: str, name: str) -> LabelQueue:
    """Return a queue of a dataset.

    Raises
    ------
    LabelQueueError
        There is none of that name, or the file is no queue.
    """
    path = queue_file(workspace, dataset, name)
    if not path.exists():
        names = ", ".join(queue_names(workspace, dataset)) or "none"
        raise LabelQueueError(f"dataset {dataset!r} has no queue {name!r}; there are: {names}")
    table = read_table(path)
    facts = facts_in(path, table.schema)
    return LabelQueue(facts, table.replace_schema_metadata(None).combine_chunks())


def facts_in(path: Path, schema: pa.Schema) -> QueueFacts:
    """Return what the schema of a queue's file tells of the queue.

    Raises
    ------
    LabelQueueError
        The file is no queue.
    """
    metadata = schema.metadata or {}
    if _FACTS not in metadata or schema.names != QUEUE.names:
        raise LabelQueueError(f"{path} is no queue of the labelling page: move it away")
    return QueueFacts(**json.loads(metadata[_FACTS]))


def queue_names(workspace: Workspace, dataset: str) -> list[str]:
    """Return the names of a dataset's queues."""
    return sorted(path.stem for path in (labelling_folder(workspace, dataset) / "queues").glob("*.parquet"))


def samples_among(rows: pa.Table, known: Ids) -> tuple[pa.Table, int]:
    """Return the rows whose id is among the `known` ones, and the number of others."""
    kept = rows.filter(pa.array(positions_of(rows["id"], known) >= 0))
    return kept, rows.num_rows - kept.num_rows


def rank_by(ids: list[str], values: NDArray[np.float64], reason: str, count: int | None) -> pa.Table:
    """Return `ROWS` by falling value (n,), up to a number; rows without a value are left out."""
    order = np.argsort(-values, kind="stable")
    order = order[np.isfinite(values[order])][:count]
    return pa.table(
        {
            "id": pa.array([ids[row] for row in order], pa.string()),
            "reason": pa.array([reason] * len(order), pa.string()),
            "inclusion_probability": pa.nulls(len(order), pa.float64()),
            "score": pa.array(values[order], pa.float64()),
        }
    )


def random_rows(ids: list[str], count: int | None, seed: int) -> pa.Table:
    """Return `ROWS` of ids drawn with equal chances, in random order; with a larger number come the same ones first."""
    order = hash_order((f"random/{name}" for name in ids), seed)[:count]
    return pa.table(
        {
            "id": pa.array([ids[row] for row in order], pa.string()),
            "reason": pa.array(["random"] * len(order), pa.string()),
            "inclusion_probability": pa.array(np.full(len(order), len(order) / max(len(ids), 1)), pa.float64()),
            "score": pa.nulls(len(order), pa.float64()),
        }
    )


def scores_of(rows: pa.Table) -> dict[str, float]:
    """Return the score by id of rows that have one."""
    values = to_float(rows["score"])
    return {name: float(value) for name, value in zip(rows["id"].to_pylist(), values, strict=True) if value == value}


def _gold_items(spare: Sequence[str], count: int, settings: QueueSettings) -> list[str]:
    """Return the gold items drawn for a queue of `count` other rows; at least one where a share is asked for."""
    share = settings.gold_share
    wanted = round(count * share / (1 - share)) or int(share > 0 and count > 0)
    return [spare[place] for place in hash_order((f"gold/{name}" for name in spare), settings.seed)[:wanted]]


def _middles(count: int) -> NDArray[np.float64]:
    """Return the middles of `count` equal parts of the interval from 0 to 1, (count,)."""
    return (np.arange(count) + 0.5) / max(count, 1)


def _jittered(names: list[str], seed: int) -> NDArray[np.float64]:
    """Return a place in each of n equal parts of the interval from 0 to 1, (n,), drawn by the name."""
    return (np.arange(len(names)) + hash_shares((f"place/{name}" for name in names), seed)) / max(len(names), 1)
