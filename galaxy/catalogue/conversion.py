"""Conversion of a published table's batches to catalogue columns: types, sentinels, positions, classes."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from galaxy.catalogue.columns import BY_NAME, EXTINCTION, MAJORITY_BUTTONS
from galaxy.catalogue.identifiers import DamageWatch, ids_from_files, ids_from_positions
from galaxy.catalogue.layouts import Layout
from galaxy.catalogue.positions import parse_angles
from galaxy.labels.votes import derive_classes

_POSITIONS = ("ra_deg", "dec_deg")
_FLAGS = ("spiral", "elliptical", "uncertain")
SHOWN_ANGLES, LONGEST_SHOWN = 3, 64


class UnreadAngles:
    """The first angles of a table that cannot be read, for messages."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        """Such as ``dec = 'north'``; at most `SHOWN_ANGLES`."""

    def see(self, column: str, text: pa.Array, degrees: np.ndarray) -> None:
        """Note the texts of a column, (rows,), that are there and have no finite angle."""
        unread = pc.is_valid(text).to_numpy(zero_copy_only=False) & ~np.isfinite(degrees)
        rows = np.flatnonzero(unread)[: SHOWN_ANGLES - len(self.shown)]
        self.shown += [f"{column} = {text[row].as_py()[:LONGEST_SHOWN]!r}" for row in rows.tolist()]


def empty_batch(layout: Layout) -> pa.RecordBatch:
    """Return a batch without rows that has the columns of a table of this layout."""
    types = types_to_read(layout)
    empty = pa.record_batch([pa.array([], kind) for kind in types.values()], names=list(types))
    return convert(empty, layout, DamageWatch(Path(), ""))


def types_to_read(layout: Layout) -> dict[str, pa.DataType]:
    """Return the Arrow type to read each of the table's columns with."""
    types = {}
    for name, column in layout.source.items():
        kind = BY_NAME[name].type if name in BY_NAME else pa.float64()
        if name in _POSITIONS:
            kind = pa.string()  # decimal in one table, sexagesimal in another
        types[column] = kind
    return types | dict.fromkeys(layout.extra, pa.string())


def units_to_read(layout: Layout) -> dict[str, str]:
    """Return the unit that each of the table's columns of a physical quantity is wanted in; empty for pure numbers."""
    units = {
        column: BY_NAME[name].unit
        for name, column in layout.source.items()
        if name in BY_NAME and pa.types.is_float64(BY_NAME[name].type)
    }
    return units | ({layout.source[EXTINCTION]: "mag"} if EXTINCTION in layout.source else {})


def convert(
    batch: pa.RecordBatch, layout: Layout, watch: DamageWatch, unread: UnreadAngles | None = None
) -> pa.RecordBatch:
    """Return a batch of a table's rows as catalogue columns; bad values are null.

    `watch` sees the ids, and `unread` the angles that become NaN since they cannot be read.

    Raises
    ------
    CatalogueError
        An id is written as a floating-point number.
    """
    raw = {name: batch.column(column) for name, column in layout.source.items()}
    if "id" in raw:
        raw["id"] = _blank_to_null(raw["id"])
        watch.see(raw["id"])
    for name in (name for name in _POSITIONS if name in raw):
        raw[name] = _angles(raw[name], layout.source[name], unread, sexagesimal_hours=name == "ra_deg")
    columns = {name: _in_range(name, values) for name, values in raw.items() if name in BY_NAME}
    _add_id(columns)
    _add_magnitudes(columns, raw)
    _add_gz1_classes(columns, raw)
    if layout.has_votes:
        columns["gz2_class_derived"] = derive_classes(pa.record_batch(columns))
    ordered = {name: columns[name] for name in BY_NAME if name in columns}
    return pa.record_batch(ordered | {name: _blank_to_null(batch.column(name)) for name in layout.extra})


def _blank_to_null(text: pa.Array) -> pa.Array:
    trimmed = pc.utf8_trim_whitespace(text)
    return pc.if_else(pc.equal(trimmed, ""), None, trimmed)


def _angles(text: pa.Array, column: str, unread: UnreadAngles | None, *, sexagesimal_hours: bool) -> pa.Array:
    degrees = parse_angles(text, sexagesimal_hours=sexagesimal_hours)
    if unread is not None:
        unread.see(column, text, degrees)
    return pa.array(degrees, mask=pc.is_null(text).to_numpy(zero_copy_only=False))


def _in_range(name: str, values: pa.Array) -> pa.Array:
    """Replace marks of missing values, outside the column's (low, high), by null."""
    column = BY_NAME[name]
    if column.type == pa.string():
        return values if name == "id" else _blank_to_null(values)
    tests = [pc.greater(values, column.low)] if column.low is not None else []
    tests += [pc.less(values, column.high)] if column.high is not None else []
    for inside in tests:
        values = pc.if_else(inside, values, None)
    return values


def _add_id(columns: dict[str, pa.Array]) -> None:
    """Add ids to a table without any: the stems of its image files, else its positions."""
    if "id" in columns:
        return
    if "file" in columns:
        columns["id"] = ids_from_files(columns["file"])
    else:
        columns["id"] = ids_from_positions(*(floats(columns[name]) for name in _POSITIONS))


def _add_magnitudes(columns: dict[str, pa.Array], raw: dict[str, pa.Array]) -> None:
    if EXTINCTION in raw:
        extinction = pc.if_else(pc.greater_equal(raw[EXTINCTION], 0), raw[EXTINCTION], None)
        columns["r_mag_corrected"] = pc.subtract(columns["r_mag"], extinction)


def _add_gz1_classes(columns: dict[str, pa.Array], raw: dict[str, pa.Array]) -> None:
    """Add the class of Galaxy Zoo 1's flags (null unless exactly one is set) and the button with most votes.

    Without the flag ``uncertain`` it is set where the other two are known and unset.
    """
    flags = {name: columns[f"gz1_{name}"] for name in _FLAGS if f"gz1_{name}" in columns}
    if set(flags) == {"spiral", "elliptical"}:
        flags["uncertain"] = pc.invert(pc.or_(flags["spiral"], flags["elliptical"]))
    if "gz1_class" not in columns and len(flags) == len(_FLAGS):
        set_flags = np.stack([pc.fill_null(f, False).to_numpy(zero_copy_only=False) for f in flags.values()])
        names = np.array(list(flags))[np.argmax(set_flags, axis=0)]
        columns["gz1_class"] = pa.array(names, pa.string(), mask=set_flags.sum(axis=0) != 1)
    if set(MAJORITY_BUTTONS) <= set(raw):
        shares = np.nan_to_num(np.stack([floats(raw[name]) for name in MAJORITY_BUTTONS]), nan=-1.0)
        buttons = np.array(list(MAJORITY_BUTTONS.values()))[np.argmax(shares, axis=0)]
        columns["gz1_majority"] = pa.array(buttons, pa.string(), mask=shares.max(axis=0) <= 0)


def floats(values: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Return a column as float64 of shape (rows,), NaN where null."""
    return values.cast(pa.float64()).to_numpy(zero_copy_only=False)
