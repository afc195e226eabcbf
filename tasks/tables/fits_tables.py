"""FITS tables: binary and ASCII, one of several, streamed from a memory map."""

import re
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.tables.column_names import name_columns
from tasks.tables.roles import names_rows
from tasks.tables.table_columns import TableError, TableFile, typed_batch

_ROWS_A_BATCH = 16_384
_FORMAT = re.compile(r"(\d*)([LXBIJKAEDCMPQ])(.*)", re.IGNORECASE)
_NOT_FLAT = {
    "X": "bits",
    "C": "complex numbers",
    "M": "complex numbers",
    "P": "arrays of variable length",
    "Q": "arrays of variable length",
}


@contextmanager
def open_fits(path: Path, plain: Path) -> Iterator[TableFile]:
    """Open a FITS table for as long as the block lasts; see `table_files.open_table`."""
    from astropy.io import fits  # half a second to import, and most tables are CSV

    with ExitStack() as stack:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is wrong with a file is found below
            units = stack.enter_context(fits.open(plain, memmap=True))
            unit, notes = _choose_table(path, units, plain.stat().st_size)
            columns = {column.name: _why_not_flat(column, unit) for column in unit.columns}
            table = _table_file(path, unit, {name: reason for name, reason in columns.items() if reason}, notes)
        yield table


def _choose_table(path: Path, units: Any, size: int) -> tuple[Any, tuple[str, ...]]:
    """Return the first table unit whose rows have an id, a position or a file, else the first, and a note of others.

    SExtractor's ``LDAC_IMHEAD`` holds an image's header, not a table.
    """
    from astropy.io import fits

    found = [
        (at, unit)
        for at, unit in enumerate(units)
        if isinstance(unit, fits.BinTableHDU | fits.TableHDU) and unit.name != "LDAC_IMHEAD"
    ]
    if not found:
        last = units[-1].fileinfo()
        foreign = last["datLoc"] + last["datSpan"] < size  # a header that astropy could not read to its end
        truncated = foreign or _missing_bytes(units[-1], size) > 0
        cut = ": it is truncated; copy or download it again" if truncated else ""
        raise TableError(f"FITS file {path} holds no table{cut}")
    at, unit = next((pair for pair in found if names_rows(pair[1].columns.names)), found[0])
    missing = _missing_bytes(unit, size)
    if missing > 0:
        raise TableError(
            f"table {path} cannot be read: the FITS file is truncated, {missing} bytes are missing of the "
            f"{unit.header['NAXIS2']} rows that its header states; copy or download it again"
        )
    if len(found) == 1:
        return unit, ()
    others = ", ".join(f"{number} {other.name!r}" for number, other in found if number != at)
    place = "the first" if at == found[0][0] else "one"
    return unit, (f"{place} of {len(found)} tables is read, unit {at} {unit.name!r}; not {others}",)


def _missing_bytes(unit: Any, size: int) -> int:
    """Return how far a unit's data, by its header and without padding, reaches past the end of the file."""
    header = unit.header
    sides = [int(header[f"NAXIS{axis}"]) for axis in range(1, int(header["NAXIS"]) + 1)]
    elements = int(np.prod(sides, dtype=np.int64)) + int(header.get("PCOUNT", 0)) if sides else 0
    span = abs(int(header["BITPIX"])) // 8 * int(header.get("GCOUNT", 1)) * elements
    return int(unit.fileinfo()["datLoc"]) + span - size


def _why_not_flat(column: Any, unit: Any) -> str:
    """Say why a column is no flat text or number; empty where it is."""
    if unit.header["XTENSION"].strip() == "TABLE":
        return _why_undecodable(unit.data, column.name)
    found = _FORMAT.match(str(column.format))
    if found is None:
        return f"its format {column.format!r} is unknown"
    count, code = int(found[1] or 1), found[2].upper()
    if code in _NOT_FLAT:
        return f"it holds {_NOT_FLAT[code]} ({column.format})"
    if count == 0:
        return f"it has no width ({column.format})"
    if code == "A":
        if column.dim is not None or re.search(r"\d", found[3]):
            return f"it holds arrays of text ({column.format})"
        return _why_undecodable(unit.data, column.name)
    return f"it holds vectors of {count} values ({column.format})" if count > 1 else ""


