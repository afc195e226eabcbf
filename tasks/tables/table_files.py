"""Readers of table files: CSV, FITS, VOTable and Parquet, plain or gzipped, as batches of typed Arrow columns.

The format is recognised by the first bytes, never by the file's name. Column names are compared in lower case.
CSV, FITS and Parquet are streamed; a VOTable is held whole, since its parser does not stream.
"""

import csv
import errno
import gzip
import io
import re
import shutil
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from tasks.tables.table_columns import MISSING_TEXT, TableError, TableFile, typed_batch

__all__ = ["MISSING_TEXT", "TableError", "TableFile", "open_table"]

_TRUE, _FALSE = ("1", "1.0", "true", "True", "TRUE", "t", "T"), ("0", "0.0", "false", "False", "FALSE", "f", "F")
_CSV_BLOCK_BYTES = 1 << 20
_CSV_PIECE_BYTES = 4 << 20
_ROWS_A_BATCH = 16_384


@contextmanager
def open_table(path: Path) -> Iterator[TableFile]:
    """Open a table file for as long as the block lasts.

    Raises
    ------
    TableError
        The file is missing, empty, or of an unknown format.
    """
    if not path.is_file():
        raise TableError(f"table {path} does not exist")
    with ExitStack() as stack:
        with _faults_named(path):
            head = _head(path)
            if not head.strip():
                raise TableError(f"table {path} is empty")
            plain = stack.enter_context(_unpacked(path, head))
            table = stack.enter_context(_opener(head)(path, plain))
        yield replace(table, read=lambda wanted: _guarded(path, table.read(wanted)))


