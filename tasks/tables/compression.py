"""Bytes of table files, unpacked while they are read: gzip, bzip2, xz, Zstandard and LZ4, recognised by first bytes."""

import bz2
import gzip
import io
import lzma
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa


def _arrow_stream(codec: str) -> Callable[[Path], BinaryIO]:
    return lambda path: cast(BinaryIO, io.BufferedReader(pa.CompressedInputStream(pa.OSFile(str(path)), codec)))


_OPENERS: dict[bytes, Callable[[Path], BinaryIO]] = {
    b"\x1f\x8b": cast(Callable[[Path], BinaryIO], gzip.open),
    # An empty stream has the marker of its end where others have that of a block.
    **dict.fromkeys(
        (b"BZh%d%s" % (level, marker) for level in range(1, 10) for marker in (b"1AY&SY", b"\x17rE8P\x90")),
        cast(Callable[[Path], BinaryIO], bz2.open),
    ),
    b"\xfd7zXZ\x00": cast(Callable[[Path], BinaryIO], lzma.open),
    b"\x28\xb5\x2f\xfd": _arrow_stream("zstd"),
    b"\x04\x22\x4d\x18": _arrow_stream("lz4"),
}


def _opener(path: Path) -> Callable[[Path], BinaryIO] | None:
    with path.open("rb") as stream:
        first = stream.read(max(map(len, _OPENERS)))
    return next((opener for magic, opener in _OPENERS.items() if first.startswith(magic)), None)


def is_packed(path: Path) -> bool:
    """Say whether a file is packed by one of the accepted programs."""
    return _opener(path) is not None


@contextmanager
def plain_bytes(path: Path) -> Iterator[BinaryIO]:
    """Open a file, packed or not, as a stream of its plain bytes."""
    opener = _opener(path)
    with path.open("rb") if opener is None else opener(path) as stream:
        yield stream


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """Give the path of an unpacked copy of a packed file, for readers that seek; else `path` itself."""
    if not is_packed(path):
        yield path
        return
    with tempfile.NamedTemporaryFile() as plain:
        with plain_bytes(path) as stream:
            shutil.copyfileobj(stream, plain, 1 << 20)
        plain.flush()
        yield Path(plain.name)
