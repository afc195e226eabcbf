"""What the workspace keeps of scored visits: one folder per visit and revision, complete or absent.

``visits/NIGHT/VISIT/NNNNNN/`` holds ``record.json``, ``detections.parquet`` and ``stamps.npy``. It is written beside,
synced and renamed, so a visit is scored when its record is there, however the process ended. A visit whose files
change gets another revision; the earlier ones stay.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from filelock import FileLock, Timeout

from tasks.inbox.deliveries import Delivery
from tasks.inbox.nights import is_night, is_unfinished
from tasks.runtime.run_log import run_logger
from tasks.store.files import read_table, whole_folder, write_checked_table, write_json

State = Literal["scored", "rejected", "duplicate"]
RECORD, DETECTIONS, STAMPS = "record.json", "detections.parquet", "stamps.npy"
LOCK = "draining.lock"
_LOCK_WAIT_S = 1.0  # a watcher tries the lock for an instant


class VisitsBusyError(RuntimeError):
    """Another process scores visits."""


@dataclass(frozen=True)
class VisitRecord:
    """One revision of a visit.

    Attributes
    ----------
    night, visit : str
    revision : int
        From 1; the highest is the one that counts.
    order : int
        Among all revisions of the night, by the time of scoring, from 1.
    digest : str
        Of the delivery.
    state : State
    reason, message : str or None
        Why a visit was rejected: a word, and the error. Of a duplicate, the visit that it equals.
    duplicate_of : str or None
    kind : str or None
    detections, scored, selected : int
        Detections in the table, those with a score, and those decided to be real.
    not_scored : dict of int
        Detections without a score, by reason.
    model, threshold_version : str or None
    first_seen, finished_at : float
        Unix times of the first look and of the scoring.
    seconds : float
        Time of the work on it.
    reading : dict
        What was understood of its files.
    """

    night: str
    visit: str
    revision: int
    order: int
    digest: str
    state: State
    reason: str | None = None
    message: str | None = None
    duplicate_of: str | None = None
    kind: str | None = None
    detections: int = 0
    scored: int = 0
    selected: int = 0
    not_scored: dict[str, int] | None = None
    model: str | None = None
    threshold_version: str | None = None
    first_seen: float = 0.0
    finished_at: float = 0.0
    seconds: float = 0.0
    reading: dict[str, Any] | None = None


@dataclass(frozen=True)
class NightRecords:
    """The records of a night, in the order of scoring."""

    records: tuple[VisitRecord, ...]

    @cached_property
    def newest(self) -> dict[str, VisitRecord]:
        """The highest revision of each visit."""
        return {record.visit: record for record in sorted(self.records, key=lambda record: record.revision)}

    @property
    def next_order(self) -> int:
        """Order of the record that comes next."""
        return max((record.order for record in self.records), default=0) + 1

    def is_done(self, delivery: Delivery) -> bool:
        """Return whether a delivery was worked on as it is now."""
        newest = self.newest
        record = newest.get(delivery.name)
        if record is None or record.digest != delivery.digest:
            return False
        if record.duplicate_of is None:
            return True
        original = newest.get(record.duplicate_of)
        return original is not None and original.digest == record.digest and original.state != "duplicate"

    def equal_to(self, delivery: Delivery) -> str | None:
        """Return the visit that holds the same bytes as a delivery of another name, and is no duplicate itself."""
        for visit, record in sorted(self.newest.items()):
            if visit != delivery.name and record.digest == delivery.digest and record.state != "duplicate":
                return visit
        return None


@dataclass(frozen=True)
class VisitStore:
    """The records of all visits, in the folder ``visits`` of a workspace."""

    folder: Path

    @contextmanager
    def one_scorer(self) -> Iterator[None]:
        """Hold the lock of the one process that scores visits.

        Raises
        ------
        VisitsBusyError
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.lock)
        try:
            lock.acquire(timeout=_LOCK_WAIT_S)
        except Timeout:
            raise VisitsBusyError(f"another run scores the visits of {self.folder.parent}") from None
        try:
            yield
        finally:
            lock.release()

    @property
    def lock(self) -> Path:
        """The lock file of `one_scorer`."""
        return self.folder / LOCK

    def nights(self) -> list[str]:
        """Return the nights with records, oldest first."""
        return sorted(path.name for path in self.folder.glob("*") if is_night(path.name))

    def read(self, night: str) -> NightRecords:
        """Return the records of a night; one that cannot be read is told, and its visit counts as not scored."""
        paths = sorted((self.folder / night).glob(f"*/*/{RECORD}"))
        found = [_read_record(path) for path in paths if not is_unfinished(path.parent.name)]
        return NightRecords(tuple(sorted((record for record in found if record), key=lambda record: record.order)))

    def next_revision(self, night: str, visit: str) -> int:
        """Return the number of the revision of a visit that comes next."""
        folders = (self.folder / night / visit).glob("*")
        return max((int(path.name) for path in folders if path.name.isdecimal()), default=0) + 1

    def write(self, record: VisitRecord, detections: pa.Table, stamps: np.ndarray) -> None:
        """Keep a revision: its record, its detections, and the stamps (n, y, x, 3) of those that have one, in order."""
        target = self._revision(record)
        for remains in target.parent.glob(".*.part"):
            shutil.rmtree(remains, ignore_errors=True)
        with whole_folder(target) as folder:
            np.save(folder / STAMPS, stamps, allow_pickle=False)
            write_checked_table(folder / DETECTIONS, detections)
            write_json(folder / RECORD, asdict(record))

    def detections(self, record: VisitRecord) -> pa.Table:
        """Return the detections of a revision."""
        return read_table(self._revision(record) / DETECTIONS)

    def stamps(self, record: VisitRecord) -> np.ndarray:
        """Return the stamps (n, y, x, 3) float32 of the detections with a ``stamp_sha256``, memory-mapped, in order."""
        stamps: np.ndarray = np.load(self._revision(record) / STAMPS, mmap_mode="r", allow_pickle=False)
        return stamps

    def _revision(self, record: VisitRecord) -> Path:
        return self.folder / record.night / record.visit / f"{record.revision:06d}"


def _read_record(path: Path) -> VisitRecord | None:
    try:
        return VisitRecord(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        run_logger().warning("%s cannot be read (%s): the visit is scored again", path, error)
        return None
