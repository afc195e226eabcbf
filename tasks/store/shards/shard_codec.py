"""Whole shards of this format, decoded and encoded in one piece.

The bytes are those that Zarr reads and writes. A chunk is read into a small buffer, compared with its checksum and
decompressed to its place while it is in the processor's cache; Zarr's own codecs copy it several times, which takes
longer than all the rest. An array of any other layout has no `ShardCodec`, and Zarr reads and writes it.
"""

import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google_crc32c
import numcodecs
import numpy as np
import zarr
from numpy.typing import NDArray

from tasks.store.errors import ShardTakenError
from tasks.store.object_store.objects import ObjectFile
from tasks.store.shards.byte_sources import ByteSource, Place, open_bytes

_PLAIN, _CHECKED = ["bytes", "blosc"], ["bytes", "blosc", "crc32c"]
_SHUFFLES = {"noshuffle": 0, "shuffle": 1, "bitshuffle": 2}
_CHECKSUM_BYTES = 4
_ENTRY_BYTES = 16
_ABSENT = 2**64 - 1
_NBYTES_OF_BLOSC = slice(4, 8)
"""Where the header of a Blosc buffer has the length of what it holds, little endian."""


@dataclass(frozen=True)
class ShardCodec:
    """Shards of chunks along the first axis, each compressed by Blosc, with or without a checksum.

    Attributes
    ----------
    rows, chunk_rows : int
        Of a shard, and of a chunk.
    sample_shape : tuple of int
        (y, x, channel)
    dtype : dtype
    compressor : numcodecs.Blosc
    checked : bool
        A crc32c follows each chunk.
    fill_value : number
        Of a chunk that is absent.
    """

    rows: int
    chunk_rows: int
    sample_shape: tuple[int, ...]
    dtype: np.dtype
    compressor: numcodecs.Blosc
    checked: bool
    fill_value: float

    @classmethod
    def of(cls, array: zarr.Array) -> "ShardCodec | None":
        """Return the codec of an array's shards, or None where they are not of this layout."""
        layout = array.metadata.to_dict()
        if layout["zarr_format"] != 3:
            return None
        codecs = _named(layout["codecs"])
        sharding = codecs.get("sharding_indexed", {})
        inner, index = _named(sharding.get("codecs", [])), _named(sharding.get("index_codecs", []))
        known = list(codecs) == ["sharding_indexed"] and list(inner) in (_PLAIN, _CHECKED)
        index_is_last = list(index) == ["bytes", "crc32c"] and sharding["index_location"] == "end"
        native = inner.get("bytes", {}).get("endian", sys.byteorder) == sys.byteorder
        shards = array.shards or ()
        whole_samples = shards[1:] == array.chunks[1:] == array.shape[1:]
        if not (known and index_is_last and native and shards and whole_samples):
            return None
        settings = inner["blosc"]
        compressor = numcodecs.Blosc(**{**settings, "shuffle": _SHUFFLES[settings["shuffle"]]})
        checked, fill = "crc32c" in inner, array.fill_value
        return cls(shards[0], array.chunks[0], array.shape[1:], array.dtype, compressor, checked, fill)

    def read(self, place: Place, first: int, out: NDArray) -> None:
        """Read rows of a shard, from its row `first` on, into `out` (n, y, x, channel).

        Raises
        ------
        OSError
            The file cannot be read.
        ValueError, RuntimeError
            Its bytes are damaged.
        """
        with open_bytes(place) as source:
            places = self._index(source)
            wanted = range(first // self.chunk_rows, -(-(first + len(out)) // self.chunk_rows))
            present = [places[chunk] for chunk in wanted if places[chunk][1]]
            if present:
                source.expect(min(offset for offset, _ in present), max(map(sum, present)))
            buffer = np.empty(max(length for _, length in places), np.uint8)
            for chunk in wanted:
                self._read_chunk(source, places[chunk], buffer, chunk * self.chunk_rows - first, out)

    def _index(self, source: ByteSource) -> list[tuple[int, int]]:
        """Return offset and length of each chunk; (0, 0) if it is absent."""
        count = self.rows // self.chunk_rows
        length = _ENTRY_BYTES * count + _CHECKSUM_BYTES
        index = source.tail(length)
        if len(index) < length:
            raise ValueError("the file is shorter than the index of a shard")
        _require_checksum(index)
        entries = np.frombuffer(index[:-_CHECKSUM_BYTES], "<u8").reshape(count, 2).tolist()
        return [(0, 0) if _ABSENT in entry else (entry[0], entry[1]) for entry in entries]

    def _read_chunk(
        self, source: ByteSource, place: tuple[int, int], buffer: NDArray[np.uint8], start: int, out: NDArray
    ) -> None:
        """Decode one chunk, whose first row is row `start` of `out`, directly to there if it lies inside."""
        offset, length = place
        inside = slice(max(0, start), min(len(out), start + self.chunk_rows))
        if not length:
            out[inside] = self.fill_value
            return
        encoded = buffer[:length]
        if source.read_into(offset, encoded) < length:
            raise ValueError("the file is shorter than its index says")
        if self.checked:
            _require_checksum(encoded)
            encoded = encoded[:-_CHECKSUM_BYTES]
        whole = inside.stop - inside.start == self.chunk_rows
        target = out[inside] if whole else np.empty((self.chunk_rows, *self.sample_shape), self.dtype)
        if int.from_bytes(encoded[_NBYTES_OF_BLOSC].tobytes(), "little") != target.nbytes:
            raise ValueError("a chunk holds another number of bytes than its shape")
        self.compressor.decode(encoded, target)
        if not whole:
            out[inside] = target[inside.start - start : inside.stop - start]

    def write(self, place: Place, samples: NDArray) -> None:
        """Write a shard of samples (`rows`, y, x, channel), whole.

        A file is written beside and renamed, in place of one that a build which died may have left. An object is
        created and read back; one that is there already must have the same bytes.

        Raises
        ------
        ShardTakenError
            There is an object of that key with other bytes.
        """
        parts = self._encode(samples)
        if isinstance(place, ObjectFile):
            content = b"".join(parts)
            if not place.folder.create(place.key, content):
                raise ShardTakenError(
                    f"{place} was written by another build; it stays as it is, run the same command again"
                )
            place.folder.require(place.key, content)
        else:
            _write_file(place, parts)

    def _encode(self, samples: NDArray) -> list[bytes]:
        """Return the bytes of a shard of samples (`rows`, y, x, channel), in pieces: chunks, index, checksum."""
        encoded = [
            self._encoded(samples[first : first + self.chunk_rows]) for first in range(0, self.rows, self.chunk_rows)
        ]
        lengths = np.array([sum(map(len, parts)) for parts in encoded], "<u8")
        index = np.stack([np.cumsum(lengths) - lengths, lengths], axis=1).astype("<u8").tobytes()
        return [*(part for parts in encoded for part in parts), index, _checksum(index)]

    def _encoded(self, chunk: NDArray) -> list[bytes]:
        body = self.compressor.encode(np.ascontiguousarray(chunk).view(np.uint8).reshape(-1))
        return [body, _checksum(body)] if self.checked else [body]


def _write_file(path: Path, parts: list[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with beside.open("wb", buffering=0) as stream:
            for part in parts:
                view = memoryview(part)
                while view:
                    view = view[stream.write(view) :]
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _named(codecs: Any) -> dict[str, dict[str, Any]]:
    """Return the settings of codecs, as the metadata lists them, by their names in order."""
    return {codec["name"]: codec.get("configuration", {}) for codec in codecs}


def _checksum(content: bytes | NDArray[np.uint8]) -> bytes:
    return int(google_crc32c.value(content)).to_bytes(_CHECKSUM_BYTES, "little")


def _require_checksum(content: bytes | NDArray[np.uint8]) -> None:
    """Refuse bytes whose last four are not the crc32c of the others."""
    if _checksum(content[:-_CHECKSUM_BYTES]) != bytes(content[-_CHECKSUM_BYTES:]):
        raise ValueError("a checksum is wrong")
