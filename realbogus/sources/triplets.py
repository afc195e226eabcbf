"""Triplets of any origin, in a folder with one array file and one CSV of as many rows.

The array is (n, height, width, 3), ``.npy`` or a member of an ``.npz``. Ids are the column ``candid`` or ``id``, else
the array file's sha256 and the row.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

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
    read_records,
    row_id,
)
from realbogus.row_tables import DEC_NAMES, RA_NAMES, RowTable
from realbogus.sources.array_files import StampArray, read_member_ids
from realbogus.stamps import fit_size

BATCH_ROWS = 2048
CHANNELS = ("new", "reference", "difference")
ID_NAMES = ("candid", "id")
LABEL_NAMES = ("weak_label", "label")
LABEL_WORDS: dict[str | None, str | None] = {
    **{"1": REAL, "1.0": REAL, "real": REAL},
    **{"0": BOGUS, "0.0": BOGUS, "bogus": BOGUS},
    **{"-1": None, "-1.0": None, "unlabelled": None, None: None},
}


@dataclass(frozen=True)
class TripletConventions:
    """How a set of triplets was written.

    Attributes
    ----------
    channels : sequence of str
        The array's channels: ``new``, ``reference``, ``difference`` in any order.
    negative_column : str or None
        Column that is ``f`` or 0 where the difference is reference minus new, as ZTF's ``isdiffpos``. Such differences
        are negated and flagged. None, or an absent column, leaves all unchanged.
    longitude_deg : float
        Of the site, east positive: nights are counted from its noon.
    """

    channels: Sequence[str] = CHANNELS
    negative_column: str | None = "isdiffpos"
    longitude_deg: float = 0.0


class TripletSource:
    """A folder with an array of triplets and its table.

    Parameters
    ----------
    path : Path
        The folder; it holds one ``.npy`` or ``.npz`` and one ``.csv``.
    stamp_px : int
        Width of the returned stamps; others are cut or padded by `stamps.fit_size`.
    label_column, group_column : str, optional
        By default ``weak_label`` or ``label``, and ``objectId``. Without labels all are unlabelled, without groups
        every row is a group of its own.
    conventions : TripletConventions
    batch_rows : int

    Raises
    ------
    SourceError
        The folder does not hold one array and one table of the same length, a named column is absent, or a label or id
        is invalid.
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
        self.array = StampArray(_only_file(path, (".npy", ".npz")))
        self.table = RowTable(_only_file(path, (".csv",)))
        if len(self.array) != len(self.table):
            raise SourceError(
                f"{self.array.path} has {len(self.array)} rows, {self.table.path} has {len(self.table)}: "
                "they must go row for row"
            )
        self._order = [list(channels).index(channel) for channel in CHANNELS]
        self.label_column = label_column or self.table.first_of(LABEL_NAMES)
        self._labels = _read_labels(self.table, self.label_column)
        self._groups = group_column or self.table.first_of(("objectId",))
        if self._groups is not None:
            self.table.text(self._groups)
        self._ids = _read_ids(self.table, self.array.path)
        self._negative = _read_negative(self.table, conventions.negative_column)

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        """Pickle the settings: another process reads the table itself."""
        return TripletSource, (self.path, *self._settings, self.batch_rows)

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
        """Return the ids of a batch."""
        (part,) = batch.parts
        if self._ids is not None:
            return self._ids[part.first : part.first + part.count]
        return [row_id(batch.identity, row) for row in range(part.first, part.first + part.count)]

    def read(self, batch: BatchKey) -> Records:
        """Return the records of a batch."""
        (part,) = batch.parts
        first, count, ids, table = part.first, part.count, self.ids(batch), self.table
        negative = self._negative[first : first + count]
        parameters = table.parameters(first, count)
        for row in np.flatnonzero(negative):
            parameters[row][NEGATED_FLAG] = NEGATED
        groups = ids if self._groups is None else table.text(self._groups, first, count)
        kinds = table.text("kind", first, count) if table.has("kind") else [None] * count
        columns: dict[str, Sequence[Any]] = {
            "id": ids,
            "group": [group or own for group, own in zip(groups, ids, strict=True)],
            "ra_deg": table.numbers(RA_NAMES, first, count),
            "dec_deg": table.numbers(DEC_NAMES, first, count),
            "label": self._labels[first : first + count],
            "kind": [kind or DETECTION for kind in kinds],
            "detector": table.detectors(first, count),
            "night": table.nights(first, count, self.longitude_deg),
            "parameters": parameters,
        }
        return make_records(columns, self._read_pixels(first, count, negative))

    def _read_pixels(self, first: int, count: int, negative: np.ndarray) -> np.ndarray:
        pixels = fit_size(self.array.rows(first, count), self.stamp_px)[..., self._order]
        pixels[negative, ..., 2] *= -1
        return pixels


def read_triplets(path: Path, stamp_px: int = 29, label_column: str | None = None) -> Iterator[Records]:
    """Yield the records of a folder of triplets, up to 2,048 at a time; errors as of `TripletSource`."""
    yield from read_records(TripletSource(path, stamp_px, label_column))


def _only_file(path: Path, suffixes: tuple[str, ...]) -> Path:
    if not path.is_dir():
        raise SourceError(f"{path} is not a folder; it must hold an array and its CSV")
    files = sorted(file for file in path.iterdir() if file.suffix in suffixes)
    if len(files) != 1:
        raise SourceError(f"{path} holds {len(files)} files {' or '.join(suffixes)}, expected one")
    return files[0]


def _read_labels(table: RowTable, column: str | None) -> list[str | None]:
    if column is None:
        return [None] * len(table)
    words = [word if word is None else word.strip().lower() for word in table.text(column)]
    for row, word in enumerate(words):
        if word not in LABEL_WORDS:
            raise SourceError(
                f"{table.path}: row {row} has {column} {word!r}; a label is 1 or real, 0 or bogus, -1 or empty"
            )
    return [LABEL_WORDS[word] for word in words]


def _read_ids(table: RowTable, array_path: Path) -> list[str] | None:
    """Return the table's ids, checked against those of the array file if it holds any."""
    name = table.first_of(ID_NAMES)
    if name is None:
        return None
    row_of: dict[str, int] = {}
    for row, value in enumerate(table.text(name)):
        if value is None:
            raise SourceError(f"{table.path}: row {row} has no {name}")
        if value in row_of:
            raise SourceError(f"{table.path}: rows {row_of[value]} and {row} have the same {name} {value}")
        row_of[value] = row
    ids = list(row_of)
    array_ids = read_member_ids(array_path)
    if array_ids is not None and [str(value) for value in array_ids] != ids:
        raise SourceError(f"{array_path} and {table.path} do not have the same {name} row for row")
    return ids


def _read_negative(table: RowTable, column: str | None) -> np.ndarray:
    if column is None or not table.has(column):
        return np.zeros(len(table), bool)
    return np.array([str(word).lower() in NEGATIVE_WORDS for word in table.text(column)], bool)
