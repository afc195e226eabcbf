"""The record of a night: which steps are finished, with what result, and in what state the night ended.

``nightly/DATASET/NIGHT/record.json`` is written after every step, so that a night that died goes on after its last
finished one; the folder holds the night's tables too.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from tasks.runtime.workspace import Workspace
from tasks.store.files import write_json

NIGHTLY = "nightly"
"""Folder of the workspace."""
RECORD = "record.json"
FORMAT_VERSION = 1

State = Literal["done", "redelivered", "set_aside", "clouds", "no_data", "waiting", "failed"]
"""done: worked through. redelivered: so, again, because the delivery changed. set_aside: its labels look wrong, so that
no training uses them until `accept`. clouds: nothing could be detected. no_data: nothing was delivered. waiting: a
visit's files are incomplete. failed: an error, which the message names; the next run tries again."""
STATE_WORDS: dict[State, str] = {
    "done": "worked through",
    "redelivered": "delivered again",
    "set_aside": "labels set aside",
    "clouds": "clouds",
    "no_data": "no data",
    "waiting": "incomplete",
    "failed": "failed",
}
"""What a state is called on pages."""
OPEN: tuple[State, ...] = ("no_data", "waiting", "failed")
"""States that a later run takes up again."""


class NightBusyError(RuntimeError):
    """Another process works on a night of the same dataset."""


@dataclass(frozen=True)
class NightRecord:
    """The record of one night.

    Attributes
    ----------
    folder : Path
    night : str
    inputs : str
        Digest of the delivery that the steps belong to.
    revision : int
        Number of deliveries that differed, from 1.
    steps : dict
        Result of each finished step by name, JSON values.
    summary : dict or None
        The summary of the finished night.
    """

    folder: Path
    night: str
    inputs: str = ""
    revision: int = 1
    steps: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] | None = None

    @property
    def state(self) -> State | None:
        """The state in which the night ended; None if it has not."""
        return None if self.summary is None else self.summary["state"]

    @property
    def is_finished(self) -> bool:
        """Whether a later run has nothing to do for the same delivery."""
        return self.state is not None and self.state not in OPEN

    def begin(self, inputs: str) -> "NightRecord":
        """Return the record for a delivery: its own, or a new revision without steps if the delivery is another."""
        if self.inputs == inputs:
            return self
        revision = self.revision + 1 if self.inputs and self.is_finished else self.revision
        return replace(self, inputs=inputs, revision=revision, steps={}, summary=None)._write()

    def step(self, name: str, work: Callable[[], Any]) -> Any:
        """Return the result of a finished step, or do its work and record the result."""
        if name not in self.steps:
            self.steps[name] = work()
            self._write()
        return self.steps[name]

    def finish(self, summary: dict[str, Any]) -> "NightRecord":
        """Record the night's summary."""
        return replace(self, summary=summary)._write()

    def _write(self) -> "NightRecord":
        self.folder.mkdir(parents=True, exist_ok=True)
        content = {name: getattr(self, name) for name in ("night", "inputs", "revision", "steps", "summary")}
        write_json(self.folder / RECORD, {"format_version": FORMAT_VERSION, **content})
        return self


def nights_folder(workspace: Workspace, dataset: str) -> Path:
    """Return the folder of the records of a training set's nights."""
    return workspace.root / NIGHTLY / dataset


def open_record(workspace: Workspace, dataset: str, night: str) -> NightRecord:
    """Return a night's record; an empty one if there is none."""
    return read_record(nights_folder(workspace, dataset) / night)


def read_records(workspace: Workspace, dataset: str) -> list[NightRecord]:
    """Return the records of all nights, oldest first."""
    return [read_record(folder) for folder in night_folders(workspace, dataset)]


def night_folders(workspace: Workspace, dataset: str) -> list[Path]:
    """Return the folders of all nights with a record, oldest first."""
    return sorted(path.parent for path in nights_folder(workspace, dataset).glob(f"*/{RECORD}"))


def read_record(folder: Path) -> NightRecord:
    """Return the record in a night's folder; an empty one if there is none."""
    path = folder / RECORD
    if not path.is_file():
        return NightRecord(folder, folder.name)
    content = json.loads(path.read_text(encoding="utf-8"))
    content.pop("format_version")
    return NightRecord(folder, **content)


def recorded_nights(records: list[NightRecord]) -> list[date]:
    """Return the dates of records whose night has ended in some state."""
    return [date.fromisoformat(record.night) for record in records if record.summary is not None]


@contextmanager
def one_night(workspace: Workspace, dataset: str) -> Iterator[None]:
    """Hold the lock of a training set's nights, which ends with the process.

    Raises
    ------
    NightBusyError
        Another process holds it.
    """
    folder = nights_folder(workspace, dataset)
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise NightBusyError(
            f"another process works on a night of dataset {dataset!r} in {workspace.root}: two nights never run at once"
        ) from None
    try:
        yield
    finally:
        lock.release()
