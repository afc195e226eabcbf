"""Detections that match known objects: they get their own kind and lose their label."""

import json
from functools import lru_cache
from pathlib import Path

import numpy as np

from realbogus.records import DETECTION, MJD_EPOCH_JD
from realbogus.sources.known_objects import KNOWN_TRANSIENT, KnownTable, read_known
from tasks.candidates.staged_rows import StagedBatch
from tasks.store.columns import to_float
from tasks.store.merging import with_columns

KNOWN_GROUP = "known-"
"""Prefix of the group of a known transient: all its detections are one group, which is in the test part alone."""
_MJD_NAMES = ("mjd", "midpointMjdTai", "midPointTai")


def mark_known_objects(batch: StagedBatch, known: KnownTable, epoch_mjd: float | None = None) -> StagedBatch:
    """Return a batch whose detections of known objects have the object's kind and no label.

    A known transient joins the group of its name. The object's name is added to ``parameters``.

    Parameters
    ----------
    batch : StagedBatch
    known : KnownTable
    epoch_mjd : float, optional
        Of all rows; by default each row's own, from its ``parameters`` (`epoch_of`).
    """
    table = batch.table
    columns = {name: table[name].to_pylist() for name in ("kind", "label", "group", "parameters")}
    epochs = [epoch_mjd if epoch_mjd is not None else epoch_of(text) for text in columns["parameters"]]
    epochs_mjd = np.array([np.nan if epoch is None else epoch for epoch in epochs])
    matched = known.match(to_float(table["ra_deg"]), to_float(table["dec_deg"]), epochs_mjd)
    for row in np.flatnonzero((matched >= 0) & (np.array(columns["kind"]) == DETECTION)):
        name, kind = str(known.names[matched[row]]), str(known.kinds[matched[row]])
        columns["kind"][row], columns["label"][row] = kind, None
        if kind == KNOWN_TRANSIENT:
            columns["group"][row] = KNOWN_GROUP + name
        parameters = {**json.loads(columns["parameters"][row]), "known_object": name}
        columns["parameters"][row] = json.dumps(parameters, sort_keys=True)
    return StagedBatch(with_columns(table, columns), batch.pixels)


def epoch_of(parameters: str) -> float | None:
    """Return the epoch (MJD) in a record's parameters (JSON): ``jd``, or a field of MJD; None if there is none."""
    values = json.loads(parameters)
    if isinstance(values.get("jd"), int | float):
        return float(values["jd"]) - MJD_EPOCH_JD
    return next((float(values[name]) for name in _MJD_NAMES if values.get(name)), None)


def open_known(path: Path) -> KnownTable:
    """Read a table of known objects, once per process until the file changes."""
    return _read_known(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=2)
def _read_known(path: Path, modified_ns: int) -> KnownTable:
    return read_known(path)
