"""Which files make up a pair of a new and a reference frame: listed in a table, or matched by file name.

A folder holds ``pairs.csv`` or ``pairs.parquet``, or frames named ``new*`` and ``ref*``. The table's columns are those
of `PairFiles`; a quantity of `frame_keywords.FrameKeywords` may be given for both frames (``gain_e_per_count``) or for
one (``new_gain_e_per_count``). No frame is opened.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from realbogus.library_faults import MACHINE_FAULTS
from realbogus.records import SourceError, file_sha256
from realbogus.row_tables import RowTable
from realbogus.sources.frame_keywords import FrameKeywords

FRAMES = ("new", "reference")
IMAGE_SUFFIX = r"\.(?:fits?|fts)(?:\.(?:gz|bz2|xz|fz))?"
"""Pattern of the ends of the names of FITS images, in any case."""
TRUTH_WORDS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
"""What a column of yes and no may say."""
_TABLE_NAMES = ("pairs.csv", "pairs.parquet")
_QUANTITIES = tuple(name for name in FrameKeywords.model_fields if name != "site_longitude_deg")
_FILE_COLUMNS = (
    *FRAMES,
    *(f"{frame}_{what}" for frame in FRAMES for what in ("mask", "variance", "psf")),
    "catalog",
    "difference",
)
_TEXT_COLUMNS = ("new_hdu", "reference_hdu", "detector", "night", "visit", "sky_cell", "aligned")
_QUANTITY_COLUMNS = (*_QUANTITIES, *(f"{frame}_{name}" for frame in FRAMES for name in _QUANTITIES))


@dataclass(frozen=True)
class PairFiles:
    """The files of a pair and its row of the table.

    Attributes
    ----------
    files : dict of Path
        ``new``, ``reference`` and any of ``new_mask, new_variance, new_psf``, those of the reference, ``catalog``,
        ``difference`` (new minus reference on the new frame's pixels, for the engine ``precomputed``).
    columns : dict of str
        Every other column that has a value.
    visit : int
        Number of the visit.
    """

    files: dict[str, Path]
    columns: dict[str, str] = field(default_factory=dict)
    visit: int = 0

    @cached_property
    def identity(self) -> str:
        """Return the prefix of the ids of a pair's candidates: a sha256 over both frames' bytes."""
        return hashlib.sha256("".join(_identify(self.files[frame]) for frame in FRAMES).encode()).hexdigest()[:32]

    @property
    def absent(self) -> list[Path]:
        """Return the files that do not exist; reading the pair costs one row then."""
        return [file for file in self.files.values() if not file.is_file()]

    @property
    def name(self) -> str:
        """Return the paths of both frames, for messages."""
        return " with ".join(str(self.files[frame]) for frame in FRAMES)

    def is_named_in(self, message: str) -> bool:
        """Return whether a message names one of the files."""
        return any(str(file) in message for file in self.files.values())

    def values(self, frame: str) -> dict[str, str]:
        """Return the table's quantities of the ``new`` or the ``reference`` frame, by the names of `FrameKeywords`."""
        values = {name: self.columns.get(f"{frame}_{name}", self.columns.get(name)) for name in _QUANTITIES}
        return {name: value for name, value in values.items() if value is not None}


def read_pairs(path: Path) -> list[PairFiles]:
    """List the pairs of a folder or a table; no frame is opened, and files of some pairs may be absent.

    Raises
    ------
    SourceError
        There is no pair, none has all of its files, or a column is unknown.
    """
    if path.is_file():
        return _read_table(path)
    if not path.is_dir():
        raise SourceError(f"{path} is neither a folder nor a table of pairs")
    table = find_table(path)
    return _pair_by_name(path) if table is None else _read_table(table)


def _require_whole(pairs: list[PairFiles], place: Path) -> list[PairFiles]:
    """Refuse pairs of which none has all of its files: their names or their folder are wrong."""
    if all(pair.absent for pair in pairs):
        raise SourceError(
            f"{place}: of {len(pairs)} pairs none has all of its files; {pairs[0].absent[0]} does not exist"
        )
    return pairs


def find_table(folder: Path) -> Path | None:
    """Return the table of pairs of a folder; None without one.

    Raises
    ------
    SourceError
        There are two.
    """
    tables = [folder / name for name in _TABLE_NAMES if (folder / name).is_file()]
    if len(tables) > 1:
        raise SourceError(f"{folder} holds both {' and '.join(_TABLE_NAMES)}: keep one")
    return tables[0] if tables else None


def files_of_table(table: Path) -> list[Path]:
    """Return the files that a table of pairs names, each once, whether they exist or not.

    Raises
    ------
    SourceError
        The table cannot be read.
    """
    named = (row.get(column) for row in _table_rows(table) for column in _FILE_COLUMNS)
    return list(dict.fromkeys(table.parent / name for name in named if name))


def _identify(file: Path) -> str:
    """Return the sha256 of a file's bytes, or its name if it cannot be opened: reading it then costs one row."""
    try:
        return file_sha256(file)
    except OSError as error:
        if error.errno in MACHINE_FAULTS:
            raise
        return file.name


def _pair_by_name(folder: Path) -> list[PairFiles]:
    """Pair ``newX`` with ``refX`` or ``referenceX``; a single reference is paired with every new frame."""
    new, reference = _files_by_key(folder, r"new"), _files_by_key(folder, r"ref(?:erence)?")
    if not new or not reference:
        raise SourceError(
            f"{folder} holds {len(new)} frames new* and {len(reference)} ref*; name them so, or add a table"
        )
    single = next(iter(reference.values())) if len(reference) == 1 else None
    references = {key: reference.get(key, single or folder / f"ref{key}.fits") for key in new}
    pairs = [PairFiles({"new": new[key], "reference": references[key]}, visit=visit) for visit, key in enumerate(new)]
    return _require_whole(pairs, folder)


def _files_by_key(folder: Path, prefix: str) -> dict[str, Path]:
    pattern = re.compile(rf"{prefix}(.*?){IMAGE_SUFFIX}", re.IGNORECASE)
    return {match[1]: file for file in sorted(folder.iterdir()) if (match := pattern.fullmatch(file.name))}


def _read_table(path: Path) -> list[PairFiles]:
    rows = _table_rows(path)
    if not rows:
        raise SourceError(f"{path} has no rows")
    unknown = sorted(set(rows[0]) - {*_FILE_COLUMNS, *_TEXT_COLUMNS, *_QUANTITY_COLUMNS})
    if unknown:
        names = ", ".join((*_FILE_COLUMNS, *_TEXT_COLUMNS, *_QUANTITIES))
        raise SourceError(f"{path} has the unknown columns {', '.join(unknown)}; known are {names}")
    return _require_whole([_read_row(path, number, row) for number, row in enumerate(rows)], path)


def _table_rows(path: Path) -> list[dict[str, str]]:
    if path.suffix == ".csv":
        table = RowTable(path)
        columns: Mapping[str, list[Any]] = {name: table.text(name) for name in table.names}
    else:
        try:
            columns = pq.read_table(path).to_pydict()
        except (pa.ArrowInvalid, OSError) as error:
            raise SourceError(f"table {path} cannot be read: {error}") from error
    count = len(next(iter(columns.values()), []))
    rows = [{name: values[row] for name, values in columns.items()} for row in range(count)]
    return [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows]


def _read_row(path: Path, number: int, row: dict[str, str]) -> PairFiles:
    columns = {name: value for name, value in row.items() if value}
    files = {name: path.parent / columns.pop(name) for name in _FILE_COLUMNS if name in columns}
    for frame in FRAMES:
        if frame not in files:
            raise SourceError(f"{path}: row {number} names no {frame} frame")
    if not columns.get("visit", "0").isdecimal():
        raise SourceError(f"{path}: row {number}: visit is {columns['visit']!r}, it must be a whole number")
    if columns.get("aligned", "true").lower() not in TRUTH_WORDS:
        raise SourceError(f"{path}: row {number}: aligned is {columns['aligned']!r}, it must be true or false")
    return PairFiles(files, columns, int(columns.get("visit", number)))