def _guarded(path: Path, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    with _faults_named(path):
        yield from batches


@contextmanager
def _faults_named(path: Path) -> Iterator[None]:
    """Name the file in a reader's errors; a full disk is not the table's fault and is raised unchanged."""
    try:
        yield
    except (pa.ArrowInvalid, pa.ArrowKeyError, OSError, EOFError, zlib.error) as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise
        raise TableError(f"table {path} cannot be read: {error}") from error


def _opener(head: bytes) -> Callable[[Path, Path], AbstractContextManager[TableFile]]:
    if head.startswith(b"PAR1"):
        return _open_parquet
    if head.startswith(b"SIMPLE  ="):
        return _open_fits
    if head.lstrip(b"\xef\xbb\xbf \r\n\t").startswith((b"<?xml", b"<VOTABLE", b"<vot")):
        return _open_votable
    if head.startswith(b"PK\x03\x04"):
        return _refuse_zip
    return _open_csv


def _refuse_zip(path: Path, plain: Path) -> AbstractContextManager[TableFile]:
    raise TableError(f"table {path} is a zip archive: unpack it first, or take the .csv.gz of the same table")


def _is_gzipped(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(2) == b"\x1f\x8b"


@contextmanager
def _plain_bytes(path: Path) -> Iterator[BinaryIO]:
    with cast(BinaryIO, gzip.open(path)) if _is_gzipped(path) else path.open("rb") as stream:
        yield stream


def _head(path: Path) -> bytes:
    with _plain_bytes(path) as stream:
        return stream.read(2880)


@contextmanager
def _unpacked(path: Path, head: bytes) -> Iterator[Path]:
    """Give the path of an unpacked copy of a gzipped FITS table, which can be mapped into memory; else `path`."""
    if not (_is_gzipped(path) and head.startswith(b"SIMPLE  =")):
        yield path
        return
    with tempfile.NamedTemporaryFile(suffix=".fits") as plain:
        with gzip.open(path) as packed:
            shutil.copyfileobj(packed, plain, 1 << 20)
        plain.flush()
        yield Path(plain.name)


def _lower_names(path: Path, names: list[str]) -> dict[str, str]:
    """Map lower-case names to the file's own."""
    lower: dict[str, str] = {}
    for name in names:
        key = name.strip().lower()
        if key in lower:
            raise TableError(f"table {path} has two columns named {key!r}")
        lower[key] = name
    return lower


@contextmanager
def _open_csv(path: Path, plain: Path) -> Iterator[TableFile]:
    skipped, header = _csv_header(path)
    names = _lower_names(path, header)

    def read(wanted: dict[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
        own = {names[name]: kind for name, kind in wanted.items()}
        with _plain_bytes(path) as stream:
            for _ in range(skipped + 1):
                stream.readline()
            for batch in _ahead(_gathered(_parse_csv(path, lines, header, own) for lines in _whole_lines(stream))):
                yield batch.rename_columns(list(wanted))

    yield TableFile(path, tuple(names), frozenset(), read, names)


def _whole_lines(stream: BinaryIO) -> Iterator[bytes]:
    """Cut a stream at line ends into pieces of about `_CSV_PIECE_BYTES`."""
    while piece := stream.read(_CSV_PIECE_BYTES):
        yield piece + stream.readline()


def _parse_csv(path: Path, lines: bytes, header: list[str], wanted: dict[str, pa.DataType]) -> pa.Table:
    try:
        return _convert_csv(lines, header, wanted)
    except pa.ArrowInvalid:
        # A blank cell makes pandas write 16 as 16.0, which reads as no integer.
        loose = {name: pa.float64() if pa.types.is_integer(kind) else kind for name, kind in wanted.items()}
    try:
        return _convert_csv(lines, header, loose).cast(pa.schema(wanted))
    except pa.ArrowInvalid as error:
        raise TableError(f"table {path}: {_name_column(str(error), header)}") from error


def _convert_csv(lines: bytes, header: list[str], wanted: dict[str, pa.DataType]) -> pa.Table:
    # One thread: the consumer of the rows keeps another core busy, and more threads cost more time than they save.
    reading = pa.csv.ReadOptions(block_size=_CSV_BLOCK_BYTES, column_names=header, use_threads=False)
    options = pa.csv.ConvertOptions(
        include_columns=list(wanted),
        column_types=wanted,
        null_values=MISSING_TEXT,
        strings_can_be_null=True,
        true_values=_TRUE,
        false_values=_FALSE,
    )
    return pa.csv.read_csv(pa.BufferReader(lines), reading, convert_options=options)


def _gathered(tables: Iterator[pa.Table]) -> Iterator[pa.RecordBatch]:
    """Join small tables into batches: the reader is fastest on small blocks, later steps on large batches."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(item.num_rows for item in waiting) >= _ROWS_A_BATCH:
            yield from pa.concat_tables(waiting).combine_chunks().to_batches()
            waiting = []
    if waiting:
        yield from pa.concat_tables(waiting).combine_chunks().to_batches()


def _ahead(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Read the next batch in a thread while the caller uses the previous one."""
    with ThreadPoolExecutor(1) as thread:
        following = thread.submit(next, batches, None)
        while (batch := following.result()) is not None:
            following = thread.submit(next, batches, None)
            yield batch


def _csv_header(path: Path) -> tuple[int, list[str]]:
    """Return the number of lines before the header (CasJobs writes ``#Table1`` there) and the header's cells."""
    with _plain_bytes(path) as stream:
        lines = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace")
        for number, line in enumerate(lines):
            if line.strip() and not line.startswith("#"):
                return number, next(csv.reader([line]))
    raise TableError(f"table {path} has no header line")


def _name_column(message: str, header: list[str]) -> str:
    """Replace the column number in Arrow's message by the column's name."""
    return re.sub(r"CSV column #(\d+)", lambda found: f"column {header[int(found[1])].strip()!r}", message)


@contextmanager
def _open_parquet(path: Path, plain: Path) -> Iterator[TableFile]:
    with pq.ParquetFile(path) as source:
        schema = source.schema_arrow
        names = _lower_names(path, schema.names)
        floats = frozenset(key for key, name in names.items() if pa.types.is_floating(schema.field(name).type))

        def read(wanted: dict[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
            for batch in source.iter_batches(_ROWS_A_BATCH, columns=[names[name] for name in wanted]):
                yield typed_batch(path, {name: batch.column(names[name]) for name in wanted}, wanted)

        yield TableFile(path, tuple(names), floats, read, names)


@contextmanager
def _open_fits(path: Path, plain: Path) -> Iterator[TableFile]:
    from astropy.io import fits  # half a second to import, and most tables are CSV

    with fits.open(plain, memmap=True) as units:
        tables = [unit for unit in units if isinstance(unit, fits.BinTableHDU | fits.TableHDU)]
        if not tables:
            raise TableError(f"FITS file {path} holds no table")
        columns = tables[0].columns
        names = _lower_names(path, columns.names)
        floats = frozenset(key for key, name in names.items() if columns[name].format.strip("0123456789")[:1] in "EDF")

        def read(wanted: dict[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
            rows = tables[0].data
            for start in range(0, len(rows), _ROWS_A_BATCH):
                part = rows[start : start + _ROWS_A_BATCH]
                arrays = {name: _fits_array(part.field(names[name]), columns[names[name]].null) for name in wanted}
                yield typed_batch(path, arrays, wanted)

        yield TableFile(path, tuple(names), floats, read, names)


def _fits_array(values: np.ndarray, null: Any) -> pa.Array:
    """Turn one FITS column (big-endian, blank-padded text) into Arrow; a table's TNULL is null."""
    if values.dtype.kind in "SU":
        return pa.array(np.char.strip(np.asarray(values).astype(str)))
    native = values.astype(values.dtype.newbyteorder("="))
    return pa.array(native, mask=native == null if null is not None and native.dtype.kind in "iu" else None)


@contextmanager
def _open_votable(path: Path, plain: Path) -> Iterator[TableFile]:
    from astropy.io import votable

    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", votable.exceptions.VOWarning
        )  # published tables bend the standard in harmless ways
        try:
            table = votable.parse_single_table(str(path), verify="ignore")
        except (votable.exceptions.VOTableSpecError, ValueError, IndexError) as error:
            raise TableError(f"VOTable {path} cannot be read: {error}") from error
    names = _lower_names(path, [field.name or field.ID for field in table.fields])
    stored = dict(zip(names, table.array.dtype.names, strict=True))
    floats = frozenset(key for key, name in stored.items() if table.array.dtype[name].kind == "f")

    def read(wanted: dict[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
        for start in range(0, len(table.array), _ROWS_A_BATCH):
            part = table.array[start : start + _ROWS_A_BATCH]
            yield typed_batch(path, {name: _masked_array(part[stored[name]]) for name in wanted}, wanted)

    yield TableFile(path, tuple(names), floats, read, names)


def _masked_array(values: np.ma.MaskedArray) -> pa.Array:
    mask = np.ma.getmaskarray(values)
    if values.dtype.kind in "OSU":
        return pa.array(np.char.strip(values.filled("").astype(str)), mask=mask)
    return pa.array(np.ascontiguousarray(values.data), mask=mask)
