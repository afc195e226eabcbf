"""A label version from people's answers: what a state of the log says of each sample, published under a name.

A name belongs to the lines of the log up to a number, which is kept before anything is published: the same name gives
the same labels whenever it is asked for, whatever was answered since.
"""

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from tasks.decisions.labelling_queue import RIGHT, UNSURE, WRONG
from tasks.labelling.agreement import agreement_of
from tasks.labelling.answer_log import AnswerLog, LogRow, labelling_folder
from tasks.labelling.answers import Answer, standing_answers
from tasks.labelling.queues import LabelQueue, LabelQueueError, queue_names, read_label_queue
from tasks.learning.labels.relabelling import publish_relabelling
from tasks.runtime.workspace import Workspace
from tasks.store.columns import align_column, positions_of
from tasks.store.dataset import Dataset
from tasks.store.files import whole_file, write_json
from tasks.store.schema import check_name, parse_reference


class LabelVersionRequest(BaseModel):
    """Which answers become labels, and under which name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    queue: str | None = None
    """None: every queue of the scheme."""
    name: str | None = None
    """None: ``people-`` or the queue's name, and the number of the log's last line."""
    labels: str | None = None
    """The relabelling that the answers change; None: the original labels."""
    scheme: str | None = None


@dataclass(frozen=True)
class Consensus:
    """What the answers to one sample say together.

    Attributes
    ----------
    label : str or None
        The class that more than half of the answers with a class say; None without one.
    share : float
        Of the answers with a class, those that say it; 0 without one.
    by, reason : str
        The labellers, and why the sample was asked about.
    """

    label: str | None
    share: float
    by: str
    reason: str


def consensus_of(answers: Iterable[Answer]) -> dict[str, Consensus]:
    """Return the consensus on each sample that was answered; skips say nothing, unsure says no class.

    Parameters
    ----------
    answers : iterable of Answer
        Standing ones. A labeller who answered in several queues counts once, by the last answer.
    """
    given: dict[str, dict[str, Answer]] = defaultdict(dict)
    for answer in answers:
        if answer.label is not None:
            given[answer.sample].pop(answer.labeller, None)
            given[answer.sample][answer.labeller] = answer
    return {sample: _consensus(list(each.values())) for sample, each in given.items()}


def publish_label_version(workspace: Workspace, request: LabelVersionRequest, at: datetime) -> dict[str, Any]:
    """Publish the label version of a name, fill in the tables of verdicts, and return the summary.

    Raises
    ------
    LabelQueueError
        There is no answer, or the name belongs to another relabelling.
    """
    dataset = Dataset.open(workspace, parse_reference(request.dataset)[0])
    scheme = request.scheme or next(iter(dataset.schemes), "")
    classes = dataset.classes(scheme)
    queues = _queues(workspace, dataset.name, scheme, request.queue)
    rows = AnswerLog.of(workspace, dataset.name).rows()
    name, rows = _bound_rows(workspace, dataset, scheme, request, rows)
    of_queues = [row.answer for row in rows if row.answer.queue in queues]
    asked = [answer for answer in standing_answers(of_queues) if not answer.gold]
    consensus = consensus_of(asked)
    decided = {sample: each for sample, each in consensus.items() if each.label in classes}
    before = dataset.labels(scheme, request.labels)
    places = positions_of(list(decided), before["id"])
    absent = [sample for sample, place in zip(decided, places.tolist(), strict=True) if place < 0]
    changes = _changes({sample: each for sample, each in decided.items() if sample not in set(absent)})
    if not changes.num_rows:
        raise LabelQueueError(f"dataset {dataset.name!r} has no answer with a class yet: label some samples first")
    if f"{scheme}.{name}" not in dataset.every_label_table():
        dataset = publish_relabelling(dataset, scheme, name, changes, request.labels, at)
    previous = align_column(before, "label", changes["id"])
    changed = pc.sum(pc.fill_null(pc.not_equal(changes["label"], previous), True)).as_py()
    tables = [_fill_table(workspace, queue, consensus_of(_of_queue(asked, queue))) for queue in queues.values()]
    return {
        "path": str(dataset.path),
        "version": dataset.version,
        "labels": name,
        "labels_sha256": dataset.labels_sha256(scheme, name),
        "answers": len(of_queues),
        "sequence": len(rows),
        "samples": len(consensus),
        "decided": changes.num_rows,
        "changed": changed,
        "undecided": len(consensus) - len(decided),
        "absent": len(absent),
        "tables": [table for table in tables if table is not None],
        "queues": {queue.facts.name: _agreement(queue, of_queues) for queue in queues.values()},
    }


def _consensus(answers: Sequence[Answer]) -> Consensus:
    votes = Counter(answer.label for answer in answers if answer.is_class)
    label, count = votes.most_common(1)[0] if votes else (None, 0)
    has_majority = 2 * count > votes.total()
    share = count / votes.total() if has_majority else 0.0
    by = ", ".join(sorted(answer.labeller for answer in answers))
    return Consensus(label if has_majority else None, share, by, answers[-1].reason)


def _changes(decided: Mapping[str, Consensus]) -> pa.Table:
    """Return the decided samples with their labels, as `publish_relabelling` takes them; `score` is the share."""
    each = list(decided.values())
    return pa.table(
        {
            "id": pa.array(list(decided), pa.string()),
            "label": pa.array([one.label for one in each], pa.string()),
            "reason": pa.array([f"people: {one.reason}" for one in each], pa.string()),
            "score": pa.array([one.share for one in each], pa.float64()),
            "round": pa.array([0] * len(each), pa.int32()),
            "by": pa.array([one.by for one in each], pa.string()),
        }
    )


def _queues(workspace: Workspace, dataset: str, scheme: str, name: str | None) -> dict[str, LabelQueue]:
    """Return the queues whose answers count, by name."""
    names = queue_names(workspace, dataset) if name is None else [name]
    queues = [read_label_queue(workspace, dataset, each) for each in names]
    return {queue.facts.name: queue for queue in queues if queue.facts.scheme == scheme}


def _bound_rows(
    workspace: Workspace, dataset: Dataset, scheme: str, request: LabelVersionRequest, rows: list[LogRow]
) -> tuple[str, list[LogRow]]:
    """Return the name, and the lines of the log that it belongs to; they are bound to a new name for good."""
    if not rows:
        raise LabelQueueError(f"dataset {dataset.name!r} has no answer yet: label some samples with `starloom label`")
    name = check_name(request.name or f"{request.queue or 'people'}-{len(rows):06d}")
    path = labelling_folder(workspace, dataset.name) / "versions" / f"{scheme}.{name}.json"
    wanted = {"scheme": scheme, "queue": request.queue, "labels": request.labels}
    if path.exists():
        record = json.loads(path.read_text(encoding="utf-8"))
        sequence = record["sequence"]
        if {key: record[key] for key in wanted} != wanted:
            raise LabelQueueError(f"label version {name!r} was made of {record}, not of {wanted}: choose another name")
        if sequence > len(rows) or rows[sequence - 1].row_sha256 != record["row_sha256"]:
            raise LabelQueueError(f"the log is not the one that label version {name!r} was made of; {path} has it")
        return name, rows[:sequence]
    if f"{scheme}.{name}" in dataset.every_label_table():
        raise LabelQueueError(f"{name!r} is a relabelling that was not made of answers: choose another name")
    write_json(path, {**wanted, "sequence": len(rows), "row_sha256": rows[-1].row_sha256})
    return name, rows


def _fill_table(workspace: Workspace, queue: LabelQueue, consensus: Mapping[str, Consensus]) -> str | None:
    """Enter verdicts into the table that a queue was made of, and return its path; None of a queue without one.

    Where the table has a label, the verdict is whether that is right; rows without an answer stay as they are.
    """
    if queue.facts.table is None:
        return None
    path = workspace.root / queue.facts.table
    if not path.exists():
        raise LabelQueueError(f"the table of verdicts {path} of queue {queue.facts.name!r} is gone: write it again")
    with path.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        rows, columns = list(reader), list(reader.fieldnames or [])
    for row in rows:
        if row["id"] in consensus:
            row["verdict"] = _verdict(consensus[row["id"]].label, row.get("label"))
    with whole_file(path) as beside, beside.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def _verdict(answer: str | None, label: str | None) -> str:
    if answer is None:
        return UNSURE
    if not label:
        return answer
    return RIGHT if answer == label else WRONG


def _of_queue(answers: Iterable[Answer], queue: LabelQueue) -> list[Answer]:
    return [answer for answer in answers if answer.queue == queue.facts.name]


def _agreement(queue: LabelQueue, answers: Iterable[Answer]) -> dict[str, Any]:
    return agreement_of(_of_queue(answers, queue), _gold(queue), (*queue.facts.classes, UNSURE))


def _gold(queue: LabelQueue) -> dict[str, str]:
    rows = queue.rows.filter(pc.is_valid(queue.rows["gold"]))
    return dict(zip(rows["id"].to_pylist(), rows["gold"].to_pylist(), strict=True))
