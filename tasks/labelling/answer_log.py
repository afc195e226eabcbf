"""The log of a dataset's answers: one line of JSON each, appended under a lock, synced before it is acknowledged.

Every line holds its number, the digest of the line before and its own, so a changed or missing line is noticed. A line
without its end is what a killed writer left: nobody was told that it is kept, and the next append cuts it off. Any
number of processes may append.
"""

import errno
import fcntl
import hashlib
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from tasks.decisions.ledger_rows import canonical_json
from tasks.labelling.answers import Answer
from tasks.runtime.workspace import Workspace
from tasks.store.files import disk_full_named, sync
from tasks.store.schema import check_name

_ENVELOPE = ("sequence", "previous_sha256", "row_sha256")


class AnswerLogError(ValueError):
    """The log is damaged; the message names the file, the line and the remedy."""


class UsedIdError(ValueError):
    """An id is that of another answer; the message names the file and the line."""


@dataclass(frozen=True)
class LogRow:
    """A line of the log.

    Attributes
    ----------
    answer : Answer
    sequence : int
        From 1, without gaps.
    previous_sha256 : str or None
        `row_sha256` of the line before; None of the first.
    row_sha256 : str
        Sha256 of the canonical JSON of the line without itself.
    """

    answer: Answer
    sequence: int
    previous_sha256: str | None
    row_sha256: str


@dataclass
class AnswerLog:
    """The log at `path`, with what this process has read of it. Threads may share it."""

    path: Path
    _rows: list[LogRow] = field(default_factory=list, repr=False)
    _by_id: dict[str, LogRow] = field(default_factory=dict, repr=False)
    _end: int = 0
    _threads: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def of(cls, workspace: Workspace, dataset: str) -> "AnswerLog":
        """Return the log of a dataset, by its name without a version."""
        return cls(labelling_folder(workspace, dataset) / "answers.jsonl")

    def rows(self, after: int = 0) -> list[LogRow]:
        """Return the lines behind a number, those of other processes too.

        Raises
        ------
        AnswerLogError
            A line is damaged or missing.
        """
        with self._threads, self._locked(fcntl.LOCK_SH) as stream:
            self._read_on(stream)
            return self._rows[after:]

    def find(self, id: str) -> LogRow | None:
        """Return the line of an answer's id; None without one."""
        self.rows()
        return self._by_id.get(id)

    def append(self, answer: Answer) -> tuple[LogRow, bool]:
        """Append an answer, and return its line once that is on the disk, and whether it was there before.

        Raises
        ------
        UsedIdError
            Another answer has its id.
        AnswerLogError
            The log is damaged.
        DiskFullError
            There is no space; nothing is acknowledged.
        """
        with self._threads, self._locked(fcntl.LOCK_EX) as stream:
            self._read_on(stream)
            known = self._by_id.get(answer.id)
            if known is not None:
                if not known.answer.says_the_same(answer):
                    raise UsedIdError(f"{self.path}: id {answer.id!r} is that of line {known.sequence}, which differs")
                return known, True
            row = _next_row(answer, self._rows[-1] if self._rows else None)
            line = _line_of(row)
            with disk_full_named(self.path):
                stream.truncate(self._end)
                stream.seek(self._end)
                if stream.write(line) < len(line):
                    raise OSError(errno.ENOSPC, "the line was written in part")
                os.fsync(stream.fileno())
            self._keep(row, len(line))
            return row, False

    @contextmanager
    def _locked(self, kind: int) -> Iterator[IO[bytes]]:
        """Open the log, made if it is absent, and hold its lock."""
        if not self.path.exists():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.touch()
            sync(self.path.parent)
        with self.path.open("r+b", buffering=0) as stream:
            fcntl.flock(stream, kind)
            yield stream

    def _read_on(self, stream: IO[bytes]) -> None:
        """Read the whole lines that were added since the last reading."""
        if stream.seek(0, os.SEEK_END) < self._end:
            raise AnswerLogError(f"{self.path} has become shorter while it was in use: restore it from a backup")
        stream.seek(self._end)
        whole, newline, _ = stream.read().rpartition(b"\n")
        for line in (whole + newline).splitlines(keepends=True):
            self._keep(self._parse(line), len(line))

    def _parse(self, line: bytes) -> LogRow:
        number, last = len(self._rows) + 1, self._rows[-1] if self._rows else None
        try:
            content = json.loads(line)
            envelope = {name: content.pop(name) for name in _ENVELOPE}
            row = LogRow(Answer(**content), **envelope)
        except (ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
            raise self._damaged(number, f"cannot be read ({' '.join(str(error).split())[:200]})") from error
        if row != _next_row(row.answer, last):
            raise self._damaged(number, "does not match its digest or does not follow the line before it")
        return row

    def _damaged(self, number: int, what: str) -> AnswerLogError:
        return AnswerLogError(f"{self.path}: line {number} {what}; restore the file from a backup")

    def _keep(self, row: LogRow, size: int) -> None:
        self._rows.append(row)
        self._by_id[row.answer.id] = row
        self._end += size


def labelling_folder(workspace: Workspace, dataset: str) -> Path:
    """Return the folder of a dataset's log, queues and label versions."""
    return workspace.root / "labelling" / check_name(dataset)


def _next_row(answer: Answer, last: LogRow | None) -> LogRow:
    """Return the line of an answer behind the line `last`."""
    sequence, previous = (1, None) if last is None else (last.sequence + 1, last.row_sha256)
    content = answer.model_dump(mode="json") | {"sequence": sequence, "previous_sha256": previous}
    return LogRow(answer, sequence, previous, hashlib.sha256(canonical_json(content).encode()).hexdigest())


def _line_of(row: LogRow) -> bytes:
    envelope = {name: getattr(row, name) for name in _ENVELOPE}
    return (canonical_json(row.answer.model_dump(mode="json") | envelope) + "\n").encode()
