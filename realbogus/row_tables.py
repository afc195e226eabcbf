"""Tables with one row per triplet of an array, held as text so that no id loses a digit, with their columns' roles.

A role is a quantity that a source needs; which column holds it is decided by whoever opens the table. All columns are
kept as the records' parameters.
"""

import csv
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from numpy.typing import NDArray

from realbogus.epochs import column_epochs, number_epochs
from realbogus.readings import Reading
from realbogus.records import SourceError, night_of
from realbogus.sky_angles import read_degrees

MISSING_TEXT = ("", "nan", "NaN", "NAN", "null", "NULL", "None", "N/A", "NA")
ROLE_NAMES = ("id", "group", "ra", "dec", "label", "kind", "sign", "detector", "band", "night", "time", "time_of_day")
REPORTED = ("id", "group", "ra", "dec", "time", "label", "detector", "band", "sign")
"""Roles whose missing rows a reading counts."""
MOST_RA_DEG, MOST_DEC_DEG = 360.0, 90.0


class RowTable:
    """A table's columns, as text, and as numbers where every value of a column is one.

    Attributes
    ----------
    path : Path
    names : tuple of str
        In the file's order; a column of a CSV without a name is called ``column_0`` and so on.
    roles : dict of str
        Role (`ROLE_NAMES`) to the name of its column.
    ignored, notes : tuple of str
        Columns that could not be read, with the reason; what else there is to say of the file.
    """

    def __init__(
        self,
        path: Path,
        text: pa.Table | None = None,
        roles: Mapping[str, str] | None = None,
        ignored: Sequence[str] = (),
        notes: Sequence[str] = (),
    ) -> None:
        """Take a table's text, or read a CSV.

        Parameters
        ----------
        path : Path
        text : Table of string columns, optional
            By default the CSV at `path` is read.
        roles : mapping of str to str, optional
            By default a column has the role that it is named for.
        ignored, notes : sequence of str

        Raises
        ------
        SourceError
            The CSV is missing or empty, repeats a column, or has a row of another length.
        """
        self.path = path
        self._text = read_csv_text(path) if text is None else text.combine_chunks()
        self.names = tuple(self._text.column_names)
        own = {name.lower(): name for name in self.names}
        self.roles = dict(roles if roles is not None else {role: own[role] for role in ROLE_NAMES if role in own})
        self._typed = pa.table({name: _typed(self._text[name]) for name in self.names})
        self.ignored, self.notes = tuple(ignored), tuple(notes)

    def __len__(self) -> int:
        return len(self._text)

    def has(self, name: str) -> bool:
        """Return whether there is a column of this name."""
        return name in self.names

    def text(self, name: str, first: int = 0, count: int | None = None) -> list[str | None]:
        """Return `count` rows of a column as written; None where a value is missing."""
        if not self.has(name):
            raise SourceError(f"{self.path} has no column {name!r}; its columns are {', '.join(self.names)}")
        return self._text[name].slice(first, count).to_pylist()

    def texts_of(self, role: str, first: int, count: int) -> list[str | None]:
        """Return `count` rows of the column of a role as written; all None where no column has it."""
        return self.text(self.roles[role], first, count) if role in self.roles else [None] * count

    def parameters(self, first: int, count: int) -> list[dict[str, Any]]:
        """Return `count` rows, each with all its columns as numbers or text."""
        return self._typed.slice(first, count).to_pylist() if self.names else [{} for _ in range(count)]

    @cached_property
    def positions(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Right ascension and declination in degrees, (n,) each; NaN where one is missing or cannot be."""
        ra_deg, dec_deg = self._angles("ra", hours=True), self._angles("dec", hours=False)
        with np.errstate(invalid="ignore"):
            impossible = (np.abs(dec_deg) > MOST_DEC_DEG) | (np.abs(ra_deg) > MOST_RA_DEG)
        ra_deg[impossible] = dec_deg[impossible] = np.nan
        return ra_deg, dec_deg

    def _angles(self, role: str, *, hours: bool) -> NDArray[np.float64]:
        """Return the angles of a role's column, (n,).

        Raises
        ------
        SourceError
            A value is no coordinate.
        """
        if role not in self.roles:
            return np.full(len(self), np.nan)
        column = self._typed[self.roles[role]]
        if not pa.types.is_string(column.type):
            values = np.array(pc.cast(column, pa.float64()).to_numpy(), np.float64)
            values[~np.isfinite(values)] = np.nan
            return values
        degrees = np.full(len(self), np.nan)
        for row, text in enumerate(column.to_pylist()):
            try:
                degrees[row] = np.nan if text is None else read_degrees(text, hours=hours)
            except ValueError as error:
                raise SourceError(f"{self.path}: column {self.roles[role]!r}, row {row}: {error}") from error
        return degrees

    @cached_property
    def epochs_mjd(self) -> NDArray[np.float64]:
        """Epochs, MJD in UTC, (n,); NaN where there is none."""
        return self._epochs[0]

    @cached_property
    def _epochs(self) -> tuple[NDArray[np.float64], list[str]]:
        """Return the epochs and what is wrong with values that are none."""
        if "time" not in self.roles:
            return np.full(len(self), np.nan), []
        name = self.roles["time"]
        column = self._typed[name]
        if "time_of_day" not in self.roles and not pa.types.is_string(column.type):
            numbers = number_epochs(name, np.array(pc.cast(column, pa.float64()).to_numpy(), np.float64))
            if numbers is not None:
                return numbers, []
        clocks = self.text(self.roles["time_of_day"]) if "time_of_day" in self.roles else None
        return column_epochs(name, self.text(name), clocks)

    def nights(self, first: int, count: int, longitude_deg: float) -> list[str | None]:
        """Return the nights: as the table names them, else computed from the epoch, else None."""
        if "night" in self.roles:
            return self.texts_of("night", first, count)
        epochs = self.epochs_mjd[first : first + count].tolist()
        return [night_of(epoch, longitude_deg) if np.isfinite(epoch) else None for epoch in epochs]

    def reading(self, first: int, count: int) -> Reading:
        """Return the roles of the columns, and how many of `count` rows lack each."""
        missing = {role: self._missing(role, first, count) for role in REPORTED}
        faults = self._epochs[1]
        notes = [*self.notes, *faults[:1], *([f"and {len(faults) - 1} more such rows"] if len(faults) > 1 else [])]
        return Reading(self.roles, self.ignored, missing, tuple(f"{self.path}: {note}" for note in notes))

    def _missing(self, role: str, first: int, count: int) -> int:
        if role == "time":
            return int(np.isnan(self.epochs_mjd[first : first + count]).sum())
        if role in ("ra", "dec"):
            return int(np.isnan(self.positions[role == "dec"][first : first + count]).sum())
        return self._text[self.roles[role]].slice(first, count).null_count if role in self.roles else count


def no_table_note(array: Path, others: Sequence[str] = ()) -> str:
    """Say what is unknown of an array file without a table, and which tables beside it are not its own."""
    beside = f", and {', '.join(others)} cannot be told to be its own" if others else ""
    return (
        f"there is no table {array.stem}.csv (.parquet, .fits, ...) beside it{beside}: the sign of its differences, "
        "ids, positions and nights are unknown"
    )


def rows_without_columns(path: Path, count: int, others: Sequence[str] = ()) -> RowTable:
    """Return the table of an array that has none: rows of which nothing is known.

    Parameters
    ----------
    path : Path
        The array.
    count : int
    others : sequence of str
        Names of tables beside it, for the note on it.
    """
    return _Bare(path, count, others)


class _Bare(RowTable):
    def __init__(self, path: Path, count: int, others: Sequence[str]) -> None:
        super().__init__(path, pa.table({}), {}, notes=[no_table_note(path, others)])
        self._count = count

    def __len__(self) -> int:
        return self._count


def read_csv_text(path: Path) -> pa.Table:
    """Read a CSV's columns as text; errors as of `RowTable`."""
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
    return table.combine_chunks()


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
