"""Making a backup: a dated folder with all of a workspace; unchanged files are links to the backup before it."""

import os
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from filelock import FileLock, Timeout

from tasks.backup.contents import (
    DECISIONS,
    BackupError,
    Entry,
    FileSource,
    Group,
    StoredObject,
    first_entries,
    is_whole_batch,
    other_entries,
)
from tasks.backup.copying import copy_file, digest_of, has_state, is_stable, link_or_copy
from tasks.backup.snapshots import COPY, NAME_FORMAT, SUMS, UNFINISHED, Sums, copied_sums, finished_snapshots, write_end
from tasks.decisions.ledger import ledger_lock
from tasks.housekeeping.turn import only_keeper
from tasks.runtime.progress import StageProgress, progress
from tasks.runtime.provenance import code_version
from tasks.runtime.workspace import Workspace
from tasks.server.group_server import group_server
from tasks.store.files import sync
from tasks.store.object_store.at_once import at_once
from tasks.store.object_store.objects import ObjectFolder
from tasks.store.object_store.restoring import require_restored
from tasks.store.schema import STAGING
from tasks.tracking.tracking_store import group_tracking

CHANGES = "changes while it is read"
_REMOVED = ".removed"


def back_up(workspace: Workspace, target: Path, now: datetime, keep: int | None = None) -> dict[str, Any]:
    """Copy the workspace into a new folder of `target` named by the time, and return the summary.

    An interrupted backup is continued: files that it copied are read again, and compared by their size and time.

    Parameters
    ----------
    workspace : Workspace
        Exists; it may be in use. Of one on an object store, datasets and raw bytes are copied from there, and all else
        from the state folder of this machine.
    target : Path
        Made if it is absent.
    now : datetime
        UTC.
    keep : int, optional
        Number of finished backups that stay, the newest, at least 1; None: all.

    Raises
    ------
    BackupError
        `target` is in the workspace or is a backup itself, another process makes a backup into it, or a database
        cannot be read.
    DiskFullError
        The disk of `target` is full; what was copied stays for the next backup.
    HousekeepingBusyError
        This process slept so long that another may have removed what it copied.
    RestoringError
        The workspace is not restored to its end.
    """
    started, target, elsewhere = time.monotonic(), target.resolve(), _elsewhere()
    _check_target(workspace, target)
    with (
        _one_backup(target),
        only_keeper(workspace, wait=True) as require_turn,
        progress("backing up", None) as advance,
    ):
        if workspace.address is not None:
            require_restored(ObjectFolder(workspace.address))
        snapshot = target / now.strftime(NAME_FORMAT)
        if snapshot.exists():
            raise BackupError(f"{snapshot} exists: the clock of this machine went back, or wait a second")
        copy = _Copy.begin(workspace.root.resolve(), target, advance)
        with ledger_lock(workspace) if (workspace.root / DECISIONS).is_dir() else nullcontext():
            copy.take(first_entries(copy.root))
        copy.take(other_entries(workspace, copy.root))
        copy.forget_what_went()
        facts = {"workspace": workspace.name, "began_at": now.isoformat(), "code_version": code_version()}
        require_turn()
        copy.finish({**facts, "elsewhere": elsewhere})
        (target / UNFINISHED).rename(snapshot)
        sync(target)
        removed = _remove_old(target, keep)
    return {
        "backup": str(snapshot),
        **copy.counts(),
        "elsewhere": elsewhere,
        "removed_backups": removed,
        "seconds": round(time.monotonic() - started, 1),
    }


@dataclass(frozen=True)
class _FileCopy:
    """The copy of a file: its digest, None where the file changed while it was read; sizes in bytes.

    Attributes
    ----------
    in_last : bool
        Whether the finished backup before has the same bytes.
    copied_size : int
        What was read of the workspace for it.
    """

    digest: bytes | None
    size: int = 0
    in_last: bool = False
    copied_size: int = 0


