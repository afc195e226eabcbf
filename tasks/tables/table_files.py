"""Table files of any common format, opened as typed columns.

Text (any separator and encoding, ECSV, IPAC, machine-readable tables), FITS, VOTable and Parquet, plain or packed. The
format is recognised by the first bytes, never by the file's name. Column names are compared in lower case.
"""

import errno
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from tasks.tables.ascii_tables import find_ascii_format, open_ascii
from tasks.tables.compression import plain_bytes, unpacked
from tasks.tables.fits_tables import open_fits
from tasks.tables.formats import HEAD_BYTES, recognise_format
from tasks.tables.parquet_tables import open_parquet
from tasks.tables.split_positions import join_positions
from tasks.tables.table_columns import MISSING_TEXT, TableError, TableFile
from tasks.tables.text_tables import open_text
from tasks.tables.votables import open_votable

__all__ = ["MISSING_TEXT", "TableError", "TableFile", "open_table"]

_Opener = Callable[[Path, Path], AbstractContextManager[TableFile]]
_SEEKING: dict[str, _Opener] = {"fits": open_fits, "votable": open_votable, "parquet": open_parquet}
"""Readers that need an unpacked file; the others stream."""


@contextmanager
def open_table(path: Path) -> Iterator[TableFile]:
    """Open a table file for as long as the block lasts.

    Raises
    ------
    TableError
        The file is missing, empty, truncated, or no table; the message says what it is and what to do.
    """
    if path.is_dir():
        raise TableError(f"table {path} is a folder: give one file in it")
    if not path.is_file():
        raise TableError(f"table {path} does not exist")
    with ExitStack() as stack:
        with _faults_named(path):
            with plain_bytes(path) as stream:
                head = stream.read(HEAD_BYTES)
            if not head.strip():
                raise TableError(f"table {path} is empty")
            kind = recognise_format(path, head)
            plain = stack.enter_context(unpacked(path)) if kind in _SEEKING else path
            opener = _SEEKING[kind] if kind in _SEEKING else _text_opener(head)
            table = join_positions(stack.enter_context(opener(path, plain)))
        yield replace(table, read=lambda wanted: _guarded(path, table.read(wanted)))


def _text_opener(head: bytes) -> _Opener:
    return open_text if find_ascii_format(head) is None else open_ascii


def _guarded(path: Path, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    with _faults_named(path):
        yield from batches


@contextmanager
def _faults_named(path: Path) -> Iterator[None]:
    """Name the file in a reader's errors; a full disk is not the table's fault and is raised unchanged."""
    try:
        yield
    except (pa.ArrowInvalid, pa.ArrowKeyError, OSError, EOFError, zlib.error, lzma.LZMAError, UnicodeError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise
        raise TableError(f"table {path} cannot be read: {_told(error)}") from error


def _told(error: Exception) -> str:
    """Return an error's text, with what to do where the file was cut off or damaged on its way."""
    again = "copy or download it again"
    cut = isinstance(error, EOFError) or re.search(
        "truncated|END card|Empty or corrupt FITS", str(error), re.IGNORECASE
    )
    if cut:
        return f"it is truncated ({error}); {again}"
    if isinstance(error, OSError | zlib.error | lzma.LZMAError) and getattr(error, "errno", None) is None:
        return f"it is damaged ({error}); {again}"
    return str(error)
