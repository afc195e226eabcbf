"""Which files of a workspace a backup holds, in the order in which they are read.

Who names another file is read before it: a writer makes the named one first, so it is there when its turn comes. So a
workspace may be at work while it is copied, and what the copy lacks is what a process that was killed would have left.
"""

import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from tasks.runtime.workspace import Workspace
from tasks.store.object_store.objects import FileState, ObjectFile, ObjectFolder
from tasks.store.object_store.publication import current_object
from tasks.store.object_store.removal import being_removed
from tasks.store.schema import CURRENT, PIXELS, STAGING, VERSIONS
from tasks.store.staging import BATCH_FILES
from tasks.store.version_files import MANIFEST

DATASETS, RAW = "datasets", "raw"
"""Folders of a workspace that are on the object store, if it has one."""
DECISIONS = "decisions"
_LATE = (DATASETS, "visits", "catalogs", "nights", "mlartifacts", PIXELS, RAW)
"""Folders that others name, in the order in which they are read; ``pixels.zarr`` after the versions beside it."""
_FILES_OF_A_PROCESS = re.compile(
    r"""(.*/)? ( [^/]+\.lock | \.builder | \.[^/]*\.part | [^/]*\.partial | [^/]+\.(db|sqlite)-(wal|shm|journal) )
    | state-token | prefect/ ( server\.json | page-token | [^/]+\.log )""",
    re.VERBOSE,
)
"""Locks, records of running processes, the tokens of the state folder and the pages, and writes that have not ended."""
_FOLDERS_OF_A_PROCESS = re.compile(
    r"(.*/)? ( \.trash | \.[^/]*\.part ) | prefect/ ( processes | slots | concurrency_leases )", re.VERBOSE
)
"""The same, and what is being removed."""

_OF_VERSION = re.compile(rf"{VERSIONS}/(\d+)/")
_STAGED = re.compile(rf"{STAGING}/.*/({'|'.join(map(re.escape, BATCH_FILES))})", re.DOTALL)
"""Keys of a dataset's objects: of a version, and the files of a staged batch."""

Kind = Literal["file", "link", "unusable"]


class BackupError(RuntimeError):
    """A backup cannot be made, or not be used; the message names the file and says what to do."""


@dataclass(frozen=True)
class StoredObject:
    """An object of the workspace's store, as it was listed."""

    file: ObjectFile
    state: FileState

    def exists(self) -> bool:
        """Tell whether the object is still there."""
        return self.file.exists()


FileSource = Path | StoredObject
"""What a file of a backup is copied from."""


@dataclass(frozen=True)
class Entry:
    """A file of the workspace.

    Attributes
    ----------
    name : str
        Path relative to the workspace, with ``/``.
    source : Path or StoredObject
        The file or object; of a link on a store, the object that the link stands beside.
    kind : str
        ``link``: to a place within the workspace. ``unusable``: no plain file, or a link to nothing.
    target : str
        Of a link, relative to its folder; of what is unusable, the reason.
    """

    name: str
    source: FileSource
    kind: Kind = "file"
    target: str = ""


Group = Sequence[Entry]
"""Entries that may be read in any order, or at once; the next group is listed when all of it has been read."""


def is_copied(name: str, is_folder: bool = False) -> bool:
    """Return whether a file or folder of that relative name belongs to a backup."""
    return (_FOLDERS_OF_A_PROCESS if is_folder else _FILES_OF_A_PROCESS).fullmatch(name) is None


def first_entries(root: Path) -> Iterator[Group]:
    """Yield the files beside the folders of the workspace, then the decisions: MLflow's database is one with them."""
    for name, path in _listed(root, PurePosixPath()):
        if not path.is_dir() or name.name == DECISIONS:
            yield from _groups(root, name, path)


