"""VOTables: read whole, since astropy's parser does not stream; one table of several."""

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from tasks.tables.column_names import name_columns
from tasks.tables.parser_faults import name_parser_faults
from tasks.tables.roles import names_rows
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
    chosen = next((table for table in tables if names_rows(map(field_name, table.fields))), tables[0])
    yield _table_file(path, chosen, _notes(tables, chosen, status))


def _notes(tables: Sequence[Any], chosen: Any, status: str) -> tuple[str, ...]:
    notes = [f"the query's status is {status}"] if status else []
    if len(tables) > 1:
        place = "the first" if chosen is tables[0] else "one"
        others = ", ".join(_table_name(table) for table in tables if table is not chosen)
        notes.append(f"{place} of {len(tables)} tables is read, {_table_name(chosen)}; not {others}")
    return tuple(notes)


def _table_name(table: Any) -> str:
    return repr(table.name or table.ID or "?")


def _table_file(path: Path, table: Any, notes: tuple[str, ...]) -> TableFile:
    kinds = table.array.dtype
    written = [field_name(field) for field in table.fields]
    ignored = _why_ignored(table)
    declared = {name.strip(): unit for name, unit in declared_units(table).items()}
    names = name_columns(path, [name for name in written if name not in ignored], declared)
    columns = {name.strip(): stored for name, stored in zip(written, kinds.names, strict=True)}
    own = {key: columns[name] for key, name in names.written.items()}
    floats = frozenset(key for key, stored in own.items() if kinds[stored].kind == "f")

    def read(wanted: dict[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
        for start in range(0, len(table.array), _ROWS_A_BATCH):
            part = table.array[start : start + _ROWS_A_BATCH]
            yield typed_batch(path, {name: _masked_array(part[own[name]]) for name in wanted}, wanted)

    return TableFile(path, tuple(names.written), floats, read, names.written, names.units, ignored, notes)


def parse_votable(stream: BinaryIO, name: str) -> Any:
    """Return astropy's VOTable of a stream.

    Raises
    ------
    TableError
        It cannot be parsed; the message holds `name`.
    """
    from astropy.io import votable

    with name_parser_faults(f"VOTable {name}"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # published tables bend the standard in harmless ways
        return votable.parse(stream, verify="ignore")


def field_name(field: Any) -> str:
    """Return a field's name, else its ID."""
    return str(field.name or field.ID)


def declared_units(table: Any) -> dict[str, str]:
    """Return the name of each field of a table that has a unit -> the unit."""
    return {field_name(field): str(field.unit) for field in table.fields if field.unit is not None}


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


def _why_ignored(table: Any) -> dict[str, str]:
    """Return field -> why it is not read."""
    kinds = table.array.dtype
    reasons = {
        field_name(field): _why_not_flat(field, kinds[stored])
        for field, stored in zip(table.fields, kinds.names, strict=True)
    }
    return {name: reason for name, reason in reasons.items() if reason}


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
