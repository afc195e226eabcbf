"""Avro container files: header, blocks and packets of files made by fastavro, and bytes that are refused."""

import io

import fastavro
import pytest

from realbogus.sources.avro_files import (
    MOST_BLOCK_BYTES,
    AvroFaultError,
    Header,
    PacketBlock,
    find_blocks,
    read_header,
    read_packets,
)

SCHEMA = {
    "type": "record",
    "name": "packet",
    "fields": [{"name": "number", "type": "long"}, {"name": "word", "type": "string"}],
}
PACKETS = [{"number": (-1) ** row * 10**row, "word": "x" * 40} for row in range(12)]


def file_of(codec="null", interval=100, packets=PACKETS):
    stream = io.BytesIO()
    fastavro.writer(stream, SCHEMA, packets, codec, sync_interval=interval, sync_marker=b"0123456789abcdef")
    return stream.getvalue()


def read_all(body):
    stream = io.BytesIO(body)
    header = read_header(stream)
    blocks = list(find_blocks(stream, header))
    return header, blocks, [packet for block in blocks for packet in read_packets(stream, header, block)]


@pytest.mark.parametrize("codec", ["null", "deflate", "snappy"])
def test_all_packets_come_back_block_by_block(codec):
    body = file_of(codec) if codec != "snappy" else None
    if body is None:
        pytest.importorskip("cramjam", reason="fastavro writes snappy by cramjam")
        body = file_of(codec)
    header, blocks, packets = read_all(body)
    assert (header.codec, header.sync) == (codec, b"0123456789abcdef")
    assert packets == PACKETS
    assert sum(block.count for block in blocks) == 12
    assert len(blocks) > 3
    assert blocks[-1].end == len(body)


def test_a_block_can_be_read_while_blocks_are_found():
    stream = io.BytesIO(file_of())
    header = read_header(stream)
    packets = []
    for block in find_blocks(stream, header):
        packets += read_packets(stream, header, block)
    assert packets == PACKETS


def test_a_block_ends_behind_its_mark():
    assert PacketBlock(100, 20, 3).end == 136


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "ends too early"),
        (b"Obj\x02" + bytes(50), "does not start as an Avro file"),
        (b"Obj\x01\x02\x14avro.codec\x06lzo\x00" + bytes(16), "codec lzo is not read; known are null, deflate, snappy"),
        (b"Obj\x01\x00" + bytes(16), "its schema cannot be used"),
        (b"Obj\x01" + b"\xff" * 12, "an integer of more than 64 bits"),
        (b"Obj\x01\x02\x01", "declares a value of -1 bytes"),
    ],
)
def test_headers_that_are_none_are_refused(body, message):
    with pytest.raises(AvroFaultError, match=message):
        read_header(io.BytesIO(body))


def zigzag(number):
    number, body = (number << 1) ^ (number >> 63), b""
    while number >= 0x80:
        body, number = body + bytes([number & 0x7F | 0x80]), number >> 7
    return body + bytes([number])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (zigzag(-1) + zigzag(5), "declares -1 packets in 5 bytes"),
        (zigzag(1) + zigzag(-1), "declares 1 packets in -1 bytes"),
        (zigzag(1) + zigzag(MOST_BLOCK_BYTES + 1), f"in {MOST_BLOCK_BYTES + 1} bytes, the most is {MOST_BLOCK_BYTES}"),
        (zigzag(1) + zigzag(2) + b"ab" + b"wrong mark of 16", "block at byte 2 does not end in the file's mark"),
        (zigzag(1) + zigzag(2) + b"ab", "ends too early"),
        (zigzag(300), "ends too early"),
    ],
)
def test_blocks_that_are_none_are_refused(body, message):
    header = Header(SCHEMA, "null", b"0123456789abcdef")
    with pytest.raises(AvroFaultError, match=message):
        list(find_blocks(io.BytesIO(body), header))


def test_a_block_of_the_largest_size_is_a_block():
    header = Header(SCHEMA, "null", b"0123456789abcdef")
    body = zigzag(0) + zigzag(3) + b"abc" + header.sync
    assert list(find_blocks(io.BytesIO(body), header)) == [PacketBlock(2, 3, 0)]


def test_packets_before_a_fault_are_given():
    stream = io.BytesIO(file_of(interval=10**6))
    header = read_header(stream)
    (block,) = find_blocks(stream, header)
    packets = read_packets(stream, header, PacketBlock(block.offset, block.size - 1, block.count))
    assert [next(packets) for _ in range(11)] == PACKETS[:11]
    with pytest.raises(AvroFaultError, match=f"block at byte {block.offset} cannot be decoded"):
        next(packets)


def test_a_schema_must_be_a_record():
    header = Header(fastavro.parse_schema("long"), "null", b"")
    with pytest.raises(AvroFaultError, match="schema is not a record"):
        list(read_packets(io.BytesIO(b"\x02"), header, PacketBlock(0, 1, 1)))
