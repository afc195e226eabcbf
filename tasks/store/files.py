"""Writes that are either complete or absent: write beside, sync, rename."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.store.errors import DiskFullError


@contextmanager
def disk_full_named(target: Path) -> Iterator[None]:
    """Turn the operating system's "no space left" into an error that names `target`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(
                f"no space left on the disk of {target}; free some and run the same command again, "
                "it continues from the finished work"
            ) from error
        raise


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
    """Write `table` as Parquet, whole."""
    with whole_file(target) as path:
        pq.write_table(table, path, compression="zstd")


def sha256_of_file(path: Path) -> str:
    """Return the hexadecimal sha256 of a file's bytes, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
