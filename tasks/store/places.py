"""Where datasets and raw bytes of a workspace are: in its folder, or on an object store."""

import contextlib
import os
from pathlib import Path

from tasks.runtime.workspace import Workspace
from tasks.store.object_store.objects import FileState, ObjectFolder
from tasks.store.schema import CURRENT, NAME, check_name


def dataset_objects(workspace: Workspace, name: str) -> ObjectFolder | None:
    """Return the objects of a dataset; None where the workspace is a folder."""
    check_name(name)
    return None if workspace.address is None else ObjectFolder(workspace.address) / "datasets" / name


def raw_place(workspace: Workspace) -> Path | ObjectFolder:
    """Return the folder of the raw store, or its objects."""
    return workspace.raw if workspace.address is None else ObjectFolder(workspace.address) / "raw"


def places_of(workspace: Workspace) -> list[Path | ObjectFolder]:
    """Return the folder of a workspace, and where it has an address its objects too."""
    return [workspace.root, *([] if workspace.address is None else [ObjectFolder(workspace.address)])]


def dataset_folders(workspace: Workspace) -> list[str]:
    """Return the names below ``datasets/``, published or not, in order; also of those that this machine alone has."""
    local = {path.name for path in workspace.datasets.glob("*") if path.is_dir() and NAME.fullmatch(path.name)}
    if workspace.address is None:
        return sorted(local)
    return sorted(local.union(filter(NAME.fullmatch, (ObjectFolder(workspace.address) / "datasets").folders())))


def dataset_names(workspace: Workspace) -> list[str]:
    """Return the names of the published datasets, in order."""
    if workspace.address is None:
        return sorted(path.parent.name for path in workspace.datasets.glob(f"*/{CURRENT}"))
    datasets = ObjectFolder(workspace.address) / "datasets"
    return [name for name in datasets.folders() if datasets.has(f"{name}/{CURRENT}")]


def list_files(place: Path | ObjectFolder) -> dict[str, FileState]:
    """Return sizes and times of all files or objects below a place by their relative names, with ``/``.

    A link is not followed; what is removed meanwhile is left out.
    """
    if isinstance(place, ObjectFolder):
        return place.states()
    found: dict[str, FileState] = {}
    for parent, folders, names in os.walk(place):
        for name in [*names, *(name for name in folders if Path(parent, name).is_symlink())]:
            path = Path(parent, name)
            with contextlib.suppress(FileNotFoundError):
                state = path.lstat()
                found[path.relative_to(place).as_posix()] = FileState(state.st_size, state.st_mtime)
    return found
