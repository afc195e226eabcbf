"""VOTables: read whole, since astropy's parser does not stream; the first table of several."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from tasks.tables.column_names import name_columns
from tasks.tables.table_columns import TableError, TableFile, typed_batch

_ROWS_A_BATCH = 16_384
_TAIL_BYTES = 4096


@contextmanager
def open_votable(path: Path, plain: Path) -> Iterator[TableFile]:
    """Open a VOTable for as long as the block lasts; see `table_files.open_table`."""
    _check_end(path, plain)
    with plain.open("rb") as stream:
        content = parse_votable(stream, str(path))
    tables = [table for table in content.iter_tables() if table.fields]
    status = _query_status(content)
    if not tables:
        raise TableError(f"VOTable {path} cannot be read: it holds no table{f' ({status})' if status else ''}")
    table = tables[0]
    fields = [(field, stored) for field, stored in zip(table.fields, table.array.dtype.names, strict=True)]
    reasons = {field_name(field): _why_not_flat(field, table.array.dtype[stored]) for field, stored in fields}
    ignored = {name: reason for name, reason in reasons.items() if reason}
    declared = {field_name(field).strip(): str(field.unit) for field in table.fields if field.unit is not None}
    names = name_columns(path, [field_name(field) for field, _ in fields if field_name(field) not in ignored], declared)
    columns = {field_name(field).strip(): stored for field, stored in fields}
    own = {key: columns[name] for key, name in names.written.items()}
    floats = frozenset(key for key, name in own.items() if table.array.dtype[name].kind == "f")

    def read(wanted: dict[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
        for start in range(0, len(table.array), _ROWS_A_BATCH):
            part = table.array[start : start + _ROWS_A_BATCH]
            yield typed_batch(path, {name: _masked_array(part[own[name]]) for name in wanted}, wanted)

    notes = [f"the query's status is {status}"] if status else []
    if len(tables) > 1:
        others = ", ".join(repr(other.name or other.ID or "?") for other in tables[1:])
        notes.append(f"the first of {len(tables)} tables is read, {table.name or table.ID or '?'!r}; not {others}")
    yield TableFile(path, tuple(names.written), floats, read, names.written, names.units, ignored, tuple(notes))


def parse_votable(stream: BinaryIO, name: str) -> Any:
    """Return astropy's VOTable of a stream.

    Raises
    ------
    TableError
        It cannot be parsed; the message holds `name`.
    """
    from astropy.io import votable

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # published tables bend the standard in harmless ways
        try:
            return votable.parse(stream, verify="ignore")
        except Exception as error:  # the parser raises its own, expat's, numpy's and struct's errors on broken files
            raise TableError(f"VOTable {name} cannot be read: {error}") from error


def field_name(field: Any) -> str:
    """Return a field's name, else its ID."""
    return str(field.name or field.ID)


def _check_end(path: Path, plain: Path) -> None:
    with plain.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - _TAIL_BYTES))
        tail = stream.read().replace(b"\x00", b"").lower()
    if not re.search(rb"votable\s*>", tail):
        raise TableError(
            f"VOTable {path} cannot be read: it is truncated, its end </VOTABLE> is missing; copy or download it again"
        )


def _query_status(content: Any) -> str:
    """Return what a service says of its answer where it is not in order: an error, or rows left out."""
    infos = [info for resource in content.resources for info in resource.infos] + list(content.infos)
    for info in infos:
        if info.name == "QUERY_STATUS" and str(info.value).upper() != "OK":
            return " ".join(f"{info.value}: {info.content or ''}".split()).rstrip(":")
    return ""


def _why_not_flat(field: Any, kind: np.dtype) -> str:
    """Say why a column is no flat text or number; empty where it is."""
    size = str(field.arraysize or "")
    described = f"{field.datatype}, arraysize {size}" if size else str(field.datatype)
    if field.datatype in ("char", "unicodeChar"):
        return f"it holds arrays of text ({described})" if "x" in size else ""
    if kind.kind == "c":
        return f"it holds complex numbers ({described})"
    if kind.shape or kind.kind == "O":
        return f"it holds arrays ({described})"
    return ""


def _masked_array(values: np.ma.MaskedArray) -> pa.Array:
    mask = np.ma.getmaskarray(values)
    if values.dtype.kind in "OSU":
        return pa.array(np.char.strip(values.filled("").astype(str)), mask=mask)
    return pa.array(np.ascontiguousarray(values.data), mask=mask)
