"""Packed bytes: whatever is packed comes out as it was, by the first bytes alone, and copies do not stay."""

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.tables.compression import is_packed, plain_bytes, unpacked
from tasks.tables.table_files import TableError, open_table

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    **{f"bzip2 -{level}": lambda content, level=level: bz2.compress(content, level) for level in (1, 9)},
    "xz": lzma.compress,
    "zstd": lambda content: bytes(pa.compress(content, "zstd", asbytes=True)),
    "lz4": lambda content: bytes(pa.compress(content, "lz4", asbytes=True)),
}
packers = pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS.keys())


def plain(path: Path) -> bytes:
    with plain_bytes(path) as stream:
        return stream.read()


@packers
@settings(max_examples=20)
@given(content=st.binary(max_size=300))
def test_what_is_packed_comes_out_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, pack: Callable[[bytes], bytes], content: bytes
) -> None:
    path = tmp_path_factory.mktemp("packed") / "t.csv"
    path.write_bytes(pack(content))
    assert is_packed(path)
    assert plain(path) == content
    with unpacked(path) as copy:
        assert copy != path
        assert copy.read_bytes() == content
    assert not copy.exists()


@packers
def test_a_packed_nothing_is_an_empty_table(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(pack(b""))
    with pytest.raises(TableError, match=r"t\.csv is empty"):
        open_table(path).__enter__()


@packers
def test_parts_that_were_packed_each_and_joined_are_one(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "t.csv.gz"
    path.write_bytes(pack(b"id,ra\n") + pack(b"a,1.5\n"))
    assert plain(path) == b"id,ra\na,1.5\n"


@pytest.mark.parametrize("content", [b"", b"B", b"BZh9_id,ra\n", b"\x1f", b"\xfd7zXY\x00", b"id,ra\n", b"PK\x03\x04"])
def test_what_only_begins_like_packed_bytes_is_plain_and_not_copied(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t.csv.bz2"
    path.write_bytes(content)
    assert not is_packed(path)
    assert plain(path) == content
    with unpacked(path) as same:
        assert same == path
    assert path.read_bytes() == content


def test_the_copy_goes_when_its_reader_fails(tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes(gzip.compress(b"x"))
    with pytest.raises(ValueError, match="damaged"), unpacked(tmp_path / "t") as copy:
        raise ValueError("damaged")
    assert not copy.exists()
