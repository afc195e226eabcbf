"""Answers for tests, and processes that write them to a log and may be killed at any moment."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tasks.labelling.answer_log import AnswerLog
from tasks.labelling.answers import Answer

AT = datetime(2026, 5, 20, 12, 0, 0, 123456, tzinfo=UTC)


def make_answer(id: str, **changes: Any) -> Answer:
    """An answer "real" of ann to sample c0000 of a random queue, with some fields changed."""
    fields = {"action": "answer", "sample": "c0000", "label": "real", "labeller": "ann", "queue": "random"}
    record = {"reason": "random", "label_version": "night@1", "at": AT}
    return Answer(**{"id": id, **fields, **record, **changes})


def write_answers(path: Path, labeller: str, count: int, acknowledged: Path) -> None:
    """Append answers ``LABELLER-0`` on to the log, and each id to the file of what was acknowledged."""
    log = AnswerLog(path)
    with acknowledged.open("ab", buffering=0) as stream:
        for number in range(count):
            name = f"{labeller}-{number}"
            log.append(make_answer(name, labeller=labeller, sample=f"c{number:04d}"))
            os.write(stream.fileno(), f"{name}\n".encode())
