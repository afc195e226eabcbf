"""What an open table is, whatever its format: named columns with units, read as typed batches without missing marks."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

MISSING_TEXT: tuple[str, ...] = (
    *("", "nan", "NaN", "NAN", "-nan", "null", "NULL", "Null", "None", "N/A", "NA", "--"),
    *("<NA>", "#N/A", "n/a", "\\N"),
    *("-9999", "-9999.0", "-9999.00", "-9999.000", "-9999.000000", "-9999.00000000"),
)
"""Texts that mean a missing value in the published tables."""

NO_NUMBER: tuple[str, ...] = ("-", "---", "----", "..", "...", "?", "*", "indef", "undef", "none", "masked")
"""Texts, in lower case, that stand for no number; in a column of text they may mean something."""

MISSING_NUMBER = -9999
TRUE_TEXT: tuple[str, ...] = ("1", "1.0", "true", "True", "TRUE", "t", "T", "yes", "Yes", "YES", "y", "Y")
FALSE_TEXT: tuple[str, ...] = ("0", "0.0", "false", "False", "FALSE", "f", "F", "no", "No", "NO", "n", "N")
_NUMBER = r"(?i)^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$|^[-+]?(inf|infinity|nan)$"


class TableError(ValueError):
    """A table file cannot be read; the message names the file and the column."""


@dataclass(frozen=True)
class TableFile:
    """An open table: its path, its column names, and a function that reads columns."""

    path: Path
    columns: tuple[str, ...]
    """Lower-case names without a bracketed unit, in the file's order; columns of `ignored` are not among them."""
    float_columns: frozenset[str]
    """Columns that the file declares as floating point (a CSV declares none)."""
    read: Callable[[dict[str, pa.DataType]], Iterator[pa.RecordBatch]]
    """Takes lower-case name -> type and gives record batches of those columns; missing values are null."""
    spelling: Mapping[str, str] = field(default_factory=dict)
    """Lower-case name -> name as the file writes it."""
    units: Mapping[str, str] = field(default_factory=dict)
    """Lower-case name -> unit as the file declares it; `units.read_in_units` converts."""
    ignored: Mapping[str, str] = field(default_factory=dict)
    """Name as the file writes it -> why the column is not read (a vector, a struct, undecodable text, ...)."""
    notes: tuple[str, ...] = ()
    """What the user should hear of how the file was read: another encoding, the first of three tables, ..."""

    def find(self, name: str) -> str | None:
        """Return the column that a user means by a name, as written in the file or without its unit; else None."""
        wanted = name.strip().lower()
        if wanted in self.columns:
            return wanted
        return next((column for column, written in self.spelling.items() if written.lower() == wanted), None)


def typed_batch(path: Path, arrays: Mapping[str, pa.Array], wanted: dict[str, pa.DataType]) -> pa.RecordBatch:
    """Return a batch of the arrays cast to the given types; missing values become null.

    Raises
    ------
    TableError
        A column holds values of another type.
    """
    typed = []
    for name, kind in wanted.items():
        try:
            typed.append(_cast(arrays[name], kind))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise TableError(f"table {path}: column {name!r}: {error}") from error
    return pa.record_batch(typed, names=list(wanted))


def _cast(values: pa.Array, kind: pa.DataType) -> pa.Array:
    values = _plain(values)
    if pa.types.is_string(values.type):
        return _cast_text(values, kind)
    values = _without_missing_number(values)
    if pa.types.is_boolean(kind) and not pa.types.is_boolean(values.type):
        return pc.not_equal(values.cast(pa.float32()), 0)
    if pa.types.is_boolean(values.type) and pa.types.is_floating(kind):
        values = values.cast(pa.int8())
    return values.cast(kind)


def _plain(values: pa.Array) -> pa.Array:
    """Return values of any stored type as text, or as numbers that Arrow can compare."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_decimal(values.type):  # whole numbers go through text: 18-digit ids have no exact float64
        values = values.cast(pa.float64()) if values.type.scale > 0 else values.cast(pa.string())
    if pa.types.is_float16(values.type):
        values = values.cast(pa.float32())  # Arrow compares no half floats
    is_text = pa.types.is_large_string(values.type) or values.type == pa.string_view()
    return values.cast(pa.string()) if is_text else values


def _without_missing_number(values: pa.Array) -> pa.Array:
    """Return numbers with null for `MISSING_NUMBER`, NaN and infinity; integers of 8 bits hold none of them."""
    if pa.types.is_floating(values.type):
        return pc.if_else(pc.and_(pc.is_finite(values), pc.not_equal(values, MISSING_NUMBER)), values, None)
    if pa.types.is_signed_integer(values.type) and values.type.bit_width > 8:
        return pc.if_else(pc.not_equal(values, pa.scalar(MISSING_NUMBER, values.type)), values, None)
    return values


def _cast_text(text: pa.Array, kind: pa.DataType) -> pa.Array:
    trimmed = pc.utf8_trim_whitespace(text)
    values = pc.if_else(pc.is_in(trimmed, pa.array(MISSING_TEXT)), None, trimmed)
    if pa.types.is_boolean(kind):
        known = pc.is_in(values, pa.array((*TRUE_TEXT, *FALSE_TEXT)))
        unknown = values.filter(pc.and_(pc.is_valid(values), pc.invert(known)))
        if len(unknown):
            raise pa.ArrowInvalid(f"{unknown[0].as_py()!r} is no truth value; 1, 0, true and false are")
        return pc.if_else(pc.is_valid(values), pc.is_in(values, pa.array(TRUE_TEXT)), None)
    if pa.types.is_string(kind):
        return values
    values = pc.if_else(pc.is_in(pc.utf8_lower(values), pa.array(NO_NUMBER)), None, values)
    unread = values.filter(pc.invert(pc.match_substring_regex(values, _NUMBER)))
    if len(unread):
        raise pa.ArrowInvalid(f"{unread[0].as_py()!r} is no number: correct it, or leave the cell empty without one")
    values = pc.replace_substring_regex(values, r"^\+", "")  # which Arrow does not read
    if pa.types.is_integer(kind):
        try:
            return values.cast(kind)
        except pa.ArrowInvalid:
            values = values.cast(pa.float64())  # pandas writes 16 as 16.0 where another cell is blank
    return values.cast(kind)