@dataclass
class _Copy:
    """A backup that is being made in `folder`, and the finished one before it with its digests."""

    root: Path
    folder: Path
    before: Path | None
    known: Sums
    advance: StageProgress
    digests: Sums = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    stored: set[str] = field(default_factory=set)
    unchanged: int = 0
    size: int = 0
    copied_size: int = 0

    @classmethod
    def begin(cls, root: Path, target: Path, advance: StageProgress) -> "_Copy":
        """Begin a backup in `target`, or go on with the one that was interrupted there."""
        finished = finished_snapshots(target)
        before = finished[-1] if finished else None
        folder = target / UNFINISHED / COPY
        folder.mkdir(parents=True, exist_ok=True)
        (target / UNFINISHED / SUMS).unlink(missing_ok=True)  # of a process that died before the folder got its name
        return cls(root, folder, before and before / COPY, copied_sums(before) if before else {}, advance)

    def take(self, groups: Iterable[Group]) -> None:
        """Copy files and links; what is removed meanwhile is not missed."""
        for group in groups:
            for entry, copied in zip(group, at_once(self._copy, group), strict=True):
                if entry.kind == "link":
                    self._take_link(entry)
                elif entry.kind == "unusable":
                    self.left_out[entry.name] = entry.target
                elif copied is not None:
                    self._record(entry.name, copied)
                if isinstance(entry.source, StoredObject):
                    self.stored.add(entry.name)
                self.advance(1)

    def _copy(self, entry: Entry) -> _FileCopy | None:
        """Return the copy of a file; None for what is none, and for one that is gone."""
        if entry.kind != "file":
            return None
        copy = self.folder / entry.name
        try:
            return self._unchanged(entry.name, entry.source, copy) or self._copied(entry.name, entry.source, copy)
        except FileNotFoundError:
            if entry.source.exists():
                raise
            return None

    def _unchanged(self, name: str, source: FileSource, copy: Path) -> _FileCopy | None:
        """Return the copy of a file that the backup before, or an interrupted one, has as it is."""
        if not is_stable(source):
            return None
        old = self.before / name if self.before is not None and name in self.known else None
        if old is not None and has_state(source, old):
            if not (copy.is_file() and copy.samefile(old)):
                link_or_copy(old, copy)
            return _FileCopy(self.known[name], copy.stat().st_size, in_last=True)
        return _FileCopy(digest_of(copy), copy.stat().st_size) if has_state(source, copy) else None

    def _copied(self, name: str, source: FileSource, copy: Path) -> _FileCopy:
        digest = copy_file(source, copy)
        if digest is None:
            return _FileCopy(None)
        size = copy.stat().st_size
        if digest == self.known.get(name) and self.before is not None:
            link_or_copy(self.before / name, copy)
            return _FileCopy(digest, size, in_last=True)
        return _FileCopy(digest, size, copied_size=size)

    def _record(self, name: str, copied: _FileCopy) -> None:
        if copied.digest is None:
            self.left_out[name] = CHANGES
            return
        self.digests[name] = copied.digest
        self.size += copied.size
        self.copied_size += copied.copied_size
        self.unchanged += copied.in_last

    def _take_link(self, entry: Entry) -> None:
        copy = self.folder / entry.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if not (copy.is_symlink() and str(copy.readlink()) == entry.target):
            copy.unlink(missing_ok=True)
            copy.symlink_to(entry.target)
        self.links[entry.name] = entry.target

    def forget_what_went(self) -> None:
        """Take out files of folders that are gone by now: a version or a batch is copied whole or not at all."""
        names = [*self.digests, *self.links]
        holders = {PurePosixPath(name).parent for name in names if name not in self.stored}
        folders = holders.union(*(holder.parents for holder in holders))
        gone = {str(folder) for folder in folders if not (self.root / folder).is_dir()}
        batches = {str(PurePosixPath(name).parent) for name in self.stored if f"/{STAGING}/" in name}
        gone |= {batch for batch in batches if not is_whole_batch(self.digests, batch)}
        for name in names if gone else []:
            if any(str(parent) in gone for parent in PurePosixPath(name).parents):
                self.digests.pop(name, None)
                self.links.pop(name, None)

    def finish(self, facts: dict[str, Any]) -> None:
        """Remove what an interrupted backup left and this one lacks, sync, and write the digests."""
        for parent, folders, names in os.walk(self.folder, topdown=False):
            for path in (Path(parent, name) for name in names + folders):
                name = path.relative_to(self.folder).as_posix()
                if path.is_symlink() or not path.is_dir():
                    if name not in self.digests and name not in self.links:
                        path.unlink()
                elif not any(path.iterdir()):
                    path.rmdir()
        os.sync()
        write_end(self.folder.parent, self.digests, {**facts, "links": self.links, "left_out": self.left_out})

    def counts(self) -> dict[str, Any]:
        """Return the part of the summary that counts files."""
        return {
            "files": len(self.digests),
            "unchanged": self.unchanged,
            "size_bytes": self.size,
            "copied_bytes": self.copied_size,
            "left_out": dict(Counter(self.left_out.values())),
        }


def _elsewhere() -> dict[str, str]:
    """Return the addresses of what belongs to the workspace's work and is in no backup of it."""
    servers = {"prefect": group_server(), "mlflow": group_tracking()}
    return {name: address.url for name, address in servers.items() if address is not None}


def _check_target(workspace: Workspace, target: Path) -> None:
    root = workspace.root.resolve()
    if target.is_relative_to(root):
        raise BackupError(f"{target} is in the workspace {root}: name a folder outside, best on another disk")
    if (target / SUMS).is_file():
        raise BackupError(f"{target} is a backup itself: name the folder above it")


@contextmanager
def _one_backup(target: Path) -> Iterator[None]:
    target.mkdir(parents=True, exist_ok=True)
    lock = FileLock(target / ".backup.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise BackupError(f"another process makes a backup into {target}: wait for it") from None
    try:
        yield
    finally:
        lock.release()


def _remove_old(target: Path, keep: int | None) -> int:
    """Remove all finished backups but the newest `keep`, and what an interrupted removal left; return their number."""
    old = [] if keep is None else finished_snapshots(target)[:-keep]
    for snapshot in old:
        snapshot.rename(snapshot.with_name(f"{_REMOVED}-{snapshot.name}"))
    for folder in target.glob(f"{_REMOVED}-*"):
        shutil.rmtree(folder)
    return len(old)
