"""Parquet tables: flat columns, streamed; units from the fields' metadata, astropy's header or an embedded VOTable."""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.tables.astropy_headers import parse_header
from tasks.tables.column_names import NO_NAME, name_columns
from tasks.tables.table_columns import TableError, TableFile, typed_batch

_ROWS_A_BATCH = 16_384
_ASTROPY_HEADER, _VOTABLE_HEADER = b"table_meta_yaml", b"IVOA.VOTable-Parquet.content"


@contextmanager
def open_parquet(path: Path, plain: Path) -> Iterator[TableFile]:
    """Open a Parquet table for as long as the block lasts; see `table_files.open_table`."""
    _check_footer(path, plain)
    with pq.ParquetFile(plain) as source:
        yield _table_file(path, source)


def _table_file(path: Path, source: pq.ParquetFile) -> TableFile:
    schema = source.schema_arrow
    masks = _masks(schema)
    ignored = _why_ignored(schema, masks)
    names = name_columns(path, [name for name in schema.names if name not in ignored], _declared_units(schema))
    columns = {name.strip(): name for name in schema.names}
    own = {key: columns[name] for key, name in names.written.items()}
    floats = frozenset(key for key, name in own.items() if pa.types.is_floating(schema.field(name).type))

    def read(wanted: dict[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
        stored = [own[name] for name in wanted]
        stored += [masks[name] for name in stored if name in masks]
        for batch in source.iter_batches(_ROWS_A_BATCH, columns=stored):
            yield typed_batch(path, {name: _unmasked(batch, own[name], masks) for name in wanted}, wanted)

    return TableFile(path, tuple(names.written), floats, read, names.written, names.units, ignored)


def _why_ignored(schema: pa.Schema, masks: Mapping[str, str]) -> dict[str, str]:
    """Return column, by its number where it has no name, -> why it is not read."""
    reasons = {field.name or f"(column {at + 1})": _why_not_flat(field) for at, field in enumerate(schema)}
    reasons |= {mask: f"it says where {name!r} is missing" for name, mask in masks.items()}
    return {name: reason for name, reason in reasons.items() if reason}


def _check_footer(path: Path, plain: Path) -> None:
    with plain.open("rb") as stream:
        stream.seek(0, io.SEEK_END)
        stream.seek(max(0, stream.tell() - 4))
        if stream.read() != b"PAR1":
            raise TableError(
                f"table {path} cannot be read: the Parquet file is truncated, its footer is missing; "
                "copy or download it again"
            )


def _why_not_flat(field: pa.Field) -> str:
    """Say why a column is no flat text or number; empty where it is."""
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    if not field.name.strip():
        return NO_NAME
    if pa.types.is_nested(kind):
        return f"it holds lists, structs or maps ({kind})"
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return f"it holds bytes, not text ({kind})"
    if isinstance(kind, pa.BaseExtensionType) or pa.types.is_interval(kind) or pa.types.is_duration(kind):
        return f"it is neither text nor number ({kind})"
    return ""


def _masks(schema: pa.Schema) -> dict[str, str]:
    """Return column -> column that says where it is missing, which astropy writes of a masked column."""
    if _ASTROPY_HEADER not in (schema.metadata or {}):
        return {}
    return {
        field.name.removesuffix(".mask"): field.name
        for field in schema
        if field.name.endswith(".mask") and pa.types.is_boolean(field.type)
    }


def _unmasked(batch: pa.RecordBatch, name: str, masks: dict[str, str]) -> pa.Array:
    values = batch.column(name)
    return pc.if_else(batch.column(masks[name]), None, values) if name in masks else values


def _declared_units(schema: pa.Schema) -> dict[str, str]:
    metadata = schema.metadata or {}
    units = _votable_units(metadata[_VOTABLE_HEADER]) if _VOTABLE_HEADER in metadata else {}
    units |= _astropy_units(metadata[_ASTROPY_HEADER]) if _ASTROPY_HEADER in metadata else {}
    for field in schema:
        for key, value in (field.metadata or {}).items():
            if key.lower() in (b"unit", b"units"):
                units[field.name.strip()] = value.decode("utf-8", errors="replace")
    return units


def _astropy_units(header: bytes) -> dict[str, str]:
    """Return the units of the header that ``astropy.table.Table.write`` leaves; a damaged one declares none."""
    try:
        return {column.name: column.unit for column in parse_header(header.decode().split("\n")) if column.unit}
    except ValueError:
        return {}


def _votable_units(header: bytes) -> dict[str, str]:
    """Return the units of the VOTable that a VOParquet file holds."""
    from tasks.tables.votables import declared_units, parse_votable

    return declared_units(parse_votable(io.BytesIO(header), "the VOTable in its metadata").get_first_table())