def other_entries(workspace: Workspace, root: Path) -> Iterator[Group]:
    """Yield all files that are not among `first_entries`. A folder is listed when its turn comes.

    Datasets and raw bytes on an object store take the places of the folders that they are in a workspace without one;
    what a machine has of them, copies of tables and plans, is made again where it is needed.
    """
    folders = {name.name: path for name, path in _listed(root, PurePosixPath()) if path.is_dir()}
    names = {*folders} - {DECISIONS} | (set() if workspace.address is None else {DATASETS, RAW})
    for name in sorted(names, key=lambda name: (_rank(name), name)):
        if workspace.address is not None and name == DATASETS:
            datasets = ObjectFolder(workspace.address) / DATASETS
            for dataset in datasets.folders():
                yield from _dataset_entries(datasets / dataset)
        elif workspace.address is not None and name == RAW:
            yield from _raw_entries(ObjectFolder(workspace.address) / RAW)
        else:
            yield from _groups(root, PurePosixPath(name), folders[name])


def _dataset_entries(objects: ObjectFolder) -> Iterator[Group]:
    """Yield the objects of a dataset: ``CURRENT``, complete versions, whole batches, pixels.

    A link to the pixels stands in each version, as in a folder. Left out is what belongs to a process: journals of
    publishers, claims of rows, announcements, and what is being removed.
    """
    gone, below = being_removed(objects), f"{DATASETS}/{objects.name}"
    if (current := objects.state(CURRENT)) is not None and CURRENT not in gone:
        yield [_stored(below, objects, CURRENT, current)]
    newest = current_object(objects) or 0
    found = {key: state for key, state in sorted(objects.states().items()) if key not in gone}
    versions = []
    for key in (key for key in found if 0 < _version_of(key) <= newest):
        versions.append(_stored(below, objects, key, found[key]))
        if key.endswith(f"/{MANIFEST}"):
            beside = StoredObject(objects.file(key), found[key])
            versions.append(Entry(f"{below}/{key.removesuffix(MANIFEST)}{PIXELS}", beside, "link", f"../../{PIXELS}"))
    yield versions
    yield [_stored(below, objects, key, found[key]) for key in found if _STAGED.fullmatch(key)]
    pixels = {f"{PIXELS}/{key}": state for key, state in sorted((objects / PIXELS).states().items())}
    yield [_stored(below, objects, key, state) for key, state in pixels.items() if key not in gone]


def _version_of(key: str) -> int:
    """Return the number of the version that an object of a dataset belongs to; 0 if to none."""
    found = _OF_VERSION.match(key)
    return int(found[1]) if found else 0


def _raw_entries(objects: ObjectFolder) -> Iterator[Group]:
    """Yield the index of requests, then the raw bytes; rate budgets are of a moment."""
    found = sorted(objects.states().items())
    yield [_stored(RAW, objects, key, state) for key, state in found if key.startswith("requests/")]
    yield [_stored(RAW, objects, key, state) for key, state in found if not key.startswith(("requests/", "budget/"))]


def _stored(below: str, objects: ObjectFolder, key: str, state: FileState) -> Entry:
    return Entry(f"{below}/{key}", StoredObject(objects.file(key), state))


def is_whole_batch(names: Collection[str], folder: str) -> bool:
    """Return whether all files of a staged batch are among relative names."""
    return all(f"{folder}/{file}" in names for file in BATCH_FILES)


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


def _groups(root: Path, name: PurePosixPath, path: Path) -> Iterator[Group]:
    """Yield a file, a link, or what a folder holds. A link that leads out of the workspace stands for what it names."""
    if path.is_symlink():
        target = path.resolve()
        if target.is_relative_to(root):
            yield [Entry(str(name), path, "link", os.path.relpath(target, path.parent.resolve()))]
            return
        if root.is_relative_to(target):
            raise BackupError(f"{path} is a link to {target}, which holds the workspace: remove it")
    if path.is_dir():
        for inner, place in _listed(path, name):
            yield from _groups(root, inner, place)
    elif path.is_file():
        yield [Entry(str(name), path)]
    elif path.is_symlink() or path.exists():
        yield [Entry(str(name), path, "unusable", "a link to nothing" if path.is_symlink() else "no plain file")]
