"""Processes of one machine: who lives, who holds a port, and the sure end of what a process has started.

Life is told by file locks of the operating system: the kernel frees them however a process ends, and a process
id that was given out a second time deceives nobody.
"""

import contextlib
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

MARK = "STARLOOM_STARTED_BY"
ORDERLY_S = 8.0
_WATCH_S = 0.5
_POLL_S = 0.05


def hold(path: Path, *, shared: bool = False, wait: bool = True) -> int | None:
    """Lock the file ``path`` until the returned descriptor is closed or this process ends.

    Returns None when ``wait`` is false and another process holds it. A lock that is not shared leaves the
    holder's process id in the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(descriptor, kind if wait else kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    if not shared:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Wait for the lock ``path`` and hold it inside."""
    descriptor = hold(path)
    try:
        yield
    finally:
        os.close(descriptor)  # type: ignore[arg-type]  # waiting, `hold` always returns a descriptor


def is_held(path: Path) -> bool:
    """Tell whether a process holds ``path`` exclusively."""
    if not path.exists():
        return False
    descriptor = hold(path, shared=True, wait=False)
    if descriptor is not None:
        os.close(descriptor)
    return descriptor is None


def holder(path: Path) -> int | None:
    """Return the id of the process that holds ``path`` exclusively, else None."""
    return int(path.read_text() or 0) or None if is_held(path) else None


@dataclass
class Presence:
    """A process's entry among the living of a workspace, locked as long as it lives."""

    path: Path
    descriptor: int
    facts: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def announce(cls, folder: Path, **facts: Any) -> "Presence":
        """Enter this process into ``folder``, with ``facts`` about it."""
        # The file gets its name when it is locked: `living` takes an unlocked entry for a dead process's.
        beside = folder / f".{os.getpid()}.{uuid.uuid4().hex}"
        descriptor = hold(beside)
        path = folder / f"{os.getpid()}.json"
        beside.replace(path)
        presence = cls(path, descriptor)  # type: ignore[arg-type]  # waiting, `hold` returns a descriptor
        presence.add(pid=os.getpid(), command=sys.argv, **facts)
        return presence

    def add(self, **facts: Any) -> None:
        """Record more ``facts``."""
        self.facts.update(facts)
        text = json.dumps(self.facts).encode()
        os.ftruncate(self.descriptor, os.pwrite(self.descriptor, text, 0))

    def withdraw(self) -> None:
        """Take the entry out."""
        self.path.unlink(missing_ok=True)
        os.close(self.descriptor)


def living(folder: Path) -> list[dict[str, Any]]:
    """Return the facts of every living process entered into ``folder``; entries of dead ones are removed."""
    entries = []
    for path in sorted(folder.glob("*.json")):
        if not is_held(path):
            path.unlink(missing_ok=True)
            continue
        with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
            entries.append(json.loads(path.read_text()))
    return entries


def port_holder(port: int) -> str:
    """Say which process listens on ``port`` of this machine."""
    for connection in psutil.net_connections(kind="tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
            with contextlib.suppress(psutil.Error):
                command = " ".join(psutil.Process(connection.pid).cmdline())
                return f"process {connection.pid} ({command[:200]})"
    return "a process of another user"


def end(pid: int, patience_s: float = ORDERLY_S) -> None:
    """Ask the process ``pid`` to end, and kill it if it has not within ``patience_s``."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        process.terminate()
        if not _gone_within(process, patience_s):
            process.kill()
            _gone_within(process, patience_s)


def _gone_within(process: psutil.Process, patience_s: float) -> bool:
    """Wait for the end of ``process``; one that its parent has not yet asked about counts as gone."""
    deadline = time.monotonic() + patience_s
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


_guarding: list[str] = []
"""The token of this process's `guarded` block, while it is inside of one."""


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """See that every process started inside, and theirs, end with this block or with this process.

    They are found by a mark in their environment, so new sessions and lost parents do not hide them. A keeper
    process waits for the end of this one, so that not even ``kill -9`` leaves anything behind. Inside of another such
    block of this process it does nothing: what is started ends with the outer one.
    """
    if _guarding:
        yield
        return
    unmarked = {name: value for name, value in os.environ.items() if name != MARK}
    token = uuid.uuid4().hex
    keeper = subprocess.Popen(
        [sys.executable, "-m", "tasks.server.process_guard", token],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env=unmarked,
        start_new_session=True,
    )
    os.environ[MARK] = token
    _guarding.append(token)
    try:
        yield
    finally:
        _guarding.clear()
        os.environ.pop(MARK, None)
        with contextlib.suppress(BrokenPipeError):
            keeper.communicate(b"orderly")


def unmarked_environment() -> dict[str, str]:
    """Return this process's environment for a process that is meant to outlive ``guarded``."""
    return {name: value for name, value in os.environ.items() if name != MARK}


def end_marked(token: str, patience_s: float) -> None:
    """End all processes that carry ``token``: after ``patience_s`` by force."""
    deadline = time.monotonic() + patience_s
    asked: set[int] = set()
    while marked := _marked(token):
        for process in marked:
            forced = time.monotonic() >= deadline
            with contextlib.suppress(psutil.NoSuchProcess):
                if forced:
                    process.kill()
                elif process.pid not in asked:
                    process.terminate()
            asked.add(process.pid)
        time.sleep(_POLL_S)


def _marked(token: str) -> list[psutil.Process]:
    marked = []
    for process in psutil.process_iter():
        # A process that has ended but was not waited for has no environment any more.
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == token:
                marked.append(process)
    return marked


def _keep(token: str) -> None:
    """Wait for the end of the process that started this one, then end what carries its ``token``."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    parent = os.getppid()
    # A forked child of the parent keeps the pipe open, so the parent's own end is watched too.
    while not select.select([sys.stdin], [], [], _WATCH_S)[0] and os.getppid() == parent:
        pass
    orderly = os.getppid() == parent and os.read(sys.stdin.fileno(), 16) == b"orderly"
    end_marked(token, ORDERLY_S if orderly else 0.0)


if __name__ == "__main__":
    _keep(sys.argv[1])
