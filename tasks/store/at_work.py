"""Who is at work on an object store, on whichever machine: builders of datasets, and one housekeeping or backup.

Each has an object that it writes again every `REFRESH_S` and removes at its end; one that is `GONE_S` old is of a
process that died. A builder announces itself before it looks for a housekeeping, and a housekeeping announces itself
before it looks for builders, so at least one of two sees the other. The clocks of the machines must agree.
"""

import contextlib
import json
import logging
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.store.errors import ObjectStoreError
from tasks.store.objects import ObjectFolder
from tasks.store.publication import state_token
from tasks.store.restoring import require_restored

REFRESH_S, GONE_S = 60.0, 900.0
BUILDERS = "at-work"
"""Folder of a dataset with an object for each builder, named by the token of its state folder."""
KEEPER = "at-work/keeper.json"
"""Object of a workspace: who keeps house in it, or backs it up."""
_POLL_S = 2.0
_LOG = logging.getLogger(__name__)


class KeeperBusyError(RuntimeError):
    """Another machine keeps house on an object store, or backs it up."""


@contextmanager
def announced_builder(folder: Path, objects: ObjectFolder | None) -> Iterator[None]:
    """Announce who builds the dataset with that local folder for the block, having waited for a housekeeping.

    Does nothing for a dataset in a folder, whose builder holds a lock.

    Raises
    ------
    RestoringError
        The workspace is not restored to its end.
    """
    if objects is None:
        yield
        return
    key, root = f"{BUILDERS}/{state_token(folder)}.json", _workspace_of(objects)
    content = _who()
    with _repeated(lambda: objects.put(key, content), lambda: objects.delete(key)):
        waits = False
        while (keeper := _keeper(root)) is not None and keeper["removes"]:
            if not waits:
                _LOG.info("waiting for the housekeeping of %s on %s", root, keeper["host"])
            waits = True
            time.sleep(_POLL_S)
        require_restored(root)
        yield


def builders_elsewhere(folder: Path, objects: ObjectFolder | None, now: float) -> list[str]:
    """Return the hosts that build a dataset from another state folder than `folder`'s at the time `now`."""
    if objects is None:
        return []
    own = f"{BUILDERS}/{state_token(folder)}.json"
    states = objects.states(BUILDERS)
    live = [key for key, state in states.items() if key != own and now - state.changed_at < GONE_S]
    return [json.loads(content)["host"] for key in live if (content := objects.get(key)) is not None]


class KeepersTurn:
    """The turn of whoever may remove objects of a workspace, or must not have them removed.

    Parameters
    ----------
    root : ObjectFolder
        The workspace.
    content : bytes
        What this process announced.
    """

    def __init__(self, root: ObjectFolder, content: bytes) -> None:
        self._root, self._content, self._announced_at = root, content, time.time()

    def announce(self) -> None:
        """Announce the turn again, so that nobody takes this process for dead."""
        self.require()
        self._root.put(KEEPER, self._content)
        self._announced_at = time.time()

    def withdraw(self) -> None:
        """End the turn."""
        self.require()
        self._root.delete(KEEPER)

    def require(self) -> None:
        """Refuse to go on where this process slept so long that others may take it for dead, or did.

        Raises
        ------
        KeeperBusyError
        """
        if time.time() - self._announced_at > GONE_S / 2 or self._root.get(KEEPER) != self._content:
            raise KeeperBusyError(
                f"this process did not write {self._root}/{KEEPER} for too long and lost its turn: run the same "
                "command again"
            )


@contextmanager
def keepers_turn(root: ObjectFolder, *, removes: bool, wait: bool = False) -> Iterator[KeepersTurn]:
    """Hold the turn of a workspace's keeper; with `removes`, builders that come wait for its end.

    Raises
    ------
    KeeperBusyError
        Another process holds it, and `wait` is false.
    """
    content = _who(removes=removes)
    while not _take(root, content):
        if not wait:
            keeper = _keeper(root) or {"host": "another machine"}
            raise KeeperBusyError(
                f"another process keeps house in {root}, or backs it up, on {keeper['host']}: wait for it; one that "
                f"died is forgotten after {GONE_S / 60:.0f} min"
            )
        time.sleep(_POLL_S)
    turn = KeepersTurn(root, content)
    with _repeated(turn.announce, turn.withdraw):
        yield turn


def _take(root: ObjectFolder, content: bytes) -> bool:
    """Announce a keeper unless one is at work; return whether it was done."""
    found = root.get_with_tag(KEEPER)
    if found is None:
        return root.create_first(KEEPER, content)
    return _keeper(root) is None and root.replace(KEEPER, content, found[1])


def _keeper(root: ObjectFolder) -> dict[str, str | bool] | None:
    """Return what the keeper that is at work announced, or None."""
    state = root.states(KEEPER.partition("/")[0]).get(KEEPER)
    content = root.get(KEEPER) if state is not None and time.time() - state.changed_at < GONE_S else None
    found: dict[str, str | bool] | None = None if content is None else json.loads(content)
    return found


def _who(**more: bool) -> bytes:
    return json.dumps({"host": platform.node(), "process": os.getpid(), "began": time.time(), **more}).encode()


@contextmanager
def _repeated(announce: Callable[[], None], withdraw: Callable[[], None]) -> Iterator[None]:
    """Announce every `REFRESH_S` until the block ends, then withdraw; what fails by then is tried again or expires."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(REFRESH_S):
            with contextlib.suppress(ObjectStoreError, KeeperBusyError):
                announce()

    announce()
    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        with contextlib.suppress(ObjectStoreError, KeeperBusyError):
            withdraw()


def _workspace_of(objects: ObjectFolder) -> ObjectFolder:
    return ObjectFolder(objects.address.rpartition("/datasets/")[0])
