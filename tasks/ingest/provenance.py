"""The provenance of a catalogue: JSON under ``starloom`` in its Parquet's metadata."""

import hashlib
import json
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from galaxy.catalogue.errors import CatalogueError
from galaxy.catalogue.writing import PROVENANCE_KEY

_TAIL = struct.Struct("<I4s")
"""The end of a Parquet: the length of its footer, and ``PAR1``."""


def is_catalogue(path: Path) -> bool:
    """Say whether a file is a Parquet that an ingest wrote."""
    with path.open("rb") as stream:
        if stream.read(4) != b"PAR1":
            return False
    try:
        return PROVENANCE_KEY.encode() in (pq.read_metadata(path).metadata or {})
    except pa.ArrowInvalid as error:
        raise CatalogueError(f"table {path} cannot be read: {error}") from error


def read_provenance(path: Path) -> dict[str, Any]:
    """Return the provenance that an ingest wrote into a catalogue.

    Raises
    ------
    CatalogueError
        The Parquet is not a catalogue.
    """
    if not is_catalogue(path):
        raise CatalogueError(f"{path} is no catalogue: its Parquet metadata has no 'starloom'; ingest it first")
    provenance: dict[str, Any] = json.loads(pq.read_metadata(path).metadata[PROVENANCE_KEY.encode()])
    return provenance


def content_sha256(path: Path, account: Sequence[str]) -> str:
    """Return the sha256 of a catalogue's file as it is without some keys of its provenance.

    A request is known by this digest: what is told of the tables' columns makes it no other.

    Parameters
    ----------
    path : Path
        A Parquet; one without provenance has the digest of its file.
    account : sequence of str
        The keys to leave out.
    """
    written = (pq.read_metadata(path).metadata or {}).get(PROVENANCE_KEY.encode())
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        stream.seek(-_TAIL.size, os.SEEK_END)
        length, magic = _TAIL.unpack(stream.read())
        left = stream.seek(-_TAIL.size - length, os.SEEK_END)
        footer = stream.read(length)
        stream.seek(0)
        while left:
            piece = stream.read(min(left, 1 << 20))
            digest.update(piece)
            left -= len(piece)
    if written is not None:
        kept = json.dumps({key: value for key, value in json.loads(written).items() if key not in account}).encode()
        footer = footer.replace(_varint(len(written)) + written, _varint(len(kept)) + kept)
    digest.update(footer + _TAIL.pack(len(footer), magic))
    return digest.hexdigest()


def _varint(number: int) -> bytes:
    """Return a number in Thrift's compact form: seven bits a byte, the low ones first."""
    text = b""
    while number > 0x7F:
        text += bytes([number & 0x7F | 0x80])
        number >>= 7
    return text + bytes([number])
