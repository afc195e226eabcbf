"""Triplets in a folder of one array file and one CSV, row for row, whoever made them.

The array is (n, height, width, 3), ``.npy`` or a member of an ``.npz``. Ids are the column ``candid`` or ``id``, else
the array file's sha256 and the row.
"""

from collections.abc import Iterator, Sequence
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


class TripletSource:
    """A folder with an array of triplets and its table.

    Parameters
    ----------
    path : Path
        The folder; it holds one ``.npy`` or ``.npz`` and one ``.csv``.
    stamp_px : int
        Side of the stamps given out; others are cut or padded by `stamps.fit_size`.
    label_column, group_column : str, optional
        Else ``weak_label`` or ``label``, and ``objectId``. Without labels all are unlabelled, without groups every
        row is one of its own.
    channels : sequence of str
        What the array's channels are: ``new``, ``reference``, ``difference`` in any order.
    negative_column : str, optional
        Column that says ``f`` or 0 where the difference is reference minus new, as ZTF's ``isdiffpos`` does. Such
        differences are negated and flagged. None leaves all as they are; a column that is absent does the same.
    longitude_deg : float
        Of the site, east positive: nights are counted from its noon.
    batch_rows : int

    Raises
    ------
    SourceError
        The folder does not hold one array and one table of the same length, or a named column is absent, or a label
        or id cannot be used.
    """

    def __init__(
        self,
        path: Path,
        stamp_px: int = 29,
        label_column: str | None = None,
        group_column: str | None = None,
        channels: Sequence[str] = CHANNELS,
        negative_column: str | None = "isdiffpos",
        longitude_deg: float = 0.0,
        batch_rows: int = BATCH_ROWS,
    ) -> None:
        if sorted(channels) != sorted(CHANNELS):
            raise SourceError(f"channels are {list(channels)}, expected {', '.join(CHANNELS)} in any order")
        self.path, self.stamp_px, self.longitude_deg, self.batch_rows = path, stamp_px, longitude_deg, batch_rows
        self._settings = (stamp_px, label_column, group_column, tuple(channels), negative_column, longitude_deg)
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
        self._negative = _read_negative(self.table, negative_column)

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        """Travel as the settings: another process reads the table itself."""
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
    """Yield the records of a folder of triplets, 2,048 at most at a time; errors as of `TripletSource`."""
    yield from read_records(TripletSource(path, stamp_px, label_column))


def _only_file(path: Path, suffixes: tuple[str, ...]) -> Path:
    if not path.is_dir():
        raise SourceError(f"{path} is no folder; it must hold an array and its CSV")
    found = sorted(file for file in path.iterdir() if file.suffix in suffixes)
    if len(found) != 1:
        raise SourceError(f"{path} holds {len(found)} files {' or '.join(suffixes)}, expected one")
    return found[0]


def _read_labels(table: RowTable, column: str | None) -> list[str | None]:
    if column is None:
        return [None] * len(table)
    words = [word if word is None else word.strip().lower() for word in table.text(column)]
    for row, word in enumerate(words):
        if word not in LABEL_WORDS:
            raise SourceError(
                f"{table.path}: row {row} has {column} {word!r}; a label is 1 or real, 0 or bogus, -1 or nothing"
            )
    return [LABEL_WORDS[word] for word in words]


def _read_ids(table: RowTable, array_path: Path) -> list[str] | None:
    """Return the table's own ids, which must agree with the array file's where it holds them too."""
    name = table.first_of(ID_NAMES)
    if name is None:
        return None
    seen: dict[str, int] = {}
    for row, value in enumerate(table.text(name)):
        if value is None:
            raise SourceError(f"{table.path}: row {row} has no {name}")
        if value in seen:
            raise SourceError(f"{table.path}: rows {seen[value]} and {row} have the same {name} {value}")
        seen[value] = row
    ids = list(seen)
    beside = read_member_ids(array_path)
    if beside is not None and [str(value) for value in beside] != ids:
        raise SourceError(f"{array_path} and {table.path} do not name the same {name} row for row")
    return ids


def _read_negative(table: RowTable, column: str | None) -> np.ndarray:
    if column is None or not table.has(column):
        return np.zeros(len(table), bool)
    return np.array([str(word).lower() in NEGATIVE_WORDS for word in table.text(column)], bool)
