"""Avro container files: packets located without decoding, and decoded within bounds.

The format: the four bytes ``Obj`` and 1, a map of metadata (schema, codec), 16 bytes of sync mark; then blocks of
packet count, byte count, bytes, sync mark (Avro 1.11 specification, "Object Container Files"). A block that declares
more than `MOST_BLOCK_BYTES`, packed or unpacked, is refused before memory is taken for it.
"""

import bz2
import io
import json
import lzma
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import fastavro
import pyarrow as pa

MOST_BLOCK_BYTES = 64 << 20
_MOST_HEADER_BYTES = 4 << 20
_MOST_XZ_MEMORY = 256 << 20
_MAGIC, _SYNC_BYTES = b"Obj\x01", 16
_PACKED = {
    b"PK\x03\x04": "a zip archive",
    b"BZh": "packed by bzip2",
    b"\xfd7zX": "packed by xz",
    b"\x1f\x8b": "gzipped",
}
_WIRE_MARK = b"\x00"  # Confluent's, before four bytes with the number of the schema
_DECODING_FAULTS = (
    *(EOFError, ValueError, IndexError, KeyError, TypeError, OverflowError, RecursionError, zlib.error, lzma.LZMAError),
    *(pa.ArrowException, fastavro.schema.SchemaParseException, fastavro.schema.UnknownType),
)


class AvroFaultError(ValueError):
    """Bytes that are not valid Avro; the message says why."""


@dataclass(frozen=True)
class Header:
    """The header of a container file."""

    schema: Any
    codec: str
    sync: bytes


@dataclass(frozen=True)
class PacketBlock:
    """A block of packets: the offset and size of its values in bytes, and their number of packets."""

    offset: int
    size: int
    count: int

    @property
    def end(self) -> int:
        """Offset behind the block's sync mark, where the next block begins."""
        return self.offset + self.size + _SYNC_BYTES


def read_header(stream: BinaryIO) -> Header:
    """Read the header; the stream is left at the first block.

    Raises
    ------
    AvroFaultError
        It is no Avro file, or its schema or codec cannot be used.
    """
    start = _take(stream, len(_MAGIC))
    if start[:1] == _WIRE_MARK:
        number = int.from_bytes(start[1:] + stream.read(1), "big")
        raise AvroFaultError(
            f"it is a Kafka message in wire format (schema {number} of a registry), which does not hold its schema: "
            "write the packets as Avro files with their schema"
        )
    if start != _MAGIC:
        packed = next((what for mark, what in _PACKED.items() if start.startswith(mark)), None)
        remedy = f": it is {packed}, unpack it, or give a tar archive of the packets" if packed else ""
        raise AvroFaultError(f"it does not start as an Avro file does{remedy}")
    entries: dict[str, bytes] = {}
    while count := _read_long(stream):
        if count < 0:
            _read_long(stream)
        for _ in range(abs(count)):
            key = _take(stream, _read_long(stream)).decode("utf-8", "replace")
            entries[key] = _take(stream, _read_long(stream))
    codec = entries.get("avro.codec", b"null").decode("utf-8", "replace")
    if codec not in _UNPACKERS:
        raise AvroFaultError(f"its codec {codec} is not read; known are {', '.join(_UNPACKERS)}")
    try:
        schema = fastavro.parse_schema(json.loads(entries["avro.schema"]))
    except _DECODING_FAULTS as error:
        raise AvroFaultError(f"its schema cannot be used: {error}") from error
    return Header(schema, codec, _take(stream, _SYNC_BYTES))


def find_blocks(stream: BinaryIO, header: Header) -> Iterator[PacketBlock]:
    """Yield the blocks from the stream's position to its end, without reading their values.

    Raises
    ------
    AvroFaultError
        A block is truncated or too large, or its sync mark is wrong; the blocks before it were yielded.
    """
    while first := stream.read(1):
        count, size = _read_long(stream, first), _read_long(stream)
        if count < 0 or not 0 <= size <= MOST_BLOCK_BYTES:
            raise AvroFaultError(f"a block declares {count} packets in {size} bytes, the most is {MOST_BLOCK_BYTES}")
        offset = stream.tell()
        stream.seek(size, io.SEEK_CUR)
        if _take(stream, _SYNC_BYTES) != header.sync:
            raise AvroFaultError(f"the block at byte {offset} does not end in the file's mark")
        yield PacketBlock(offset, size, count)
        stream.seek(offset + size + _SYNC_BYTES)  # the caller may have read the block


