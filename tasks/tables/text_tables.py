"""Text tables: any separator and encoding, streamed; ECSV with its units and types.

A CSV of commas in UTF-8 goes straight to pyarrow. Pieces that pyarrow cannot take so (blanks about cells, quotes after
blanks, line breaks in quotes, runs of blanks) are taken apart here first.
"""

import csv
import io
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.csv

from tasks.tables.astropy_headers import DeclaredColumn, parse_header
from tasks.tables.column_names import NO_NAME, name_columns
from tasks.tables.compression import plain_bytes
from tasks.tables.formats import HEAD_BYTES
from tasks.tables.table_columns import FALSE_TEXT, MISSING_TEXT, TRUE_TEXT, TableError, TableFile, typed_batch
from tasks.tables.text_dialects import BLANKS, Dialect, find_dialect, leading_comments

_BLOCK_BYTES = 1 << 20
_PIECE_BYTES = 4 << 20
_ROWS_A_BATCH = 16_384
_DECIMAL_COMMA = re.compile(r"([-+]?\d+),(\d+(?:[eE][-+]?\d+)?)")


@contextmanager
def open_text(path: Path, plain: Path) -> Iterator[TableFile]:
    """Open a text table for as long as the block lasts; see `table_files.open_table`."""
    with plain_bytes(path) as stream:
        head = stream.read(HEAD_BYTES)
    ecsv = _ecsv_columns(path, head)
    separator = "" if ecsv is None else _ecsv_delimiter(head)
    dialect = find_dialect(path, head, whole=len(head) < HEAD_BYTES, separator=separator)
    declared = ecsv or ()
    ignored = _why_ignored(dialect.header, declared)
    units = dialect.units | {column.name: column.unit for column in declared if column.unit}
    names = name_columns(path, [name for name in dialect.header if name not in ignored], units)
    real = {column.name for column in declared if column.kind.startswith("float")}
    floats = frozenset(key for key, name in names.written.items() if name in real)
    read = partial(_read_rows, path, dialect, names.written)
    table = TableFile(path, tuple(names.written), floats, read, names.written, names.units, ignored)
    yield replace(table, notes=dialect.notes() if ecsv is None else ())


def _ecsv_columns(path: Path, head: bytes) -> tuple[DeclaredColumn, ...] | None:
    """Return what an ECSV table says of its columns; None for another text."""
    if not re.match(rb"(\xef\xbb\xbf)?# ?%ECSV", head):
        return None
    lines = [line.removeprefix("\ufeff")[1:].removeprefix(" ") for line in leading_comments(head)]
    try:
        return parse_header(lines[1:])
    except ValueError as error:
        raise TableError(f"table {path}: its ECSV header cannot be read: {error}") from error


def _why_ignored(header: Sequence[str], declared: Sequence[DeclaredColumn]) -> dict[str, str]:
    """Return column, by its number where it has no name, -> why it is not read."""
    nested = {column.name: reason for column in declared if (reason := column.why_not_flat())}
    return nested | {f"(column {at + 1})": NO_NAME for at, name in enumerate(header) if not name}


def _read_rows(
    path: Path, dialect: Dialect, written: Mapping[str, str], wanted: dict[str, pa.DataType]
) -> Iterator[pa.RecordBatch]:
    """Read columns by lower-case name, `written` as the header writes them; see `TableFile.read`."""
    cells = [name or f"\0{at}" for at, name in enumerate(dialect.header)]
    parse = partial(_parse_piece, path, dialect, cells, {written[name]: kind for name, kind in wanted.items()})
    with plain_bytes(path) as stream:
        for batch in _ahead(_gathered(parse(lines) for lines in _pieces(stream, dialect))):
            yield batch.rename_columns(list(wanted))


def _ecsv_delimiter(head: bytes) -> str:
    named = [line for line in leading_comments(head) if re.match(r"#\s*delimiter:", line)]
    return "," if named and "," in named[0] else BLANKS


def _pieces(stream: BinaryIO, dialect: Dialect) -> Iterator[bytes]:
    """Cut the rows of a table at line ends into pieces of UTF-8 of about `_PIECE_BYTES`."""
    if not dialect.transcoded:
        for _ in range(dialect.data_line):
            stream.readline()
        while piece := stream.read(_PIECE_BYTES):
            yield piece + stream.readline()
        return
    errors = "replace" if dialect.encoding == "cp1252" else "strict"
    with io.TextIOWrapper(stream, dialect.encoding, errors=errors) as text:
        for _ in range(dialect.data_line):
            text.readline()
        while lines := text.read(_PIECE_BYTES):
            yield (lines + text.readline()).encode()


