"""Carrying out a plan: in its order, each item under the lock of who might be using it."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tasks.housekeeping.dataset_items import RAW
from tasks.housekeeping.disk import empty_trash, throw_away
from tasks.housekeeping.file_items import UNFINISHED
from tasks.housekeeping.model_items import MODEL, RUN
from tasks.housekeeping.references import Item, Plan
from tasks.housekeeping.rules import READ_ELSEWHERE
from tasks.housekeeping.survey import Contents
from tasks.runtime.folder_lock import FolderBusyError, lock_folder
from tasks.runtime.workspace import Workspace
from tasks.store.errors import DatasetBusyError
from tasks.store.locks import no_builder, one_builder
from tasks.store.object_store.at_work import builders_elsewhere, forget_dead_builders
from tasks.store.object_store.objects import ObjectFile, ObjectFolder
from tasks.store.object_store.publication import READERS, state_token
from tasks.store.object_store.removal import NOTE, finish_removal, remove_below
from tasks.store.places import dataset_folders, dataset_objects
from tasks.tracking.retention import RetentionError, remove_run, remove_version, require_no_deleted_experiments

_LOG = logging.getLogger(__name__)


@dataclass
class Outcome:
    """What was removed, and by reason what was planned and stays.

    Attributes
    ----------
    removed : list of Item
    skipped : Counter
        Number of items by reason.
    """

    removed: list[Item] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)


class AnotherDiskError(RuntimeError):
    """A file lies on another disk than its folder at the top of the workspace."""


class ReadElsewhereError(RuntimeError):
    """Another machine has read a version since the workspace was looked through."""


def finish_removals(workspace: Workspace, now: float) -> None:
    """Remove what earlier housekeepings began to remove on an object store, and what builders left that died.

    A dataset that is being built, here or on another machine, is left to its builder.
    """
    for name in dataset_folders(workspace):
        folder, objects = workspace.datasets / name, dataset_objects(workspace, name)
        if objects is None:
            continue
        forget_dead_builders(objects, now)
        if objects.has(NOTE) and not builders_elsewhere(folder, objects, now):
            with suppress(DatasetBusyError), one_builder(folder):
                finish_removal(objects)


def carry_out(
    workspace: Workspace,
    plan: Plan,
    contents: Contents,
    require_turn: Callable[[], None] = lambda: None,
    advance: Callable[[int], None] = lambda _: None,
) -> Outcome:
    """Remove what is planned, and all that is in the trash.

    `require_turn` is called before every item, and raises where this process may no longer remove. An item that cannot
    be removed stays, with all that it needs. A process killed at any point leaves nothing that needs what is gone, and
    the next housekeeping finishes.
    """
    outcome, needed = Outcome(), set[str]()
    for item in plan.removed:
        require_turn()
        why = "needed by what stays" if item.key in needed else _remove(workspace, item, contents)
        if why is None:
            outcome.removed.append(item)
        else:
            outcome.skipped[why] += 1
            needed |= item.needs
        advance(1)
    empty_trash(workspace.root)
    return outcome


def _remove(workspace: Workspace, item: Item, contents: Contents) -> str | None:
    """Remove one item; return why it stays, or None."""
    try:
        if item.kind in (MODEL, RUN):
            require_no_deleted_experiments(workspace)
        if item.kind == MODEL:
            gone = remove_version(workspace, contents.models[item.key])
            return None if gone else "it has got an alias meanwhile"
        if item.kind == RUN:
            remove_run(workspace, contents.runs[item.key])
            return None
        with _lock(workspace, item):
            _remove_objects(workspace, item)
            for path in (path for path in item.paths if isinstance(path, Path)):
                if not throw_away(workspace.root, path):
                    raise AnotherDiskError(f"{path} lies on another disk")
    except (DatasetBusyError, FolderBusyError, RetentionError, AnotherDiskError, ReadElsewhereError) as error:
        _LOG.warning("%s stays: %s", item.key, error)
        return str(error)
    return None


def _remove_objects(workspace: Workspace, item: Item) -> None:
    """Remove what an item has on an object store: single objects, and the folders of each dataset together."""
    for file in (path for path in item.paths if isinstance(path, ObjectFile)):
        file.folder.delete(file.key)
    for name in item.datasets:
        objects = dataset_objects(workspace, name)
        below = [f"{path}/" for path in item.paths if isinstance(path, ObjectFolder)]
        prefixes = [path.removeprefix(f"{objects}/").rstrip("/") for path in below if path.startswith(f"{objects}/")]
        if objects is not None and prefixes:
            _require_unread(workspace.datasets / name, objects, prefixes)
            remove_below(objects, prefixes)


def _require_unread(folder: Path, objects: ObjectFolder, prefixes: Iterable[str]) -> None:
    """Refuse a removal with which the notes of other machines that read a version would go."""
    of_readers = [prefix or READERS for prefix in prefixes if f"{prefix or READERS}/".startswith(f"{READERS}/")]
    readers = [key for prefix in of_readers for key in objects.names(prefix)]
    if any(key.rpartition("/")[2] != state_token(folder) for key in readers):
        raise ReadElsewhereError(READ_ELSEWHERE)


def _lock(workspace: Workspace, item: Item) -> AbstractContextManager[object]:
    """Return the lock of who might be using an item."""
    if item.kind == RAW:
        return no_builder(workspace.datasets)
    if item.datasets:
        return _no_other_builder(workspace, item.datasets)
    if item.kind == UNFINISHED and isinstance(path := item.paths[0], Path) and path.is_dir():
        return lock_folder(path)
    return nullcontext()


@contextmanager
def _no_other_builder(workspace: Workspace, datasets: Iterable[str]) -> Iterator[None]:
    """Hold the builders' locks of some datasets."""
    with ExitStack() as stack:
        for name in datasets:
            stack.enter_context(one_builder(workspace.datasets / name))
        yield
