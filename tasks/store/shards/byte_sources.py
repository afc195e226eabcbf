"""Ranges of bytes of a shard, from a file or from an object of a store."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tasks.store.object_store.objects import ObjectFile

Place = Path | ObjectFile
"""Where a shard is."""


class ByteSource(Protocol):
    """Bytes that are read in ranges."""

    def tail(self, length: int) -> bytes:
        """Return the last bytes, fewer if there are no more."""

    def expect(self, begin: int, end: int) -> None:
        """Announce the range in which all that is read next lies."""

    def read_into(self, offset: int, out: NDArray[np.uint8]) -> int:
        """Fill `out` from `offset` on and return the number of bytes that were there."""


@contextmanager
def open_bytes(place: Place) -> Iterator[ByteSource]:
    """Open a file or an object for reading.

    Raises
    ------
    FileNotFoundError
        There is none.
    """
    if isinstance(place, ObjectFile):
        yield _ObjectBytes(place)
        return
    descriptor = os.open(place, os.O_RDONLY)
    try:
        yield _FileBytes(descriptor)
    finally:
        os.close(descriptor)


class _FileBytes:
    """An open file."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def tail(self, length: int) -> bytes:
        size = os.fstat(self._descriptor).st_size
        return os.pread(self._descriptor, length, max(0, size - length))

    def expect(self, begin: int, end: int) -> None:
        """Do nothing: each range is read by itself."""

    def read_into(self, offset: int, out: NDArray[np.uint8]) -> int:
        return os.preadv(self._descriptor, [out.data], offset)


class _ObjectBytes:
    """An object, of which one request gets all that is expected: each request costs the store's latency."""

    def __init__(self, file: ObjectFile) -> None:
        self._file = file
        self._size = 0
        self._begin, self._content = 0, np.empty(0, np.uint8)

    def tail(self, length: int) -> bytes:
        content, self._size = self._file.tail(length)
        return content

    def expect(self, begin: int, end: int) -> None:
        end = min(end, self._size)  # of a damaged index
        content = self._file.part(begin, end - begin) if begin < end else b""
        self._begin, self._content = begin, np.frombuffer(content, np.uint8)

    def read_into(self, offset: int, out: NDArray[np.uint8]) -> int:
        start = offset - self._begin
        found = self._content[start : start + len(out)]
        out[: len(found)] = found
        return len(found)
