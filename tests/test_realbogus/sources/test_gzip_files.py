"""Gzipped files within bounds, whole and broken."""

import gzip
from pathlib import Path

from realbogus.sources.gzip_files import unpack_bytes, unpack_file

BODY = bytes(range(256)) * 8192


def unpacked(path: Path, most_bytes: int = 1 << 30) -> bytes:
    with unpack_file(path, most_bytes) as plain:
        return Path(plain.name).read_bytes()


def test_a_file_is_unpacked_up_to_a_bound(tmp_path: Path) -> None:
    (tmp_path / "a.avro.gz").write_bytes(gzip.compress(BODY))
    assert unpacked(tmp_path / "a.avro.gz") == BODY
    assert unpacked(tmp_path / "a.avro.gz", 1) == BODY[: 1 << 20], "whole pieces of a megabyte"


def test_of_a_broken_file_what_comes_before_is_kept(tmp_path: Path) -> None:
    noise = bytes(hash(number) * 2654435761 >> 7 & 255 for number in range(3 << 20))
    packed = gzip.compress(noise)
    (tmp_path / "cut.gz").write_bytes(packed[: len(packed) * 2 // 3])
    found = unpacked(tmp_path / "cut.gz")
    assert noise.startswith(found)
    assert 0 < len(found) < len(noise)
    (tmp_path / "plain.gz").write_bytes(b"no gzip")
    assert unpacked(tmp_path / "plain.gz") == b""


def test_bytes_are_unpacked_up_to_a_bound() -> None:
    assert unpack_bytes(gzip.compress(BODY), len(BODY)) == BODY
    assert unpack_bytes(gzip.compress(BODY), 10) == BODY[:10]
    assert unpack_bytes(b"no gzip", 10) == b""