def _parse_piece(
    path: Path, dialect: Dialect, header: list[str], wanted: dict[str, pa.DataType], lines: bytes
) -> pa.Table:
    """Parse rows, the fastest way first; the error names the column, or the row that has another number of cells."""
    separator = dialect.separator
    if dialect.rewritten:
        lines, separator = _rewrite(path, lines, dialect), ","
    if not lines.strip():
        return pa.schema(wanted).empty_table()
    plain = None if dialect.padded or dialect.rewritten else _parse_plain(lines, separator, header, wanted)
    if plain is not None:
        return plain
    text = _parse_text(path, dialect, header, list(wanted), lines, separator)
    batches = [
        typed_batch(path, {name: batch.column(name) for name in wanted}, wanted)
        for batch in text.combine_chunks().to_batches()
    ]
    return pa.Table.from_batches(batches, pa.schema(wanted))


def _parse_plain(lines: bytes, separator: str, header: list[str], wanted: dict[str, pa.DataType]) -> pa.Table | None:
    """Parse rows by pyarrow alone; None where it cannot."""
    # A blank cell makes pandas write 16 as 16.0, which reads as no integer.
    loose = {name: pa.float64() if pa.types.is_integer(kind) else kind for name, kind in wanted.items()}
    for types in (wanted, loose):
        try:
            return _convert(lines, separator, header, types).cast(pa.schema(wanted))
        except pa.ArrowInvalid:
            continue
    return None


def _parse_text(
    path: Path, dialect: Dialect, header: list[str], wanted: list[str], lines: bytes, separator: str
) -> pa.Table:
    """Parse rows as text, repaired where pyarrow refuses them: another encoding, or cells that it cannot part."""
    types = dict.fromkeys(wanted, pa.string())
    try:
        return _convert(lines, separator, header, types)
    except pa.ArrowInvalid as error:
        fault = str(error)
    if "UTF8" in fault:
        logging.getLogger(__name__).warning("table %s is not UTF-8 throughout: Latin-1 (cp1252) is read there", path)
        lines = lines.decode("cp1252", errors="replace").encode()
    if not dialect.rewritten:
        lines, separator = _rewrite(path, lines, dialect), ","
    try:
        return _convert(lines, separator, header, types) if lines.strip() else pa.schema(types).empty_table()
    except pa.ArrowInvalid as error:
        raise TableError(f"table {path}: {error}; the row is damaged, or the file cut off") from error


def _rewrite(path: Path, lines: bytes, dialect: Dialect) -> bytes:
    """Return rows as a CSV of commas without blanks about the cells, line breaks in them, or lines of comment."""
    separator, text = dialect.separator, lines.decode("utf-8", errors="replace")
    rows: Iterator[str] = (row for row in io.StringIO(text, newline="") if not row.startswith("#"))
    if re.search("^#Table\\s", text, re.MULTILINE):
        raise TableError(f"table {path} holds several tables one after another (a line begins with #Table): keep one")
    if separator == BLANKS:
        rows = (row.strip().replace("\t", " ") for row in rows)
    one_line = _decimal_point if dialect.decimal_comma else _one_line
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    try:
        for cells in csv.reader(rows, delimiter=separator, skipinitialspace=True):
            cells = [one_line(cell) for cell in cells]
            if any(cells):
                writer.writerow(cells)
    except csv.Error as error:
        raise TableError(f"table {path} cannot be read: {error}; a quotation mark may not be closed") from error
    return out.getvalue().encode()


def _one_line(cell: str) -> str:
    return " ".join(cell.split("\n")).strip()


def _decimal_point(cell: str) -> str:
    cell = _one_line(cell)
    found = _DECIMAL_COMMA.fullmatch(cell)
    return f"{found[1]}.{found[2]}" if found else cell


def _convert(lines: bytes, separator: str, header: list[str], wanted: dict[str, pa.DataType]) -> pa.Table:
    # One thread: the consumer of the rows keeps another core busy, and more threads cost more time than they save.
    reading = pa.csv.ReadOptions(block_size=_BLOCK_BYTES, column_names=header, use_threads=False)
    options = pa.csv.ConvertOptions(
        include_columns=list(wanted),
        column_types=wanted,
        null_values=MISSING_TEXT,
        strings_can_be_null=True,
        true_values=TRUE_TEXT,
        false_values=FALSE_TEXT,
    )
    parsing = pa.csv.ParseOptions(delimiter=separator)
    return pa.csv.read_csv(pa.BufferReader(lines), reading, parsing, options)


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
