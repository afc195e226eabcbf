"""A server that is a process of its own: started, asked until it answers, killed, started again."""

import contextlib
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import psutil
import psycopg

_PATIENCE_S = 300


@dataclass
class Server:
    """A server process that runs in a ``with`` block; SIGTERM ends it.

    Attributes
    ----------
    command : sequence of str
    log : Path
        Its output.
    ask : callable
        Raises `OSError` or psycopg's `OperationalError` until the server answers.
    settings : mapping
        Of `subprocess.Popen`.
    """

    command: Sequence[Any]
    log: Path
    ask: Callable[[], object]
    settings: Mapping[str, Any]
    process: subprocess.Popen[bytes] = field(init=False)

    def __enter__(self) -> Self:
        self.begin()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(20)
        self.kill()

    def begin(self) -> None:
        """Start it."""
        with self.log.open("ab") as stream:
            self.process = subprocess.Popen(
                self.command, stdout=stream, stderr=stream, start_new_session=True, **self.settings
            )

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.begin()
        self.wait()

    def wait(self) -> None:
        """Return when it answers."""
        _await(self.ask, self.log)

    def kill(self) -> None:
        """End it and its processes as a power cut would; those of PostgreSQL are in groups of their own."""
        with contextlib.suppress(psutil.NoSuchProcess):
            server = psutil.Process(self.process.pid)
            for process in [server, *server.children(recursive=True)]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        self.process.wait()


def _await(attempt: Any, log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return attempt()
        except (psycopg.OperationalError, OSError):
            if time.monotonic() > deadline:
                raise TimeoutError(log.read_text(errors="replace")[-2000:]) from None
        time.sleep(0.1)


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
