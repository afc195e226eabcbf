"""The queues that wait for people: an item counts once however many answer it, and the newest tables come first."""

import csv
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tasks.decisions.labelling_queue import queue_folder
from tasks.home.file_memory import FileMemory
from tasks.home.queues import TABLES_SHOWN, AnswerCounts, read_queues
from tasks.home.status import QueueStatus
from tasks.labelling.answer_log import AnswerLog
from tasks.labelling.queues import QUEUE, LabelQueue, QueueFacts, write_label_queue
from tasks.runtime.workspace import Workspace
from tests.answer_writers import make_answer

ITEMS = 5


def open_queue(workspace: Workspace, dataset: str, name: str) -> Path:
    facts = QueueFacts(
        name=name,
        dataset=dataset,
        version=1,
        scheme="real-bogus",
        classes=("bogus", "real"),
        labels=None,
        source="random",
        blind=True,
    )
    rows = pa.Table.from_pylist([{"id": f"c{row:04d}", "rank": row} for row in range(ITEMS)], schema=QUEUE)
    return write_label_queue(workspace, LabelQueue(facts, rows))


def write_sheet(workspace: Workspace, night: str, verdicts: list[str], models: str = "realbogus") -> None:
    path = queue_folder(workspace) / models / f"{night}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([["id", "verdict"], *([f"c{row}", word] for row, word in enumerate(verdicts))])


class Reader:
    """Reads one workspace again and again, as the home page does."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace, self.memory, self.answers = workspace, FileMemory(), AnswerCounts(workspace)

    def rows(self) -> list[QueueStatus]:
        rows, faults = read_queues(self.workspace, self.memory, self.answers)
        assert faults == []
        return rows


def test_an_item_counts_as_answered_once_and_only_while_an_answer_stands(workspace: Workspace) -> None:
    open_queue(workspace, "night", "random")
    reader, log = Reader(workspace), AnswerLog.of(workspace, "night")
    steps: list[tuple[dict[str, Any], int, tuple[str, ...]]] = [
        ({"sample": "c0000"}, 1, ("ann",)),
        ({"sample": "c0000", "labeller": "bob"}, 1, ("ann", "bob")),  # a second opinion
        ({"sample": "c0001", "label": "unsure"}, 2, ("ann", "bob")),
        ({"sample": "c0002", "action": "skip", "label": None, "labeller": "cat"}, 2, ("ann", "bob")),
        ({"sample": "c0003", "queue": "another"}, 2, ("ann", "bob")),
        ({"sample": "c0000", "label": "bogus"}, 2, ("ann", "bob")),  # a better answer
        ({"sample": "c0001", "action": "undo", "label": None, "undone": "2"}, 1, ("ann", "bob")),
    ]
    for number, (changes, answered, labellers) in enumerate(steps):
        log.append(make_answer(str(number), **changes))
        (row,) = reader.rows()
        assert (row.items, row.answered, row.labellers) == (ITEMS, answered, labellers)


def test_queues_come_by_dataset_and_name_and_answers_of_another_dataset_do_not_count(workspace: Workspace) -> None:
    for dataset, name in (("sky", "b"), ("night", "c"), ("sky", "a.b")):
        open_queue(workspace, dataset, name)
    AnswerLog.of(workspace, "sky").append(make_answer("1", queue="b"))
    rows = Reader(workspace).rows()
    assert [(row.dataset, row.name, row.answered) for row in rows] == [
        ("night", "c", 0),
        ("sky", "a.b", 0),
        ("sky", "b", 1),
    ]
    assert [row.path for row in rows] == ["/label/night/c", "/label/sky/a.b", "/label/sky/b"]


def test_of_tables_the_newest_are_shown_and_a_verdict_of_blanks_is_none(workspace: Workspace) -> None:
    nights = [f"2026-11-{day:02d}" for day in range(10, 11 + TABLES_SHOWN)]
    for night in nights:
        write_sheet(workspace, night, ["real", " ", "", "unsure"])
    write_sheet(workspace, nights[0], ["real"], "realbogus-first")
    rows = Reader(workspace).rows()
    assert [row.name for row in rows] == [f"realbogus/{night}.csv" for night in reversed(nights[1:])]
    assert {(row.items, row.answered, row.path, row.opened_at) for row in rows} == {(4, 2, None, None)}


def test_a_table_that_is_filled_in_is_read_again(workspace: Workspace) -> None:
    reader = Reader(workspace)
    assert reader.rows() == []
    write_sheet(workspace, "2026-11-28", ["", ""])
    assert [row.answered for row in reader.rows()] == [0]
    write_sheet(workspace, "2026-11-28", ["real", ""])
    assert [row.answered for row in reader.rows()] == [1]


@pytest.mark.parametrize("name", ["queues/random.parquet", "answers.jsonl"])
def test_one_damaged_queue_is_named_and_the_others_are_shown(workspace: Workspace, name: str) -> None:
    for dataset in ("night", "sky"):
        open_queue(workspace, dataset, "random")
    (workspace.root / "labelling" / "sky" / name).write_bytes(b"{}\n")
    rows, (fault,) = read_queues(workspace, FileMemory(), AnswerCounts(workspace))
    assert [row.dataset for row in rows] == ["night"]
    assert fault.startswith("queue random: ")
