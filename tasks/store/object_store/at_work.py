"""Who is at work on an object store, on whichever machine: builders of datasets, and one housekeeping or backup.

Each has an object that it writes again every `REFRESH_S` and removes at its end; one that is `GONE_S` old is of a
process that died. A builder announces itself before it looks for a housekeeping, and a housekeeping announces itself
before it looks for builders, so at least one of two sees the other. The clocks of the machines must agree; each
compares its own with the store's.
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
from tasks.store.object_store.objects import ObjectFolder
from tasks.store.object_store.publication import state_token
from tasks.store.object_store.removal import finish_removal
from tasks.store.object_store.restoring import require_restored
from tasks.store.schema import BUILDERS

REFRESH_S, GONE_S = 60.0, 900.0
KEEPER = "at-work/keeper.json"
"""Object of a workspace: who keeps house in it, or backs it up."""
CLOCK_S = 300.0
"""By how much the clock of a machine may be off that of the store."""
_POLL_S = 2.0
_LOG = logging.getLogger(__name__)


class KeeperBusyError(RuntimeError):
    """Another machine keeps house on an object store, backs it up, or restores to it."""


class ClockError(ObjectStoreError):
    """The clock of this machine is not that of the object store, so nobody could tell who is at work."""


@contextmanager
def announced_builder(folder: Path, objects: ObjectFolder | None) -> Iterator[None]:
    """Announce who builds the dataset with that local folder for the block, having waited for a housekeeping.

    A removal that died is finished before the block. Does nothing for a dataset in a folder, whose builder holds a
    lock, as the one of this dataset does on this machine.

    Raises
    ------
    ClockError
        The clock of this machine is off.
    RestoringError
        The workspace is not restored to its end.
    """
    if objects is None:
        yield
        return
    key, root = f"{BUILDERS}/{state_token(folder)}.json", objects.parent.parent
    content = _who()
    with _repeated(lambda: objects.put(key, content), lambda: objects.delete(key)):
        _require_clock(objects, key)
        waits = False
        while (keeper := _keeper(root)) is not None and keeper["removes"]:
            if not waits:
                _LOG.info("waiting for the housekeeping of %s on %s", root, keeper["host"])
            waits = True
            time.sleep(_POLL_S)
        require_restored(root)
        finish_removal(objects)
        yield


def builders_elsewhere(folder: Path, objects: ObjectFolder | None, now: float) -> list[str]:
    """Return the hosts that build a dataset from another state folder than `folder`'s at the time `now`."""
    if objects is None:
        return []
    own = f"{BUILDERS}/{state_token(folder)}.json"
    states = objects.states(BUILDERS)
    live = [key for key, state in states.items() if key != own and now - state.changed_at < GONE_S]
    return [json.loads(content)["host"] for key in live if (content := objects.get(key)) is not None]


def forget_dead_builders(objects: ObjectFolder, now: float) -> None:
    """Remove the announcements of builders of a dataset that had died by the time `now`."""
    for key, state in objects.states(BUILDERS).items():
        if now - state.changed_at >= GONE_S:
            objects.delete(key)


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
    ClockError
        The clock of this machine is off.
    KeeperBusyError
        Another process holds it, and `wait` is false.
    """
    content = _who(removes=removes)
    while not _take(root, content):
        if not wait:
            keeper = _keeper(root) or {"host": "another machine"}
            raise KeeperBusyError(
                f"another process keeps house in {root}, backs it up or restores to it, on {keeper['host']}: wait for "
                f"it; one that died is forgotten after {GONE_S / 60:.0f} min"
            )
        time.sleep(_POLL_S)
    turn = KeepersTurn(root, content)
    with _repeated(turn.announce, turn.withdraw):
        _require_clock(root, KEEPER)
        yield turn


def _take(root: ObjectFolder, content: bytes) -> bool:
    """Announce a keeper unless one is at work; return whether it was done.

    A request that the client sends again, because the answer to the first was lost, is refused for its own object; the
    content is of this process alone, and tells.
    """
    found = root.get_with_tag(KEEPER)
    if found is None:
        return root.create(KEEPER, content)
    return _keeper(root) is None and (root.replace(KEEPER, content, found[1]) or root.get(KEEPER) == content)


def _require_clock(objects: ObjectFolder, key: str) -> None:
    """Refuse a machine whose clock is off that of the store, which tells when an object was just written."""
    state = objects.state(key)
    off_s = 0.0 if state is None else time.time() - state.changed_at
    if abs(off_s) > CLOCK_S:
        raise ClockError(f"the clock of this machine is {off_s:+.0f} s off that of {objects}: set it")


def _keeper(root: ObjectFolder) -> dict[str, str | bool] | None:
    """Return what the keeper that is at work announced, or None."""
    state = root.state(KEEPER)
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
