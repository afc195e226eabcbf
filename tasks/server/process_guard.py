"""Processes of one machine: liveness by file locks, the holder of a port, and reliable ending of child processes.

Liveness is determined by locks of the operating system: the kernel frees them however a process ends, and a reused
process id does no harm.
"""

import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tasks.runtime.secrets import mask

MARK = "STARLOOM_STARTED_BY"
UP, LABELLING = "up", "label"
"""Kinds of processes: `starloom up`; one that serves the labelling page, which uses no Prefect server."""
ORDERLY_S = 8.0
_WATCH_S = 0.5
_POLL_S = 0.05


def lock_file(path: Path, *, shared: bool = False, wait: bool = True) -> int | None:
    """Lock the file ``path`` until the returned descriptor is closed or this process ends.

    Returns None if ``wait`` is false and another process holds it. An exclusive lock writes the holder's process id
    into the file.

    Raises
    ------
    OSError
        The id cannot be written, as on a full disk; the lock is not held then.
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
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        except OSError:
            os.close(descriptor)  # else nobody could have the lock while this process lives
            raise
    return descriptor


@contextlib.contextmanager
def locked_file(path: Path) -> Iterator[None]:
    """Wait for the lock ``path`` and hold it in the block."""
    descriptor = lock_file(path)
    try:
        yield
    finally:
        os.close(descriptor)  # type: ignore[arg-type]  # waiting, `lock_file` always returns a descriptor


def is_locked(path: Path) -> bool:
    """Return whether a process holds ``path`` exclusively."""
    if not path.exists():
        return False
    descriptor = lock_file(path, shared=True, wait=False)
    if descriptor is not None:
        os.close(descriptor)
    return descriptor is None


def lock_holder(path: Path) -> int | None:
    """Return the id of the process that holds ``path`` exclusively, or None."""
    return int(path.read_text() or 0) or None if is_locked(path) else None


@dataclass
class ProcessEntry:
    """The entry of a running process in a folder, locked for as long as the process lives."""

    path: Path
    descriptor: int
    facts: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def announce(cls, folder: Path, **facts: Any) -> "ProcessEntry":
        """Register this process in ``folder``, with ``facts`` about it."""
        # The file gets its name once it is locked: `living_processes` takes an unlocked entry for a dead process's.
        unfinished = folder / f".{os.getpid()}.{uuid.uuid4().hex}"
        descriptor = lock_file(unfinished)
        path = folder / f"{os.getpid()}.json"
        unfinished.replace(path)
        entry = cls(path, descriptor)  # type: ignore[arg-type]  # waiting, `lock_file` returns a descriptor
        entry.add(pid=os.getpid(), command=[mask(word) for word in sys.argv], **facts)
        return entry

    def add(self, **facts: Any) -> None:
        """Record more ``facts``."""
        self.facts.update(facts)
        text = json.dumps(self.facts).encode()
        os.ftruncate(self.descriptor, os.pwrite(self.descriptor, text, 0))

    def withdraw(self) -> None:
        """Remove the entry."""
        self.path.unlink(missing_ok=True)
        os.close(self.descriptor)


def living_processes(folder: Path) -> list[dict[str, Any]]:
    """Return the facts of every running process registered in ``folder``; remove the entries of dead ones."""
    entries = []
    for path in sorted(folder.glob("*.json")):
        if not is_locked(path):
            path.unlink(missing_ok=True)
            continue
        with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
            entries.append(json.loads(path.read_text()))
    return entries


def reserve_port(port: int) -> bool:
    """Return whether no other process of this machine has reserved ``port``; it is this one's until it ends.

    A free port could be given to two services that are starting, of which neither listens yet. The mark of a
    reservation is the UDP port of the same number on loopback.
    """
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mark:
        mark.bind(("127.0.0.1", port))
        mark.detach()  # stays open for as long as this process lives
        return True
    return False


def port_holder(port: int) -> str:
    """Return a description of the process that listens on ``port`` of this machine."""
    for connection in psutil.net_connections(kind="tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
            with contextlib.suppress(psutil.Error):
                command = " ".join(psutil.Process(connection.pid).cmdline())
                return f"process {connection.pid} ({command[:200]})"
    return "a process of another user"


def end_process(pid: int, patience_s: float = ORDERLY_S) -> None:
    """Terminate the process ``pid``; kill it if it still runs after ``patience_s`` seconds."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        process.terminate()
        if not _gone_within(process, patience_s):
            process.kill()
            _gone_within(process, patience_s)


def _gone_within(process: psutil.Process, patience_s: float) -> bool:
    """Wait for the end of ``process`` and return whether it came in time; a zombie counts as ended."""
    deadline = time.monotonic() + patience_s
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


_guarding: list[str] = []
"""The token of this process's `guard_children` block, while it is in one."""


@contextlib.contextmanager
def guard_children() -> Iterator[None]:
    """End every process started in the block, and its children, with the block or with this process.

    They are found by a variable in their environment, so new sessions and dead parents do not hide them. A keeper
    process waits for the end of this one, so even ``kill -9`` leaves nothing behind. A nested block does nothing: its
    processes end with the outer block.
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
    """Return the environment for a process that shall outlive ``guard_children``."""
    return {name: value for name, value in os.environ.items() if name != MARK}


def end_marked(token: str, patience_s: float) -> None:
    """Terminate all processes that carry ``token``; kill those that still run after ``patience_s`` seconds."""
    deadline = time.monotonic() + patience_s
    terminated: set[int] = set()
    while marked := _marked(token):
        for process in marked:
            forced = time.monotonic() >= deadline
            with contextlib.suppress(psutil.NoSuchProcess):
                if forced:
                    process.kill()
                elif process.pid not in terminated:
                    process.terminate()
            terminated.add(process.pid)
        time.sleep(_POLL_S)


def _marked(token: str) -> list[psutil.Process]:
    marked = []
    for process in psutil.process_iter():
        # A zombie has no environment.
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == token:
                marked.append(process)
    return marked


def _keep(token: str) -> None:
    """Wait for the end of the parent process, then end the processes that carry its ``token``."""
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
