"""One housekeeping at a time, and none while a backup is made: what it copies must not go meanwhile."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from tasks.runtime.workspace import Workspace
from tasks.server.process_guard import lock_file


class HousekeepingBusyError(RuntimeError):
    """Another housekeeping, or a backup, works in the workspace."""


@contextmanager
def only_keeper(workspace: Workspace, *, wait: bool = False) -> Iterator[None]:
    """Hold the lock of whoever may remove things of a workspace.

    Raises
    ------
    HousekeepingBusyError
        Another process holds it, and `wait` is false.
    """
    descriptor = lock_file(workspace.root / "housekeeping.lock", wait=wait)
    if descriptor is None:
        raise HousekeepingBusyError(f"another process keeps house in {workspace.root}, or backs it up: wait for it")
    try:
        yield
    finally:
        os.close(descriptor)