def read_packets(stream: BinaryIO, header: Header, block: PacketBlock) -> Iterator[dict[str, Any]]:
    """Yield the packets of a block.

    Raises
    ------
    AvroFaultError
        A packet cannot be decoded; those before it were yielded.
    """
    stream.seek(block.offset)
    packed = _take(stream, block.size)
    try:
        values = io.BytesIO(_UNPACKERS[header.codec](packed))
        for _ in range(block.count):
            packet = fastavro.schemaless_reader(values, header.schema, None)
            if not isinstance(packet, dict):
                raise AvroFaultError("its schema is not a record")
            yield packet
    except _DECODING_FAULTS as error:
        raise AvroFaultError(f"the block at byte {block.offset} cannot be decoded: {error!r}") from error


def _unpack_deflate(packed: bytes) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    values = inflater.decompress(packed, MOST_BLOCK_BYTES)
    if inflater.unconsumed_tail:
        raise AvroFaultError(f"a block unpacks to more than {MOST_BLOCK_BYTES} bytes")
    return values


def _unpack_snappy(packed: bytes) -> bytes:
    """Snappy's own length comes first; Avro appends four bytes of CRC32 of the unpacked values."""
    size, shift = 0, 0
    for byte in packed[:5]:
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    if size > MOST_BLOCK_BYTES:
        raise AvroFaultError(f"a block unpacks to {size} bytes, the most is {MOST_BLOCK_BYTES}")
    values = pa.decompress(packed[:-4], decompressed_size=size, codec="snappy", asbytes=True)
    if zlib.crc32(values) != int.from_bytes(packed[-4:], "big"):
        raise AvroFaultError("a block's check sum does not agree")
    return values


def _unpack_bzip2(packed: bytes) -> bytes:
    inflater = bz2.BZ2Decompressor()
    try:
        return _require_all(inflater.decompress(packed, MOST_BLOCK_BYTES), inflater.eof)
    except OSError as error:  # what bz2 raises for bytes that are not its own
        raise AvroFaultError(f"a block is damaged: {error}") from error


def _unpack_xz(packed: bytes) -> bytes:
    inflater = lzma.LZMADecompressor(memlimit=_MOST_XZ_MEMORY)
    return _require_all(inflater.decompress(packed, MOST_BLOCK_BYTES), inflater.eof)


def _unpack_zstandard(packed: bytes) -> bytes:
    try:
        with pa.CompressedInputStream(pa.BufferReader(packed), "zstd") as stream:
            values = stream.read(MOST_BLOCK_BYTES + 1)
    except OSError as error:  # what pyarrow raises for bytes that are not of this codec, or are cut off
        raise AvroFaultError(f"a block is damaged: {error}") from error
    return _require_all(values, len(values) <= MOST_BLOCK_BYTES)


def _require_all(values: bytes, is_all: bool) -> bytes:
    if not is_all:
        raise AvroFaultError(f"a block is truncated or unpacks to more than {MOST_BLOCK_BYTES} bytes")
    return values


_UNPACKERS: dict[str, Callable[[bytes], bytes]] = {
    **{"null": bytes, "deflate": _unpack_deflate, "snappy": _unpack_snappy},
    **{"bzip2": _unpack_bzip2, "xz": _unpack_xz, "zstandard": _unpack_zstandard},
}


def _take(stream: BinaryIO, size: int) -> bytes:
    if not 0 <= size <= max(_MOST_HEADER_BYTES, MOST_BLOCK_BYTES):
        raise AvroFaultError(f"it declares a value of {size} bytes")
    value = stream.read(size)
    if len(value) != size:
        raise AvroFaultError("it ends too early")
    return value


def _read_long(stream: BinaryIO, first: bytes = b"") -> int:
    """Read a variable-length zigzag integer."""
    number, shift = 0, 0
    byte = first or _take(stream, 1)
    while byte[0] & 0x80:
        number |= (byte[0] & 0x7F) << shift
        shift += 7
        if shift > 63:
            raise AvroFaultError("it holds an integer of more than 64 bits")
        byte = _take(stream, 1)
    number |= byte[0] << shift
    return (number >> 1) ^ -(number & 1)
