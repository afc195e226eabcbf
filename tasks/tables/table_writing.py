"""Parquet tables as FITS and VOTable, for programs that read no Parquet."""

import warnings
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

TableFormat = Literal["fits", "votable"]
SUFFIXES: MappingProxyType[str, str] = MappingProxyType({"fits": ".fits", "votable": ".vot"})


def write_table_as(table: pa.Table, path: Path, kind: TableFormat) -> None:
    """Write a table of text, numbers and truth values.

    A missing text is empty, a missing number NaN, a missing truth value -1 (0 is false, 1 true). The fields' metadata
    ``unit`` becomes the columns' unit. FITS holds ASCII: other letters are escaped as Python does.

    Parameters
    ----------
    table : Table
    path : Path
        Replaced if it exists.
    kind : str
    """
    from astropy.table import Column, Table

    columns = []
    for field in table.schema:
        unit = (field.metadata or {}).get(b"unit")
        values = _values(table[field.name], field.type)
        if kind == "fits" and values.dtype.kind == "U":
            values = np.array([text.encode("ascii", "backslashreplace").decode() for text in values])
        columns.append(Column(values, name=field.name, unit=None if unit is None else unit.decode()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # astropy warns of text beyond ASCII in VOTables, which it writes all the same
        Table(columns).write(path, format=kind, overwrite=True)


def _values(column: pa.ChunkedArray, kind: pa.DataType) -> Any:
    """Return a column (n,) as an array that both formats can hold."""
    if pa.types.is_string(kind):
        return np.array(pc.fill_null(column, "").to_pylist(), dtype=np.str_)
    if pa.types.is_boolean(kind):
        return pc.fill_null(column.cast(pa.int16()), -1).to_numpy()
    return column.cast(pa.float64()).to_numpy() if pa.types.is_floating(kind) else column.to_numpy()
