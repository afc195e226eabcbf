"""Errors that astropy's parsers raise on a damaged file, raised again as a `TableError` that names the file.

They have errors of their own, all of these kinds, and let pass what Python, numpy and struct raise on the bytes.
"""

import struct
from collections.abc import Iterator
from contextlib import contextmanager

from tasks.tables.table_columns import TableError

PARSER_FAULTS: tuple[type[Exception], ...] = (
    *(ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, MemoryError, OSError, RuntimeError),
    *(SyntaxError, TypeError, ValueError, Warning, struct.error),
)
"""Kinds of error of a damaged file: a ``Warning`` from the parser of VOTables, `MemoryError` where a size is false."""


@contextmanager
def name_parser_faults(subject: str) -> Iterator[None]:
    """Raise an error of the block, which is to hold the parser's call alone, as ``subject cannot be read: ...``."""
    try:
        yield
    except PARSER_FAULTS as error:
        raise TableError(f"{subject} cannot be read: {error}") from error
