"""Writes that are either complete or absent: write beside, sync, rename."""

import errno
import hashlib
import json
import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.store.errors import DamagedTableError, DiskFullError
from tasks.store.object_store.objects import ObjectFolder

_CUT_SHORT = re.compile(r"\d+ requested and \d+ written")
"""What NumPy says, without a number of the error, when an array does not fit onto the disk."""


@contextmanager
def disk_full_named(target: Path | ObjectFolder) -> Iterator[None]:
    """Turn "no space left" of the operating system or of SQLite into an error that names `target`."""
    try:
        yield
    except (OSError, sqlite3.OperationalError) as error:
        if _is_disk_full(error):
            raise DiskFullError(
                f"no space left on the disk of {target}; free some and run the same command again, "
                "it continues from the finished work"
            ) from error
        raise


def _is_disk_full(error: OSError | sqlite3.OperationalError) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT) or _CUT_SHORT.fullmatch(str(error)) is not None
    return error.sqlite_errorcode == sqlite3.SQLITE_FULL


def sync(path: Path) -> None:
    """Flush a file or a folder's entries to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Flush every file and folder below `folder`, and the folder."""
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if not path.is_symlink():
                sync(path)
        sync(Path(parent))


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """Give a path beside `target` to write to; it becomes `target` if the block ends without an error."""
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with disk_full_named(target):
            yield beside
            sync(beside)
            beside.replace(target)
            sync(target.parent)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Give a folder beside `target` to fill; it becomes `target` if the block ends without an error."""
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.{os.getpid()}.part")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    try:
        with disk_full_named(target):
            yield beside
            sync_tree(beside)
            beside.rename(target)
            sync(target.parent)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def write_json(target: Path, content: Any) -> None:
    """Write `content` as readable JSON, whole."""
    with whole_file(target) as path:
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_table(target: Path, table: pa.Table) -> None:
    """Write `table` as Parquet, whole. These bytes must stay: requests know a simulated catalogue by their sha256."""
    with whole_file(target) as path:
        pq.write_table(table, path, compression="zstd")


def write_checked_table(path: Path, table: pa.Table, **settings: int) -> None:
    """Write `table` as Parquet whose pages have checksums, which `read_table` compares."""
    pq.write_table(table, path, compression="zstd", write_page_checksum=True, **settings)


def read_table(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Return a Parquet table, or some of its columns.

    Raises
    ------
    DamagedTableError
        It is absent or no Parquet file, or a page cannot be decoded or fails its checksum.
    """
    try:
        return pq.read_table(path, columns=columns, page_checksum_verification=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise damaged_table(path, error) from error


def damaged_table(path: Path, error: Exception) -> DamagedTableError:
    """Return the error that names a table that cannot be read."""
    reason = " ".join(str(error).split())
    return DamagedTableError(f"{path} cannot be read ({reason}); restore it from a backup, or use another version")


def sha256_of_file(path: Path) -> str:
    """Return the hexadecimal sha256 of a file's bytes, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def file_stem(name: str) -> str:
    """Return a name with every run of other characters than letters, digits, ``._-`` replaced by ``_``."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name)
