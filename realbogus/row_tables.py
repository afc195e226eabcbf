"""CSV tables with one row per triplet of an array, read as text first so that no id loses a digit.

Positions and times are found by their usual column names; all columns are kept as the records' parameters.
"""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from realbogus.records import MJD_EPOCH_JD, SourceError, night_of

MISSING_TEXT = ("", "nan", "NaN", "NAN", "null", "NULL", "None", "N/A", "NA")
RA_NAMES = ("ra_deg", "ra")
DEC_NAMES = ("dec_deg", "dec")
DETECTOR_NAMES = ("detector", "rcid", "ccdid")


class RowTable:
    """A CSV table's columns, as text, and as numbers where every value of a column is one.

    Attributes
    ----------
    path : Path
    names : tuple of str
        In the file's order; a column without a name is called ``column_0`` and so on.
    """

    def __init__(self, path: Path) -> None:
        """Read a table.

        Raises
        ------
        SourceError
            The file is missing or empty, repeats a column, or has a row of another length.
        """
        self.path = path
        self.names, self._text = _read_text(path)
        self._typed = pa.table({name: _typed(self._text[name]) for name in self.names})

    def __len__(self) -> int:
        return len(self._text)

    def has(self, name: str) -> bool:
        """Return whether there is a column of this name."""
        return name in self.names

    def first_of(self, names: tuple[str, ...]) -> str | None:
        """Return the first of the names that is a column, None if none is."""
        return next((name for name in names if self.has(name)), None)

    def text(self, name: str, first: int = 0, count: int | None = None) -> list[str | None]:
        """Return `count` rows of a column as written; None where a value is missing."""
        if not self.has(name):
            raise SourceError(f"{self.path} has no column {name!r}; its columns are {', '.join(self.names)}")
        return self._text[name].slice(first, count).to_pylist()

    def numbers(self, names: tuple[str, ...], first: int, count: int) -> list[float | None]:
        """Return `count` rows of the first of these columns that exists, as numbers; all None if none exists."""
        name = self.first_of(names)
        if name is None:
            return [None] * count
        column = self._typed[name].slice(first, count)
        if pa.types.is_string(column.type):
            raise SourceError(f"{self.path}: column {name!r} has values that are not numbers")
        return [value if value is None or np.isfinite(value) else None for value in column.to_pylist()]

    def parameters(self, first: int, count: int) -> list[dict[str, Any]]:
        """Return `count` rows, each with all its columns as numbers or text."""
        return self._typed.slice(first, count).to_pylist()

    def nights(self, first: int, count: int, longitude_deg: float) -> list[str | None]:
        """Return the nights: column ``night``, else computed from ``mjd`` or ``jd``, else None."""
        if self.has("night"):
            return self.text("night", first, count)
        if self.has("mjd"):
            epochs = self.numbers(("mjd",), first, count)
        else:
            epochs = [None if jd is None else jd - MJD_EPOCH_JD for jd in self.numbers(("jd",), first, count)]
        return [None if epoch is None else night_of(epoch, longitude_deg) for epoch in epochs]

    def detectors(self, first: int, count: int) -> list[str | None]:
        """Return the detectors: column ``detector``, ``rcid`` or ``ccdid``, else None."""
        name = self.first_of(DETECTOR_NAMES)
        return [None] * count if name is None else self.text(name, first, count)


def _read_text(path: Path) -> tuple[tuple[str, ...], pa.Table]:
    names = _read_names(path)
    missing = {"null_values": list(MISSING_TEXT), "strings_can_be_null": True, "quoted_strings_can_be_null": True}
    try:
        table = pyarrow.csv.read_csv(
            path,
            read_options=pyarrow.csv.ReadOptions(column_names=names, skip_rows=1, use_threads=False),
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), **missing),
        )
    except (pa.ArrowInvalid, OSError) as error:
        raise SourceError(f"table {path} cannot be read: {error}") from error
    return tuple(names), table.combine_chunks()


def _read_names(path: Path) -> list[str]:
    if not path.is_file():
        raise SourceError(f"table {path} does not exist")
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            header = next(csv.reader(stream), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"table {path} is not CSV text: {error}") from error
    if not header:
        raise SourceError(f"table {path} is empty: its first line must name the columns")
    names = [name.strip() or f"column_{place}" for place, name in enumerate(header)]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise SourceError(f"table {path} has several columns named {', '.join(repeated)}")
    return names


def _typed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    for kind in (pa.int64(), pa.float64()):
        try:
            return pc.cast(column, kind)
        except pa.ArrowInvalid:
            continue
    return column
