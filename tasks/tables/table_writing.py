"""Parquet tables as FITS and VOTable, for programs that read no Parquet; a part of the rows is in memory at a time."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO, Literal
from xml.sax.saxutils import escape

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

if TYPE_CHECKING:
    from astropy.table import Table

TableFormat = Literal["fits", "votable"]
SUFFIXES: MappingProxyType[str, str] = MappingProxyType({"fits": ".fits", "votable": ".vot"})

ROWS_AT_ONCE = 1 << 15
_FITS_BLOCK = 2880  # bytes; a file consists of whole ones
_TABLE_END = b"</TABLE>"
_UNITS = {"px": "pix"}  # as both standards write it
_NOT_FINITE = {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}  # as VOTable writes them


def write_table_as(source: Path, path: Path, kind: TableFormat) -> None:
    """Write a Parquet file of text, numbers and truth values in another format.

    A missing text is empty, a missing number NaN, a missing truth value -1 (0 is false, 1 true). The fields' metadata
    ``unit`` becomes the columns' unit. FITS holds ASCII: other letters are escaped as Python does.

    Parameters
    ----------
    source : Path
    path : Path
        Replaced if it exists.
    kind : str
    """
    with pq.ParquetFile(source) as file, path.open("wb") as target:
        if kind == "fits":
            _write_fits(file, target)
        else:
            _write_votable(file, target)


def _write_fits(file: pq.ParquetFile, target: BinaryIO) -> None:
    from astropy.io import fits

    table = fits.table_to_hdu(_without_rows(file, _in_ascii))
    table.header["NAXIS2"] = file.metadata.num_rows
    row = table.columns.dtype.newbyteorder(">")
    for header in (fits.PrimaryHDU().header, table.header):
        target.write(header.tostring().encode("ascii"))
    for columns in _parts(file, _in_ascii):
        rows = np.zeros(len(columns[0]), row)
        for name, values in zip(table.columns.names, columns, strict=True):
            rows[name] = values
        target.write(rows.tobytes())
    target.write(bytes(-target.tell() % _FITS_BLOCK))


def _write_votable(file: pq.ParquetFile, target: BinaryIO) -> None:
    document = io.BytesIO()
    _without_rows(file, str).write(document, format="votable")
    start, end = document.getvalue().split(_TABLE_END)
    target.write(start + b"<DATA><TABLEDATA>\n")
    for columns in _parts(file, escape):
        cells = [_cells(values) for values in columns]
        lines = ("".join(f"<TD>{cell}</TD>" for cell in row) for row in zip(*cells, strict=True))
        target.writelines(f"<TR>{line}</TR>\n".encode() for line in lines)
    target.write(b"</TABLEDATA></DATA>\n" + _TABLE_END + end)


def _cells(values: NDArray[Any]) -> list[Any]:
    """Return a column (n,) as VOTable writes it."""
    if values.dtype.kind != "f":
        return list(values.tolist())
    return [_NOT_FINITE.get(str(value), value) for value in values.tolist()]


def _in_ascii(text: str) -> str:
    return text.encode("ascii", "backslashreplace").decode()


def _without_rows(file: pq.ParquetFile, write: Callable[[str], str]) -> "Table":
    """Return an astropy table with a Parquet file's columns, wide enough for its texts, and no row."""
    from astropy.table import Column, Table

    types = [_values(pa.array([], field.type), write).dtype for field in file.schema_arrow]
    for columns in _parts(file, write):
        types = [np.promote_types(*pair) for pair in zip(types, (values.dtype for values in columns), strict=True)]
    return Table(
        [
            Column(np.empty(0, kind), name=field.name, unit=_unit(field))
            for field, kind in zip(file.schema_arrow, types, strict=True)
        ]
    )


def _unit(field: pa.Field) -> str | None:
    name = (field.metadata or {}).get(b"unit", b"").decode()
    return _UNITS.get(name, name) or None


def _parts(file: pq.ParquetFile, write: Callable[[str], str]) -> Iterator[list[NDArray[Any]]]:
    """Yield the columns of `ROWS_AT_ONCE` rows after another; none for a file without rows."""
    for batch in file.iter_batches(ROWS_AT_ONCE):
        yield [_values(column, write) for column in batch.columns]


def _values(column: pa.Array, write: Callable[[str], str]) -> NDArray[Any]:
    """Return a column (n,) as an array that both formats can hold."""
    if pa.types.is_string(column.type):
        return np.array([write(text) for text in pc.fill_null(column, "").to_pylist()], dtype=np.str_)
    if pa.types.is_boolean(column.type):
        return np.asarray(pc.fill_null(column.cast(pa.int16()), -1))
    kind = column.type if pa.types.is_integer(column.type) and not column.null_count else pa.float64()
    return np.asarray(column.cast(kind).to_numpy(zero_copy_only=False))
