"""Triplets of any origin: an array file and a table of as many rows, in one folder.

The array is (n, height, width, 3), ``.npy`` or a member of an ``.npz``. Ids are those of the table, else of a member of
the ``.npz``, else the array file's sha256 and the row.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from realbogus.records import (
    BOGUS,
    DETECTION,
    NEGATED,
    NEGATED_FLAG,
    NEGATIVE_WORDS,
    REAL,
    BatchKey,
    FileSpan,
    Records,
    SourceError,
    file_sha256,
    make_records,
    row_id,
)
from realbogus.row_tables import RowTable, rows_without_columns
from realbogus.sources.array_files import StampArray, read_member_columns
from realbogus.sources.triplet_files import TripletFiles, find_triplet_files
from realbogus.stamps import fit_size

BATCH_ROWS = 2048
CHANNELS = ("new", "reference", "difference")
LABEL_WORDS: dict[str | None, str | None] = {
    **{"1": REAL, "1.0": REAL, "real": REAL, "true": REAL},
    **{"0": BOGUS, "0.0": BOGUS, "bogus": BOGUS, "false": BOGUS},
    **{"-1": None, "-1.0": None, "unlabelled": None, None: None},
}
_ROUNDED_ID = re.compile(r"[-+]?\d(\.\d+)?[eE]\+?\d+|[-+]?\d{16,}\.0*")
"""An id that passed through floating point and lost its last digits."""

TableReader = Callable[[Path, pa.Table | None], RowTable]
"""Opens a table file, or takes the columns of an ``.npz``, and finds the roles of its columns."""


def read_plain_table(path: Path, columns: pa.Table | None = None) -> RowTable:
    """Open a CSV, or take columns, whose columns are named for their roles (`row_tables.ROLE_NAMES`)."""
    return RowTable(path, columns)


@dataclass(frozen=True)
class TripletConventions:
    """How a set of triplets was written.

    Attributes
    ----------
    channels : sequence of str
        The array's channels: ``new``, ``reference``, ``difference`` in any order.
    signed : bool
        The column of the role ``sign`` is ``f`` or 0 where the difference is reference minus new, as ZTF's
        ``isdiffpos``. Such differences are negated and flagged. False, or no such column, leaves all unchanged.
    longitude_deg : float
        Of the site, east positive: nights are counted from its noon.
    read_table : TableReader
        Picklable.
    """

    channels: Sequence[str] = CHANNELS
    signed: bool = True
    longitude_deg: float = 0.0
    read_table: TableReader = read_plain_table


class TripletSource:
    """An array of triplets and its table.

    Parameters
    ----------
    path : Path
        The folder, or the array file in it; see `triplet_files.find_triplet_files`.
    stamp_px : int
        Width of the returned stamps; others are cut or padded by `stamps.fit_size`.
    label_column, group_column : str, optional
        By default the columns of the roles ``label`` and ``group``. Without labels all are unlabelled, without groups
        every row is a group of its own.
    conventions : TripletConventions
    batch_rows : int

    Raises
    ------
    SourceError
        There is no such array, its table is of another length, a named column is absent, or a label is invalid.
    """

    def __init__(
        self,
        path: Path,
        stamp_px: int = 29,
        label_column: str | None = None,
        group_column: str | None = None,
        conventions: TripletConventions = TripletConventions(),
        batch_rows: int = BATCH_ROWS,
    ) -> None:
        channels = conventions.channels
        if sorted(channels) != sorted(CHANNELS):
            raise SourceError(f"channels are {list(channels)}, expected {', '.join(CHANNELS)} in any order")
        self.path, self.stamp_px, self.batch_rows = path, stamp_px, batch_rows
        self.longitude_deg = conventions.longitude_deg
        self._settings = (stamp_px, label_column, group_column, conventions)
        files = find_triplet_files(path)
        self.array = StampArray(files.array)
        self.table = _open_table(self.array, files, conventions.read_table)
        for role, column in (("label", label_column), ("group", group_column)):
            if column is not None:
                self.table.text(column)
                self.table.roles[role] = column
        self._order = [list(channels).index(channel) for channel in CHANNELS]
        self._labels = _read_labels(self.table)
        self._ids = _read_ids(self.table, files.array)
        self._negative = _read_negative(self.table, conventions.signed)

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        """Pickle the settings: another process reads the table itself."""
        return TripletSource, (self.path, *self._settings, self.batch_rows)

    @property
    def label_column(self) -> str | None:
        """Name of the column of labels."""
        return self.table.roles.get("label")

    def batches(self) -> list[BatchKey]:
        """Return the batches in the order of rows."""
        digest = file_sha256(self.array.path)
        return [
            BatchKey(
                f"{digest[:16]}-{first:08d}",
                (FileSpan(self.array.path.name, first, min(self.batch_rows, len(self.array) - first)),),
                digest,
            )
            for first in range(0, len(self.array), self.batch_rows)
        ]

    def ids(self, batch: BatchKey) -> list[str]:
        """Return the ids of a batch; a row without one has the array file's sha256 and its number."""
        (part,) = batch.parts
        own = self._ids[part.first : part.first + part.count] if self._ids else [None] * part.count
        return [name or row_id(batch.identity, row) for row, name in enumerate(own, start=part.first)]

    def places(self, batch: BatchKey) -> list[str]:
        """Return file and row of each record of a batch."""
        (part,) = batch.parts
        return [f"{self.array.path} row {row}" for row in range(part.first, part.first + part.count)]

    def read(self, batch: BatchKey) -> Records:
        """Return the records of a batch."""
        (part,) = batch.parts
        first, count, ids, table = part.first, part.count, self.ids(batch), self.table
        negative = self._negative[first : first + count]
        parameters = table.parameters(first, count)
        for row in np.flatnonzero(negative):
            parameters[row][NEGATED_FLAG] = NEGATED
        ra_deg, dec_deg = (_or_none(values[first : first + count]) for values in table.positions)
        columns: dict[str, Sequence[Any]] = {
            "id": ids,
            "group": [group or own for group, own in zip(table.texts_of("group", first, count), ids, strict=True)],
            "ra_deg": ra_deg,
            "dec_deg": dec_deg,
            "label": self._labels[first : first + count],
            "kind": [kind or DETECTION for kind in table.texts_of("kind", first, count)],
            "detector": table.texts_of("detector", first, count),
            "night": table.nights(first, count, self.longitude_deg),
            "epoch_mjd": table.epochs_mjd[first : first + count].tolist(),
            "parameters": parameters,
        }
        return make_records(columns, self._read_pixels(first, count, negative), reading=table.reading(first, count))

    def _read_pixels(self, first: int, count: int, negative: np.ndarray) -> np.ndarray:
        pixels = fit_size(self.array.rows(first, count), self.stamp_px)[..., self._order]
        pixels[negative, ..., 2] *= -1
        return pixels


