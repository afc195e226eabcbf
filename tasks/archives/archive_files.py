"""Reading the bytes of one file of a folder or zip; what is wrong with it is the file's own reason."""

import lzma
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

LARGEST_FILE_BYTES = 512 * 1024 * 1024
"""More is refused unread: a zip of a few kB may unpack to any size."""

_ENCRYPTED = 0x1  # bit of a member's flags
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_COMPRESSION_NAMES = {
    1: "shrink",
    6: "implode",
    9: "deflate64",
    10: "dcl_implode",
    93: "zstd",
    95: "xz",
    96: "jpeg",
    97: "wavpack",
    98: "ppmd",
    99: "aes",
}


class ArchiveFileError(ValueError):
    """A file of an archive cannot be read; the message is the reason for the ledger."""


@contextmanager
def open_archive(path: Path) -> Iterator[Callable[[str], bytes]]:
    """Open a folder or zip and yield a function from a path inside to the file's bytes.

    The function raises `ArchiveFileError`: ``unreadable``, ``too_large``, and of a zip ``encrypted``,
    ``unsupported_compression:NAME`` or ``crc_mismatch``.
    """
    if path.is_dir():
        yield lambda member: _read_file(path / member)
        return
    with zipfile.ZipFile(path) as archive:
        yield lambda member: _read_zip_member(archive, member)


def _read_file(path: Path) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ArchiveFileError("unreadable")  # a pipe would be waited for
        if status.st_size > LARGEST_FILE_BYTES:
            raise ArchiveFileError("too_large")
        return path.read_bytes()
    except OSError as error:
        raise ArchiveFileError("unreadable") from error


def _read_zip_member(archive: zipfile.ZipFile, member: str) -> bytes:
    try:
        info = archive.getinfo(member)
    except KeyError as error:
        raise ArchiveFileError("unreadable") from error
    if info.flag_bits & _ENCRYPTED:
        raise ArchiveFileError("encrypted")
    if info.compress_type not in _COMPRESSIONS:
        name = _COMPRESSION_NAMES.get(info.compress_type, info.compress_type)
        raise ArchiveFileError(f"unsupported_compression:{name}")
    if info.file_size > LARGEST_FILE_BYTES:
        raise ArchiveFileError("too_large")
    try:
        return archive.read(info)
    except zipfile.BadZipFile as error:
        raise ArchiveFileError("crc_mismatch" if "CRC" in str(error) else "unreadable") from error
    except (OSError, EOFError, RuntimeError, ValueError, struct.error, zlib.error, lzma.LZMAError) as error:
        raise ArchiveFileError("unreadable") from error
