"""One housekeeping at a time, and none while a backup is made: what it copies must not go meanwhile."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tasks.runtime.workspace import Workspace
from tasks.server.process_guard import lock_file
from tasks.store.object_store.at_work import KeeperBusyError, keepers_turn
from tasks.store.object_store.objects import ObjectFolder


class HousekeepingBusyError(RuntimeError):
    """Another housekeeping, or a backup, works in the workspace."""


@contextmanager
def only_keeper(workspace: Workspace, *, removes: bool = False, wait: bool = False) -> Iterator[Callable[[], None]]:
    """Hold the turn of whoever may remove things of a workspace, and yield a check that it is still held.

    On an object store the turn is that of all machines; with `removes`, builders on other machines wait for its end.

    Raises
    ------
    HousekeepingBusyError
        Another process holds it, and `wait` is false.
    """
    descriptor = lock_file(workspace.root / "housekeeping.lock", wait=wait)
    if descriptor is None:
        raise HousekeepingBusyError(f"another process keeps house in {workspace.root}, or backs it up: wait for it")
    try:
        if workspace.address is None:
            yield lambda: None
            return
        with keepers_turn(ObjectFolder(workspace.address), removes=removes, wait=wait) as turn:
            yield turn.require
    except KeeperBusyError as error:
        raise HousekeepingBusyError(str(error)) from error
    finally:
        os.close(descriptor)
