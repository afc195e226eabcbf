"""The queues of samples that people are asked about: of the labelling page, and the tables of nights."""

import csv
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pyarrow.parquet as pq

from tasks.decisions.labelling_queue import queue_folder
from tasks.home.file_memory import FileMemory, Found, read_each
from tasks.home.status import QueueStatus
from tasks.labelling.answer_log import AnswerLog
from tasks.labelling.answers import standing_answers
from tasks.labelling.queues import QueueFacts, facts_in
from tasks.runtime.workspace import Workspace

TABLES_SHOWN = 5
"""Newest tables of nights."""
Given = dict[str, dict[str, set[str]]]
"""Samples that each labeller answered, by queue and labeller."""


@dataclass
class AnswerCounts:
    """Who has answered what, by dataset; a log is read on from where it was read to."""

    workspace: Workspace
    _logs: dict[str, AnswerLog] = field(default_factory=dict, repr=False)
    _given: dict[str, tuple[int, Given]] = field(default_factory=dict, repr=False)

    def of(self, dataset: str) -> Given:
        """Return the answers of a dataset that stand."""
        log = self._logs.setdefault(dataset, AnswerLog.of(self.workspace, dataset))
        if not log.path.exists():
            return {}
        rows = log.rows()
        if dataset not in self._given or self._given[dataset][0] != len(rows):
            given: Given = defaultdict(lambda: defaultdict(set))
            for answer in standing_answers(row.answer for row in rows):
                if answer.label is not None:
                    given[answer.queue][answer.labeller].add(answer.sample)
            self._given[dataset] = len(rows), given
        return self._given[dataset][1]


def read_queues(workspace: Workspace, memory: FileMemory, answers: AnswerCounts) -> Found[QueueStatus]:
    """Return the queues of the labelling page by dataset and name, then the newest tables of nights."""
    files = sorted((workspace.root / "labelling").glob("*/queues/*.parquet"))
    rows, faults = read_each(files, lambda path: _queue(path, memory, answers), lambda path: f"queue {path.stem}")
    sheets = sorted(queue_folder(workspace).glob("*/*.csv"), key=lambda path: path.name, reverse=True)[:TABLES_SHOWN]
    tables, damaged = read_each(sheets, lambda path: memory.read(path, _sheet), lambda path: f"queue {path.name}")
    return [*rows, *tables], [*faults, *damaged]


def _queue(path: Path, memory: FileMemory, answers: AnswerCounts) -> QueueStatus:
    facts, items = memory.read(path, _facts)
    given = answers.of(facts.dataset).get(facts.name, {})
    return QueueStatus(
        dataset=facts.dataset,
        name=facts.name,
        source=facts.source,
        items=items,
        answered=len(set().union(*given.values())),
        opened_at=_written_at(path),
        labellers=tuple(sorted(given)),
        path=f"/label/{quote(facts.dataset)}/{quote(facts.name)}",
    )


def _facts(path: Path) -> tuple[QueueFacts, int]:
    footer = pq.read_metadata(path)
    return facts_in(path, footer.schema.to_arrow_schema()), footer.num_rows


def _written_at(path: Path) -> datetime | None:
    """Return when a file was written, which nobody changes since; None without it."""
    return datetime.fromtimestamp(path.stat().st_mtime, UTC) if path.exists() else None


def _sheet(path: Path) -> QueueStatus:
    with path.open(newline="", encoding="utf-8") as stream:
        verdicts = [(row.get("verdict") or "").strip() for row in csv.DictReader(stream)]
    return QueueStatus(
        dataset=path.stem,
        name=f"{path.parent.name}/{path.name}",
        source="gate",
        items=len(verdicts),
        answered=sum(bool(verdict) for verdict in verdicts),
        opened_at=_written_at(path.with_suffix(".parquet")),
        labellers=(),
        path=None,
    )
