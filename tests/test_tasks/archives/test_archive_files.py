"""Bytes of one file of a folder or zip: a fault is that file's own, and its neighbours are read."""

import os
import struct
import zipfile
from pathlib import Path

import pytest

from tasks.archives import archive_files
from tasks.archives.archive_files import ArchiveFileError, open_archive

LOCAL, CENTRAL = b"PK\x03\x04", b"PK\x01\x02"
CONTENT = bytes(range(256)) * 8


def zip_of(path: Path, compression: int = zipfile.ZIP_DEFLATED) -> bytearray:
    """Write the members a and b and return the bytes of the zip."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("a", CONTENT)
        archive.writestr("b", CONTENT[::-1])
    return bytearray(path.read_bytes())


def set_short(data: bytearray, record: bytes, offset: int, value: int) -> None:
    """Set a two-byte field of the first record of a kind: that of a."""
    place = data.index(record) + offset
    data[place : place + 2] = struct.pack("<H", value)


def reason(path: Path, member: str = "a") -> str:
    with open_archive(path) as read, pytest.raises(ArchiveFileError) as caught:
        read(member)
    return str(caught.value)


def encrypt(data: bytearray) -> None:
    set_short(data, LOCAL, 6, 1)
    set_short(data, CENTRAL, 8, 1)


def compress_by(method: int) -> object:
    def change(data: bytearray) -> None:
        set_short(data, LOCAL, 8, method)
        set_short(data, CENTRAL, 10, method)

    return change


def flip_pixel(data: bytearray) -> None:
    data[data.index(CONTENT[:64]) + 9] ^= 1


def break_stream(data: bytearray) -> None:
    data[31:40] = b"\xff" * 9  # the header has 30 bytes, the name one


def break_header(data: bytearray) -> None:
    data[0:2] = b"XX"


def rename_local(data: bytearray) -> None:
    data[30:31] = b"z"


@pytest.mark.parametrize(
    ("compression", "change", "expected"),
    [
        (zipfile.ZIP_DEFLATED, encrypt, "encrypted"),
        (zipfile.ZIP_DEFLATED, compress_by(9), "unsupported_compression:deflate64"),
        (zipfile.ZIP_DEFLATED, compress_by(98), "unsupported_compression:ppmd"),
        (zipfile.ZIP_DEFLATED, compress_by(93), "unsupported_compression:zstd"),
        (zipfile.ZIP_DEFLATED, compress_by(77), "unsupported_compression:77"),
        (zipfile.ZIP_STORED, flip_pixel, "crc_mismatch"),
        (zipfile.ZIP_DEFLATED, break_stream, "unreadable"),
        (zipfile.ZIP_BZIP2, break_stream, "unreadable"),
        (zipfile.ZIP_LZMA, break_stream, "crc_mismatch"),
        (zipfile.ZIP_DEFLATED, break_header, "unreadable"),
        (zipfile.ZIP_DEFLATED, rename_local, "unreadable"),
    ],
)
def test_a_fault_of_a_member_is_its_own(tmp_path: Path, compression: int, change: object, expected: str) -> None:
    path = tmp_path / "a.zip"
    data = zip_of(path, compression)
    with open_archive(path) as read:
        assert read("a") == CONTENT
    change(data)  # type: ignore[operator]
    path.write_bytes(data)
    assert reason(path) == expected
    with open_archive(path) as read:
        assert read("b") == CONTENT[::-1]


def test_what_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zip_of(tmp_path / "a.zip")
    (tmp_path / "a").write_bytes(CONTENT)
    monkeypatch.setattr(archive_files, "LARGEST_FILE_BYTES", len(CONTENT))
    for path in (tmp_path, tmp_path / "a.zip"):
        with open_archive(path) as read:
            assert read("a") == CONTENT
    monkeypatch.setattr(archive_files, "LARGEST_FILE_BYTES", len(CONTENT) - 1)
    for path in (tmp_path, tmp_path / "a.zip"):
        assert reason(path) == "too_large"


def test_what_is_no_file_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    os.mkfifo(tmp_path / "pipe")
    for name in ("folder", "link", "pipe", "gone"):
        assert reason(tmp_path, name) == "unreadable"
    zip_of(tmp_path / "a.zip")
    assert reason(tmp_path / "a.zip", "gone") == "unreadable"
