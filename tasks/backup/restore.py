"""A workspace from a backup, at any place; every byte is compared with its digest before the workspace is there."""

import os
import shutil
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from tasks.backup.contents import BackupError
from tasks.backup.copying import copy_bytes, digest_of
from tasks.backup.restored_objects import Upload, is_on_store, require_plain
from tasks.backup.snapshots import COPY, FACTS, Sums, find_snapshot, read_facts, read_sums, require_inside
from tasks.runtime.progress import progress
from tasks.runtime.workspace import Workspace
from tasks.store.files import disk_full_named, sync
from tasks.store.object_store.at_once import at_once
from tasks.store.object_store.objects import ObjectFolder
from tasks.tracking.database import correct_addresses

_NAMED = 5
"""Damaged files that an error names."""
_STATE_REMEDY = (
    "it is this machine's state folder of that address, from other use or an interrupted restore; remove it if it is "
    "not needed, or name another address with --workspace s3://BUCKET/PREFIX"
)


def restore(source: Path, workspace: Workspace) -> dict[str, Any]:
    """Make the workspace from a backup, or from the newest finished one in a folder, and return the summary.

    It appears whole, or not at all. MLflow's addresses are those of the new place. Whether the backup is of a folder or
    of an object store, it may be restored to either.

    Raises
    ------
    BackupError
        There is no finished backup, its bytes are not those that were written, or the workspace is not empty.
    DiskFullError
        The disk of the workspace is full.
    ObjectStoreError
        The object store does not take, or does not give back, what was restored.
    KeeperBusyError
        Another restore, a housekeeping or a backup is at work at that address.
    """
    started, snapshot = time.monotonic(), find_snapshot(source.absolute())
    sums, root = read_sums(snapshot), workspace.root
    facts = read_facts(snapshot, sums)
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        remedy = "name a new folder with --workspace DIR" if workspace.address is None else _STATE_REMEDY
        raise BackupError(f"{root} is not empty: {remedy}")
    if workspace.address is None:
        _make(snapshot, sums, facts["links"], root, None)
    else:
        require_plain(facts["links"])
        with Upload.begin(ObjectFolder(workspace.address)) as upload:
            _make(snapshot, sums, facts["links"], root, upload)
    correct_addresses(workspace)
    return _summary(snapshot, sums, facts, started) | {"workspace": workspace.name}


def _make(snapshot: Path, sums: Sums, links: Mapping[str, str], root: Path, upload: Upload | None) -> None:
    """Make the folder `root`, and with `upload` the objects; where that fails, neither is there."""
    beside = root.with_name(f".{root.name}.restoring")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        with disk_full_named(root):
            take = partial(_copy, beside) if upload is None else partial(_copy_or_put, beside, upload)
            _compare(snapshot, sums, take)
            for name, target in links.items():
                if upload is None or not is_on_store(name):
                    _link(beside, name, target)
            if upload is not None:
                upload.take_index(snapshot / COPY)
            os.sync()
            beside.rename(root)
            sync(root.parent)
        if upload is not None:
            upload.finish()
    except BaseException:
        if upload is not None and upload.undo():
            shutil.rmtree(root, ignore_errors=True)
        raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def check(source: Path) -> dict[str, Any]:
    """Compare a backup, or the newest finished one in a folder, with its digests; return the summary.

    Raises
    ------
    BackupError
        There is no finished backup, or its bytes are not those that were written.
    """
    started, snapshot = time.monotonic(), find_snapshot(source.absolute())
    sums = read_sums(snapshot)
    facts = read_facts(snapshot, sums)
    _compare(snapshot, sums, lambda path, name: digest_of(path))
    return _summary(snapshot, sums, facts, started)


def _compare(snapshot: Path, sums: Sums, read: Callable[[Path, str], bytes]) -> None:
    """Read every file of the copy, and refuse the backup where one is missing or has another digest."""

    def compare(path: str) -> str | None:
        """Return what is wrong with a file."""
        name = require_inside(path.removeprefix(f"{COPY}/"))
        try:
            is_as_written = read(snapshot / COPY / name, name) == sums[path]
        except FileNotFoundError:
            return "missing"
        return None if is_as_written else "its bytes are not those that were written"

    damaged, paths = [], [path for path in sums if path != FACTS]
    with progress("comparing", len(paths)) as advance:
        for path, fault in zip(paths, at_once(compare, paths), strict=True):
            if fault is not None:
                damaged.append(f"{path} ({fault})")
            advance(1)
    if damaged:
        named = ", ".join(damaged[:_NAMED]) + (f" and {len(damaged) - _NAMED} more" if len(damaged) > _NAMED else "")
        raise BackupError(f"the backup {snapshot} is damaged: {named}; use another backup")


def _copy_or_put(root: Path, upload: Upload, source: Path, name: str) -> bytes:
    return upload.take(source, name) if is_on_store(name) else _copy(root, source, name)


def _copy(root: Path, source: Path, name: str) -> bytes:
    target = root / name
    target.parent.mkdir(parents=True, exist_ok=True)
    return copy_bytes(source, target)


def _link(root: Path, name: str, target: str) -> None:
    link = root / require_inside(name)
    require_inside(os.path.relpath(os.path.normpath(link.parent / target), root))
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target)


def _summary(snapshot: Path, sums: Sums, facts: dict[str, Any], started: float) -> dict[str, Any]:
    return {
        "backup": str(snapshot),
        "of": facts["workspace"],
        "began_at": facts["began_at"],
        "files": len(sums) - 1,
        "seconds": round(time.monotonic() - started, 1),
    }
