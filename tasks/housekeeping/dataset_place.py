"""Where a dataset is, and what is in it: files, or objects and what this machine has of them."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from tasks.housekeeping.disk import measure
from tasks.runtime.workspace import Workspace
from tasks.server.process_guard import is_locked
from tasks.store.object_store.at_work import builders_elsewhere
from tasks.store.object_store.objects import FileState, ObjectFolder
from tasks.store.object_store.publication import readers_of, state_token
from tasks.store.object_store.removal import being_removed
from tasks.store.places import dataset_objects, list_files


@dataclass(frozen=True)
class DatasetPlace:
    """Where a dataset is, and the files or objects in it.

    Attributes
    ----------
    workspace : Workspace
    name : str
    files : dict of str to FileState
        By the name relative to `root`, without what a removal has begun to remove.
    removing_bytes : int
        Size of that.
    """

    workspace: Workspace
    name: str
    files: dict[str, FileState] = field(default_factory=dict)
    removing_bytes: int = 0

    @classmethod
    def of(cls, workspace: Workspace, name: str) -> "DatasetPlace":
        """Return the place of a dataset with what is there now."""
        place = cls(workspace, name)
        files = list_files(place.root)
        gone = [] if place.objects is None else [files.pop(key) for key in being_removed(place.objects) & files.keys()]
        return replace(place, files=files, removing_bytes=sum(state.size_bytes for state in gone))

    @property
    def folder(self) -> Path:
        """The local folder, with the builder's lock."""
        return self.workspace.datasets / self.name

    @property
    def objects(self) -> ObjectFolder | None:
        """The dataset on the object store, if the workspace has one."""
        return dataset_objects(self.workspace, self.name)

    @property
    def root(self) -> Path | ObjectFolder:
        """Where the dataset is."""
        return self.objects or self.folder

    def parts(self, *names: str) -> tuple[Path | ObjectFolder, ...]:
        """Return what is removed with some folders: they, and on an object store what this machine has of them."""
        places: list[Path | ObjectFolder] = [] if self.objects is None else [self.objects / name for name in names]
        local = (self.folder / name for name in names)
        return (*places, *(path for path in local if path.exists()))

    def measure(self, *names: str) -> tuple[int, float]:
        """Return the bytes of `parts` and the time of their newest file, without what a removal has begun to remove."""
        inside = tuple(f"{name}/" for name in names)
        states = [state for key, state in self.files.items() if key.startswith(inside)]
        size, newest = (0, 0.0) if self.objects is None else measure(self.folder / name for name in names)
        return size + sum(state.size_bytes for state in states), max([newest, *(state.changed_at for state in states)])

    def below(self, name: str) -> list[str]:
        """Return the names directly below a folder, in order."""
        inside = (key.removeprefix(f"{name}/") for key in self.files if key.startswith(f"{name}/"))
        return sorted({key.partition("/")[0] for key in inside if not key.startswith(".")})

    def is_built(self, now: float) -> bool:
        """Return whether a process builds the dataset."""
        return is_locked(self.folder / ".builder.lock") or bool(builders_elsewhere(self.folder, self.objects, now))

    def read_by_others(self, number: int) -> bool:
        """Return whether another state folder has read a version."""
        return self.objects is not None and bool({*self.below(readers_of(number))} - {state_token(self.folder)})
