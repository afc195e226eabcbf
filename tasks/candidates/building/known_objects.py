"""Detections that match known objects: they get their own kind and lose their label."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from realbogus.readings import Reading
from realbogus.records import DETECTION, NO_EPOCH
from realbogus.sources.known_objects import KnownTable, NoEpochError
from realbogus.sources.object_kinds import KNOWN_TRANSIENT
from tasks.candidates.building.staged_rows import StagedBatch
from tasks.candidates.choices import WithoutEpoch
from tasks.records.known_tables import read_known
from tasks.store.columns import to_bool, to_float
from tasks.store.merging import with_columns
from tasks.store.schema import REJECTED, STORED

KNOWN_GROUP = "known-"
"""Prefix of the group of a known transient: all its detections are one group, which is in the test part alone."""
KNOWN_PREFIX = "known_objects"
"""Prefix of the roles of a known-object table, in summaries and in the parameter ``columns``."""


@dataclass(frozen=True)
class KnownObjects:
    """The table of known objects of a build, and the rule for what has no epoch.

    Attributes
    ----------
    path : Path
    without_epoch : str
        ``refuse``: detections without an epoch are rejected; ``position_only``: they match by position alone.
    columns : tuple of (role, column)
        Columns that the user named, by role of `ROLE_NAMES`.
    """

    path: Path
    without_epoch: WithoutEpoch = "refuse"
    columns: tuple[tuple[str, str], ...] = ()

    def open(self) -> KnownTable:
        """Read the table, once per process until the file changes."""
        return self._read()[0]

    def reading(self) -> Reading:
        """Return which columns were understood as what; roles begin with `KNOWN_PREFIX`."""
        return self._read()[1].under(KNOWN_PREFIX)

    def _read(self) -> tuple[KnownTable, Reading]:
        return _read_once(self.path, self.columns, self.path.stat().st_mtime_ns if self.path.is_file() else 0)

    def require_epoch(
        self, epoch_mjd: float | None, where: str, looked_for: Sequence[str], notes: Sequence[str] = ()
    ) -> None:
        """Refuse a frame or a table that has no epoch, unless detections may match by position alone.

        Parameters
        ----------
        epoch_mjd : float or None
        where : str
            The frame or the table.
        looked_for : sequence of str
            Keywords or columns.
        notes : sequence of str
            What was found in them.

        Raises
        ------
        NoEpochError
            Names all of these.
        """
        if epoch_mjd is None and self.without_epoch == "refuse":
            found = "".join(f"; {note}" for note in notes)
            raise NoEpochError(f"{where} has no epoch{found}: {self.remedy}; looked for {', '.join(looked_for)}")

    @property
    def remedy(self) -> str:
        """What to do about a missing epoch."""
        return (
            f"it cannot be compared with the dated objects of known_objects={self.path}; give an epoch, or "
            "known_without_epoch=position_only to match by position alone"
        )


@lru_cache(maxsize=2)
def _read_once(path: Path, columns: tuple[tuple[str, str], ...], modified_ns: int) -> tuple[KnownTable, Reading]:
    return read_known(path, dict(columns))


def mark_known_objects(
    batch: StagedBatch, known: KnownTable, epochs_mjd: NDArray[np.float64], rule: KnownObjects | None = None
) -> StagedBatch:
    """Return a batch whose detections of known objects have the object's kind and no label.

    A known transient joins the group of its name. The object's name is added to ``parameters``.

    Parameters
    ----------
    batch : StagedBatch
    known : KnownTable
    epochs_mjd : (n,) or (1,) float64
        Of the rows, or of all of them; NaN where there is none.
    rule : KnownObjects, optional
        Decides what becomes of detections without an epoch; by default they match what shines at any time.
    """
    table = batch.table
    epochs_mjd = np.broadcast_to(epochs_mjd, (table.num_rows,))
    columns = {name: table[name].to_pylist() for name in ("kind", "label", "group", "parameters")}
    ra_deg, dec_deg = to_float(table["ra_deg"]), to_float(table["dec_deg"])
    by_position = rule is not None and rule.without_epoch == "position_only"
    matched = known.match(ra_deg, dec_deg, epochs_mjd, without_epoch=by_position)
    is_detection = np.array(columns["kind"]) == DETECTION
    for row in np.flatnonzero((matched >= 0) & is_detection):
        name, kind = str(known.names[matched[row]]), str(known.kinds[matched[row]])
        columns["kind"][row], columns["label"][row] = kind, None
        if kind == KNOWN_TRANSIENT:
            columns["group"][row] = KNOWN_GROUP + name
        columns["parameters"][row] = _with_entry(columns["parameters"][row], "known_object", name)
    marked = replace(batch, table=with_columns(table, columns))
    if rule is None or by_position:
        return marked
    is_unknown = is_detection & np.isnan(epochs_mjd) & np.isfinite(ra_deg) & (matched < 0)
    return reject_rows(marked, is_unknown, NO_EPOCH, f"the row has no epoch: {rule.remedy}")


def _with_entry(parameters: str, name: str, value: str) -> str:
    return json.dumps({**json.loads(parameters), name: value}, sort_keys=True)


def reject_rows(batch: StagedBatch, rows: NDArray[np.bool_], reason: str, fault: str) -> StagedBatch:
    """Return a batch with the stored ones among some rows, (n,), rejected, and without their pixels."""
    is_stored = to_bool(pc.equal(batch.table["status"], STORED))
    rows = rows & is_stored
    if not rows.any():
        return batch
    columns = {name: batch.table[name].to_pylist() for name in ("status", "reason", "pixel_sha256", "parameters")}
    for row in np.flatnonzero(rows):
        columns["status"][row], columns["reason"][row], columns["pixel_sha256"][row] = REJECTED, reason, None
        columns["parameters"][row] = _with_entry(columns["parameters"][row], "fault", fault)
    return replace(batch, table=with_columns(batch.table, columns), pixels=batch.pixels[~rows[is_stored]])
