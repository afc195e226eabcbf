"""The copy of one file, complete or absent, with the sha256 of what was written."""

import hashlib
import os
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

from tasks.backup.contents import BackupError, FileSource, StoredObject
from tasks.store.files import disk_full_named
from tasks.store.schema import CURRENT

_PIECE_BYTES = 1 << 20
_TRIES = 3
_BUSY_S = 60.0
_DATABASES = frozenset({".db", ".sqlite"})
_SQLITE_HEADER = b"SQLite format 3\0"
_LOG = ".jsonl"
_REPLACED = frozenset({CURRENT, "zarr.json"})
"""Objects that are replaced, maybe twice in a second by as many bytes. Of the others only the records below
``raw/requests`` are replaced, each after another request to a service; the rest is written once."""


def is_stable(source: FileSource) -> bool:
    """Return whether a file with the same size and time is the same; not so for a database or a log of lines.

    Nor for an object that is replaced: the time of a store may be in whole seconds.
    """
    if isinstance(source, StoredObject):
        return source.file.key.rpartition("/")[2] not in _REPLACED
    return _is_stable(source)


def _is_stable(path: Path) -> bool:
    return path.suffix != _LOG and not _is_database(path)


def has_state(source: FileSource, copy: Path) -> bool:
    """Return whether a copy has the size and the time of its source."""
    try:
        other = copy.lstat()
    except FileNotFoundError:
        return False
    if isinstance(source, StoredObject):
        expected = source.state.size_bytes, _nanoseconds(source)
    else:
        one = source.stat()
        expected = one.st_size, one.st_mtime_ns
    return stat.S_ISREG(other.st_mode) and expected == (other.st_size, other.st_mtime_ns)


def copy_file(source: FileSource, target: Path) -> bytes | None:
    """Copy a file with its time and return its sha256; None if it changes again and again while it is read.

    A SQLite database is copied as of one moment, whoever writes into it. Of a log of lines the whole lines are copied.

    Raises
    ------
    BackupError
        A database cannot be read.
    FileNotFoundError
        There is no such file or object.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.part")
    try:
        with disk_full_named(target):
            if isinstance(source, StoredObject):
                digest: bytes | None = _copy_object(source, beside)
            elif _is_database(source):
                digest = _copy_database(source, beside)
            elif source.suffix == _LOG:
                digest = _copy_lines(source, beside)
            else:
                digest = _copy_unchanged(source, beside)
            if digest is not None:
                beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
    return digest


def digest_of(path: Path) -> bytes:
    """Return the sha256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


def copy_bytes(source: Path, target: Path) -> bytes:
    """Copy a file with its time and mode, whatever happens to it meanwhile; return the sha256 of what was written."""
    total = hashlib.sha256()
    with source.open("rb") as read, target.open("wb") as written:
        while piece := read.read(_PIECE_BYTES):
            written.write(piece)
            total.update(piece)
    shutil.copystat(source, target)
    return total.digest()


def _copy_object(source: StoredObject, target: Path) -> bytes:
    content = source.file.folder.get(source.file.key)
    if content is None:
        raise FileNotFoundError(str(source.file))
    target.write_bytes(content)
    os.utime(target, ns=(_nanoseconds(source), _nanoseconds(source)))
    return hashlib.sha256(content).digest()


def _nanoseconds(source: StoredObject) -> int:
    return round(source.state.changed_at * 1e9)


def _copy_unchanged(source: Path, target: Path) -> bytes | None:
    for _ in range(_TRIES):
        before = _state(source)
        digest = copy_bytes(source, target)
        if _state(source) == before:
            return digest
    return None


def _state(path: Path) -> tuple[int, int, int]:
    state = path.stat()
    return state.st_ino, state.st_size, state.st_mtime_ns


def _is_database(path: Path) -> bool:
    if path.suffix not in _DATABASES:
        return False
    with path.open("rb") as stream:
        return stream.read(len(_SQLITE_HEADER)) == _SQLITE_HEADER


def _copy_database(source: Path, target: Path) -> bytes:
    """Copy by SQLite's own means; a connection for reading only would leave files beside an idle database."""
    target.unlink(missing_ok=True)
    try:
        with (
            closing(sqlite3.connect(f"{source.as_uri()}?mode=rw", uri=True, timeout=_BUSY_S)) as read,
            closing(sqlite3.connect(target)) as written,
        ):
            read.backup(written)
            written.execute("PRAGMA journal_mode = DELETE")  # the copy is one file, without a log of writes beside it
    except sqlite3.Error as error:
        raise BackupError(f"the database {source} cannot be copied ({error})") from error
    shutil.copystat(source, target)
    return digest_of(target)


def _copy_lines(source: Path, target: Path) -> bytes:
    content = source.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    target.write_bytes(whole)
    shutil.copystat(source, target)
    return hashlib.sha256(whole).digest()


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name, or a copy where the file system has no hard links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    with disk_full_named(target):
        try:
            os.link(source, target)
        except OSError:  # another link too many, or a file system without links; a full disk is told by the copy
            beside = target.with_name(f".{target.name}.part")
            copy_bytes(source, beside)
            beside.replace(target)
