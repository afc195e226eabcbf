"""Which files of a workspace a backup holds, in the order in which they are read.

Who names another file is read before it: a writer makes the named one first, so it is there when its turn comes. So a
workspace may be at work while it is copied, and what the copy lacks is what a process that was killed would have left.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

DECISIONS = "decisions"
_LATE = ("datasets", "visits", "catalogs", "nights", "mlartifacts", "pixels.zarr", "raw")
"""Folders that others name, in the order in which they are read; ``pixels.zarr`` after the versions beside it."""
_FILES_OF_A_PROCESS = re.compile(
    r"""(.*/)? ( [^/]+\.lock | \.builder | \.[^/]*\.part | [^/]*\.partial | [^/]+\.(db|sqlite)-(wal|shm|journal) )
    | prefect/ ( server\.json | page-token | [^/]+\.log )""",
    re.VERBOSE,
)
"""Locks, records of running processes, the token of the pages, and writes that have not ended."""
_FOLDERS_OF_A_PROCESS = re.compile(
    r"(.*/)? ( \.trash | \.[^/]*\.part ) | prefect/ ( processes | slots | concurrency_leases )", re.VERBOSE
)
"""The same, and what is being removed."""

Kind = Literal["file", "link", "unusable"]


class BackupError(RuntimeError):
    """A backup cannot be made, or not be used; the message names the file and says what to do."""


@dataclass(frozen=True)
class Entry:
    """A file of the workspace.

    Attributes
    ----------
    name : str
        Path relative to the workspace, with ``/``.
    kind : str
        ``link``: to a place within the workspace. ``unusable``: no plain file, or a link to nothing.
    target : str
        Of a link, relative to its folder; of what is unusable, the reason.
    """

    name: str
    kind: Kind = "file"
    target: str = ""


def is_copied(name: str, is_folder: bool = False) -> bool:
    """Return whether a file or folder of that relative name belongs to a backup."""
    return (_FOLDERS_OF_A_PROCESS if is_folder else _FILES_OF_A_PROCESS).fullmatch(name) is None


def first_entries(root: Path) -> Iterator[Entry]:
    """Yield the files beside the folders of the workspace, then the decisions: MLflow's database is one with them."""
    for name, path in _listed(root, PurePosixPath()):
        if not path.is_dir() or name.name == DECISIONS:
            yield from _entry(root, name, path)


def other_entries(root: Path) -> Iterator[Entry]:
    """Yield all files that are not among `first_entries`. A folder is listed when its turn comes."""
    for name, path in _listed(root, PurePosixPath()):
        if path.is_dir() and name.name != DECISIONS:
            yield from _entry(root, name, path)


def _listed(place: Path, folder: PurePosixPath) -> list[tuple[PurePosixPath, Path]]:
    """Return relative names and paths of what a folder holds, files before folders; nothing if it is gone."""
    try:
        with os.scandir(place) as found:
            entries = [(folder / entry.name, Path(entry.path), entry.is_dir()) for entry in found]
    except FileNotFoundError:
        return []
    ordered = sorted(entries, key=lambda entry: (entry[2], _rank(entry[0].name), entry[0]))
    return [(name, path) for name, path, is_folder in ordered if is_copied(str(name), is_folder)]


def _rank(name: str) -> int:
    return _LATE.index(name) if name in _LATE else -1


def _entry(root: Path, name: PurePosixPath, path: Path) -> Iterator[Entry]:
    """Yield a file, a link, or what a folder holds. A link that leads out of the workspace stands for what it names."""
    if path.is_symlink():
        target = path.resolve()
        if target.is_relative_to(root):
            yield Entry(str(name), "link", os.path.relpath(target, path.parent.resolve()))
            return
        if root.is_relative_to(target):
            raise BackupError(f"{path} is a link to {target}, which holds the workspace: remove it")
    if path.is_dir():
        for inner, place in _listed(path, name):
            yield from _entry(root, inner, place)
    elif path.is_file():
        yield Entry(str(name))
    elif path.is_symlink() or path.exists():
        yield Entry(str(name), "unusable", "a link to nothing" if path.is_symlink() else "no plain file")