def _why_undecodable(rows: Any, name: str) -> str:
    for start in range(0, len(rows), _ROWS_A_BATCH):
        text = _raw(rows[start : start + _ROWS_A_BATCH], name)
        codes = np.frombuffer(text.tobytes(), np.uint8).reshape(len(text), -1)
        foreign = np.flatnonzero((codes > 127).any(axis=1))
        if len(foreign):
            return f"it holds bytes that are not ASCII, row {start + foreign[0] + 1} is {bytes(text[foreign[0]])!r}"
    return ""


def _table_file(path: Path, unit: Any, ignored: dict[str, str], notes: tuple[str, ...]) -> TableFile:
    columns = unit.columns
    declared = {column.name.strip(): str(column.unit) for column in columns if column.unit}
    names = name_columns(path, [name for name in columns.names if name not in ignored], declared)
    stored = {name.strip(): name for name in columns.names}
    own = {key: stored[name] for key, name in names.written.items()}
    floats = frozenset(key for key, name in own.items() if _is_float(columns[name]))

    def read(wanted: dict[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
        rows = unit.data
        for start in range(0, len(rows), _ROWS_A_BATCH):
            part = rows[start : start + _ROWS_A_BATCH]
            yield typed_batch(path, {name: _array(part, columns[own[name]]) for name in wanted}, wanted)

    return TableFile(path, tuple(names.written), floats, read, names.written, names.units, ignored, notes)


def _is_scaled(column: Any) -> bool:
    return column.bscale not in (None, "", 1) or column.bzero not in (None, "", 0)


def _is_unsigned(column: Any) -> bool:
    """Say whether TZERO only makes the integers unsigned (or the bytes signed)."""
    zeros = {"B": -128, "I": 1 << 15, "J": 1 << 31, "K": 1 << 63}
    code = str(column.format).strip("0123456789")[:1]
    return column.bscale in (None, "", 1) and code in zeros and column.bzero == zeros[code]


def _is_float(column: Any) -> bool:
    if str(column.format).strip("0123456789")[:1] in "EDF":
        return True
    return _is_scaled(column) and not _is_unsigned(column)


def _raw(rows: Any, name: str) -> np.ndarray:
    """Return a column's stored values, before astropy scales, decodes or fills them."""
    return np.asarray(rows.view(np.ndarray)[name])


def _array(rows: Any, column: Any) -> pa.Array:
    """Turn one FITS column (big-endian, scaled, blank-padded text) into Arrow; undefined values are null."""
    raw = _raw(rows, column.name)
    code = str(column.format).strip("0123456789")[:1]
    if raw.dtype.kind == "S":
        return _text_array(raw, column)
    if code == "L":
        return pa.array(raw == ord("T"), mask=(raw != ord("T")) & (raw != ord("F")))
    values = np.asarray(rows.field(column.name))
    native = values.astype(values.dtype.newbyteorder("="))
    has_null = column.null not in (None, "") and raw.dtype.kind in "iu"
    return pa.array(native, mask=raw == int(column.null) if has_null else None)


def _text_array(raw: np.ndarray, column: Any) -> pa.Array:
    """Return text, which Arrow ends at a null character, or the numbers of an ASCII table, whose blanks are null."""
    text = np.char.strip(raw.astype("U"))
    null = str(column.null).strip() if column.null not in (None, "") else ""
    if str(column.format)[:1] not in "IFED":
        return pa.array(text, mask=text == null if null else None)
    missing = (text == "") | (text == null)
    plain = np.char.replace(np.char.replace(text, "D", "E"), "d", "e")
    if not _is_scaled(column):
        return pa.array(plain, mask=missing)
    numbers = np.where(missing, "nan", plain).astype(float)
    return pa.array(numbers * float(column.bscale or 1) + float(column.bzero or 0), mask=missing)
