"""Gzipped files, unpacked within bounds; of a broken one, what comes before the fault."""

import gzip
import tempfile
import zlib
from pathlib import Path
from typing import IO, Any

UnpackedFile = IO[Any]
"""A temporary file, with a ``name``, that is removed when it is closed or collected."""
_FAULTS = (EOFError, gzip.BadGzipFile, zlib.error)
_PIECE_BYTES = 1 << 20


def unpack_file(path: Path, most_bytes: int) -> UnpackedFile:
    """Return an unpacked copy of a gzipped file, of at most `most_bytes`."""
    plain = tempfile.NamedTemporaryFile(suffix=path.name.removesuffix(".gz"))  # noqa: SIM115
    size = 0
    with gzip.open(path) as packed:
        try:
            while size < most_bytes and (piece := packed.read(_PIECE_BYTES)):
                size += plain.write(piece)
        except _FAULTS:
            pass  # what follows is missing, which the reader of the copy finds
    plain.flush()
    return plain


def unpack_bytes(body: bytes, most_bytes: int) -> bytes:
    """Return the unpacked bytes of a gzipped body, at most `most_bytes`; empty where it is not gzipped."""
    inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        return inflater.decompress(body, most_bytes)
    except zlib.error:
        return b""
