"""Where datasets and raw bytes of a workspace are: in its folder, or on an object store."""

from pathlib import Path

from tasks.runtime.workspace import Workspace
from tasks.store.objects import ObjectFolder
from tasks.store.schema import CURRENT, check_name


def dataset_objects(workspace: Workspace, name: str) -> ObjectFolder | None:
    """Return the objects of a dataset; None where the workspace is a folder."""
    check_name(name)
    return None if workspace.address is None else ObjectFolder(workspace.address) / "datasets" / name


def raw_place(workspace: Workspace) -> Path | ObjectFolder:
    """Return the folder of the raw store, or its objects."""
    return workspace.raw if workspace.address is None else ObjectFolder(workspace.address) / "raw"


def dataset_names(workspace: Workspace) -> list[str]:
    """Return the names of the published datasets, in order."""
    if workspace.address is None:
        return sorted(path.parent.name for path in workspace.datasets.glob(f"*/{CURRENT}"))
    datasets = ObjectFolder(workspace.address) / "datasets"
    return [name for name in datasets.folders() if datasets.has(f"{name}/{CURRENT}")]