def _open_table(array: StampArray, files: TripletFiles, read_table: TableReader) -> RowTable:
    """Open an array's table: its file, else the one-dimensional members of an ``.npz``, else one without columns.

    Raises
    ------
    SourceError
        A table is required and none, or more than one, has as many rows as the array, or it cannot be read.
    """
    fitting, faults = [], []
    for path in files.tables:
        try:
            table = read_table(path, None)
        except SourceError as error:
            faults.append(str(error))
            continue
        if len(table) == len(array):
            fitting.append(table)
        else:
            faults.append(f"{array.path} has {len(array)} rows, {path} has {len(table)}: they must go row for row")
    if len(fitting) == 1:
        return fitting[0]
    if files.is_required:
        several = (
            f"{len(fitting)} tables have the {len(array)} rows of {array.path}: name its table {array.path.stem}.csv"
        )
        raise SourceError(several if fitting else "; ".join(faults))
    members = read_member_columns(array.path, len(array))
    if members:
        return read_table(array.path, pa.table(members))
    return rows_without_columns(array.path, len(array), [path.name for path in files.tables])


def _or_none(values: np.ndarray) -> list[float | None]:
    return [value if np.isfinite(value) else None for value in values.tolist()]


def _read_labels(table: RowTable) -> list[str | None]:
    words = [word if word is None else word.strip().lower() for word in table.texts_of("label", 0, len(table))]
    for row, word in enumerate(words):
        if word not in LABEL_WORDS:
            raise SourceError(
                f"{table.path}: row {row} has {table.roles['label']} {word!r}; a label is 1 or real, 0 or bogus, -1 or "
                "empty"
            )
    return [LABEL_WORDS[word] for word in words]


def _read_ids(table: RowTable, array_path: Path) -> list[str | None]:
    """Return the table's ids, None for a row without one, checked against those of the array file if it holds any.

    A column that names the group too, such as ``objectId``, counts as ids only where every row has its own.
    """
    column = table.roles.get("id")
    if column is None:
        return []
    ids = table.text(column)
    if column == table.roles.get("group") and len(set(ids)) < len(ids):
        del table.roles["id"]
        return []
    rounded = next((row for row, value in enumerate(ids) if value and _ROUNDED_ID.fullmatch(value)), None)
    if rounded is not None:
        raise SourceError(
            f"{table.path}: row {rounded} has {column} {ids[rounded]}, which passed through floating point and lost "
            "digits: write it as text or as an integer"
        )
    members = read_member_columns(array_path, len(table))
    own = next((values for name, values in members.items() if name.lower() == column.lower()), None)
    if own is not None and own != ids:
        raise SourceError(f"{array_path} and {table.path} do not have the same {column} row for row")
    return ids


def _read_negative(table: RowTable, signed: bool) -> np.ndarray:
    words = table.texts_of("sign", 0, len(table)) if signed else [None] * len(table)
    return np.array([str(word).lower() in NEGATIVE_WORDS for word in words], bool)
