"""What an open table is, whatever its format: named columns with units, read as typed batches without missing marks."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

MISSING_TEXT: tuple[str, ...] = (
    *("", "nan", "NaN", "NAN", "-nan", "null", "NULL", "Null", "None", "N/A", "NA", "--"),
    *("-9999", "-9999.0", "-9999.00", "-9999.000", "-9999.000000", "-9999.00000000"),
)
"""Texts that mean a missing value in the published tables."""

MISSING_NUMBER = -9999


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


def typed_batch(path: Path, arrays: dict[str, pa.Array], wanted: dict[str, pa.DataType]) -> pa.RecordBatch:
    """Return a batch of the arrays cast to the given types; missing values become null."""
    typed = []
    for name, kind in wanted.items():
        try:
            typed.append(_cast(arrays[name], kind))
        except pa.ArrowInvalid as error:
            raise TableError(f"table {path}: column {name!r}: {error}") from error
    return pa.record_batch(typed, names=list(wanted))


def _cast(values: pa.Array, kind: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        values = pc.utf8_trim_whitespace(values.cast(pa.string()))
        values = pc.if_else(pc.is_in(values, pa.array(MISSING_TEXT)), None, values)
    elif pa.types.is_floating(values.type):
        values = pc.if_else(pc.and_(pc.is_finite(values), pc.not_equal(values, MISSING_NUMBER)), values, None)
    elif pa.types.is_signed_integer(values.type):
        values = pc.if_else(pc.not_equal(values, MISSING_NUMBER), values, None)
    if pa.types.is_boolean(kind) and not pa.types.is_boolean(values.type):
        return pc.not_equal(values.cast(pa.float32()), 0)
    if pa.types.is_boolean(values.type) and pa.types.is_floating(kind):
        values = values.cast(pa.int8())
    return values.cast(kind)
