"""The process of a workspace's Prefect server, started by `tasks.server.prefect_server` with ``python -m``.

It listens on an inherited socket, so its address is known before it is ready; writes its record when it is ready; and
ends after a time without users.
"""

import argparse
import contextlib
import json
import os
import signal
import socket
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import uvicorn

from tasks.server.process_guard import lock_file

RECORD_NAME = "server.json"
ALIVE_NAME = "server.lock"
IN_USE_NAME = "in-use.lock"

# Services that `starloom run` does not need: without deployments there is nothing to schedule.
_ONLY_FOR_DEPLOYMENTS = (
    "SCHEDULER",
    "LATE_RUNS",
    "FOREMAN",
    "CANCELLATION_CLEANUP",
    "CLEANUP_RECONCILER",
    "PAUSE_EXPIRATIONS",
    "TRIGGERS",
)
_SHUTDOWN_S = 3
_SLOT_WAIT_S = 5
"""Mean seconds after which a run that waits for a slot asks again."""


class RecordedServer(uvicorn.Server):
    """A server that writes its record into ``folder`` once it answers."""

    def __init__(self, config: uvicorn.Config, folder: Path, facts: dict[str, Any]):
        super().__init__(config)
        self.folder = folder
        self.facts = facts

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start answering, then write the record."""
        await super().startup(sockets=sockets)
        if self.started:
            unfinished = self.folder / f".{RECORD_NAME}"
            unfinished.write_text(json.dumps(self.facts))
            unfinished.replace(self.folder / RECORD_NAME)

    def end_when_idle(self, idle_s: float) -> None:
        """Stop this server after ``idle_s`` seconds in which no process held the in-use lock."""
        used_at = time.monotonic()
        while time.monotonic() - used_at < idle_s:
            time.sleep(min(2.0, idle_s / 4))
            try:
                descriptor = lock_file(self.folder / IN_USE_NAME, wait=False)
            except OSError:  # the disk is full: nobody can tell, and a full disk passes
                continue
            if descriptor is None:
                used_at = time.monotonic()
            elif time.monotonic() - used_at < idle_s:
                os.close(descriptor)
        # The lock stays held, so that a new user waits for the end of this process.
        self.should_exit = True


def main() -> None:
    """Serve until terminated or idle for too long."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--socket", type=int, required=True)
    parser.add_argument("--idle-s", type=float)
    parser.add_argument("--kind", choices=["run", "up"], required=True)
    options = parser.parse_args()
    if lock_file(options.folder / ALIVE_NAME, wait=False) is None:
        raise SystemExit(f"another server holds {options.folder / ALIVE_NAME}")
    (options.folder / RECORD_NAME).unlink(missing_ok=True)
    listener = socket.socket(fileno=options.socket)
    host, port = listener.getsockname()[:2]
    os.environ.update(_settings(options.folder, host, port, options.kind))
    # uvicorn re-sends the signal that stopped it, which must not end this process before the record is removed.
    signal.signal(signal.SIGTERM, _leave)
    with contextlib.suppress(SystemExit):
        serve(listener, options, {"pid": os.getpid(), "url": f"http://{host}:{port}", "kind": options.kind})
    (options.folder / RECORD_NAME).unlink(missing_ok=True)
    # Prefect's threads and SQLite's connections need no clean-up, and waiting for them takes seconds.
    os._exit(0)


def serve(listener: socket.socket, options: argparse.Namespace, facts: dict[str, Any]) -> None:
    """Answer on ``listener`` until the server stops."""
    from prefect.server.api.server import create_app  # reads its settings from the environment when imported

    config = uvicorn.Config(
        create_app(final=True), log_level="warning", timeout_graceful_shutdown=_SHUTDOWN_S, lifespan="on"
    )
    server = RecordedServer(config, options.folder, facts)
    if options.idle_s is not None:
        threading.Thread(target=server.end_when_idle, args=(options.idle_s,), daemon=True).start()
    server.run(sockets=[listener])


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit


def _settings(folder: Path, host: str, port: int, kind: str) -> dict[str, str]:
    settings = {
        # That of a group's server, where this machine runs one, is not for a workspace's own.
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{folder / 'prefect.db'}",
        "PREFECT_SERVER_API_HOST": host,
        "PREFECT_SERVER_API_PORT": str(port),
        # In memory they would end with the server, and their slots stay taken in its database for ever.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "PREFECT_SERVER_CONCURRENCY_MAXIMUM_CONCURRENCY_SLOT_WAIT_SECONDS": str(_SLOT_WAIT_S),
    }
    if kind == "run":
        settings |= {f"PREFECT_SERVER_SERVICES_{name}_ENABLED": "false" for name in _ONLY_FOR_DEPLOYMENTS}
    return settings


if __name__ == "__main__":
    main()
