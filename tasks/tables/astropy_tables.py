"""Tables of a workspace as astropy tables, with units and masks."""

from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from astropy.table import Column, Table

UNIT_OF_ENDING: MappingProxyType[str, str] = MappingProxyType(
    {
        "_arcsec_per_px": "arcsec/pix",
        "_arcsec_per_h": "arcsec/h",
        "_arcsec": "arcsec",
        "_deg": "deg",
        "_px": "pix",
        "_mag": "mag",
        "_mjd": "d",
        "_counts": "ct",
    }
)
"""Unit of a column by the end of its name; the first that fits."""


def read_astropy_table(path: Path | str, columns: Sequence[str] | None = None) -> "Table":
    """Return a Parquet file as an astropy table; see `astropy_table`.

    Parameters
    ----------
    path : Path or str
        Such as a file of ``catalogs/`` or ``scores/``.
    columns : sequence of str, optional
        Columns to read, in their order; None: all.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    KeyError
        It has no column of such a name.
    """
    absent = sorted(set(columns or ()) - set(pq.read_schema(path).names))
    if absent:
        raise KeyError(f"{path} has no column {', '.join(absent)}")
    return astropy_table(pq.read_table(path, columns=None if columns is None else list(columns)))


def astropy_table(table: pa.Table) -> "Table":
    """Return an Arrow table, n rows, as an astropy table, n rows: ids, labels, scores or a dataset's ledger.

    A column's unit is that of its field's metadata, else that of its name's end, such as ``ra_deg`` or ``width_px``; a
    magnitude has the unit mag. What is null is masked, and a NaN stays NaN. Text, numbers and truth values keep their
    type; other values, such as times, become text.

    Parameters
    ----------
    table : Table
        As `tasks.store.dataset.Dataset` returns its tables.
    """
    from astropy.table import Table

    return Table(
        [_column(field, values) for field, values in zip(table.schema, table.columns, strict=True)],
        names=table.column_names,
        copy=False,
    )


def unit_of(field: pa.Field) -> str | None:
    """Return the unit of a column as astropy writes it, or None."""
    told = (field.metadata or {}).get(b"unit", b"").decode().replace("px", "pix")
    return told or next((unit for ending, unit in UNIT_OF_ENDING.items() if field.name.endswith(ending)), None)


def _column(field: pa.Field, values: pa.ChunkedArray) -> "Column":
    from astropy.table import Column, MaskedColumn

    is_number = pa.types.is_integer(field.type) or pa.types.is_floating(field.type) or pa.types.is_boolean(field.type)
    if is_number:
        filled = pc.fill_null(values, pa.scalar(0, pa.int8()).cast(field.type))
        array = np.asarray(filled.to_numpy())
    else:
        array = np.array(["" if value is None else str(value) for value in values.to_pylist()], np.str_)
    unit = unit_of(field) if is_number else None
    if not values.null_count:
        return Column(array, unit=unit)
    return MaskedColumn(array, mask=np.asarray(values.is_null().to_numpy()), unit=unit)
