"""The workspace's Prefect server: found or started, shared by its commands, ended.

A process that uses the server holds ``prefect/in-use.lock`` shared, and the server its own lock, so neither a
killed user nor a killed server is taken for a living one (`tasks.server.process_guard`).
"""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tasks.runtime.workspace import Workspace
from tasks.server.prefect_server_main import ALIVE_NAME, IN_USE_NAME, RECORD_NAME
from tasks.server.process_guard import end, hold, holder, is_held, living, unmarked_environment

IDLE_S = 600.0
LOG_NAME = "server.log"
_START_S = 300.0
_ANSWER_S = 30.0
_POLL_S = 0.05

_users: dict[Path, int] = {}  # the in-use locks that this process holds
_started: list[subprocess.Popen[bytes]] = []  # kept: a collected handle of a living process warns


class ServiceError(RuntimeError):
    """A service of the workspace cannot be had; the message says why and what to do."""


@dataclass
class StartingServer:
    """A Prefect server that answers now or soon; ``wait`` before using it."""

    workspace: Workspace
    url: str
    process: subprocess.Popen[bytes] | None
    mutex: int

    @property
    def api(self) -> str:
        """The address for Prefect's clients."""
        return f"{self.url}/api"

    def wait(self) -> str:
        """Return the API's address when the server answers."""
        try:
            if self.process is not None:
                _await_record(self.workspace, self.process)
        finally:
            os.close(self.mutex)
        return self.api


def prefect_server(workspace: Workspace, *, idle_s: float = IDLE_S) -> str:
    """Start the workspace's Prefect server, or find it, and return its API's address.

    Sets ``PREFECT_API_URL`` and ``PREFECT_HOME`` here and for all processes started from now on. The server
    counts as in use until this process ends or calls ``release``.
    """
    return begin_server(workspace, idle_s=idle_s).wait()


def begin_server(workspace: Workspace, *, idle_s: float = IDLE_S) -> StartingServer:
    """Like ``prefect_server``, without waiting for the answer: there is time to import something."""
    folder = workspace.prefect
    begin_use(workspace)
    mutex: int = hold(folder / "starting.lock")  # type: ignore[assignment]
    try:
        record = _answering_server(workspace)
        if record is None:
            listener = socket.create_server(("127.0.0.1", 0))
            url, process = launch_server(workspace, listener, kind="run", idle_s=idle_s)
        else:
            url, process = record["url"], None
        use_server(workspace, url)
    except BaseException:
        os.close(mutex)
        raise
    return StartingServer(workspace, url, process, mutex)


def launch_server(
    workspace: Workspace, listener: socket.socket, *, kind: str, idle_s: float | None
) -> tuple[str, subprocess.Popen[bytes]]:
    """Start a server process on ``listener``; the caller holds ``starting.lock``. Returns address and process."""
    host, port = listener.getsockname()[:2]
    folder = workspace.prefect
    (folder / RECORD_NAME).unlink(missing_ok=True)
    arguments = ["--folder", str(folder), "--socket", str(listener.fileno()), "--kind", kind]
    arguments += [] if idle_s is None else ["--idle-s", str(idle_s)]
    url = f"http://{host}:{port}"
    inherited = unmarked_environment() if kind == "run" else dict(os.environ)
    with listener, (folder / LOG_NAME).open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tasks.server.prefect_server_main", *arguments],
            env=inherited | environment(workspace, url),
            pass_fds=[listener.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            start_new_session=True,
        )
    _started.append(process)
    return url, process


def running_server(workspace: Workspace) -> dict[str, Any] | None:
    """Return the record of the workspace's living server, or None.

    A record without a living server, as left by ``kill -9`` or by copying a workspace, is not looked at.
    """
    path = workspace.prefect / RECORD_NAME
    deadline = time.monotonic() + _START_S
    while is_held(workspace.prefect / ALIVE_NAME):
        if path.exists():
            return json.loads(path.read_text())
        if time.monotonic() > deadline:
            raise ServiceError(f"the Prefect server of {workspace.root} hangs: end it with `starloom down`")
        time.sleep(_POLL_S)
    return None


def environment(workspace: Workspace, url: str) -> dict[str, str]:
    """Return the variables that lead Prefect, here and in child processes, to the workspace's server."""
    return {
        "PREFECT_API_URL": f"{url}/api",
        "PREFECT_HOME": str(workspace.prefect),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "true",  # MLflow understands this word only
    }


def use_server(workspace: Workspace, url: str) -> None:
    """Point this process, and those it starts, to the server at ``url``."""
    os.environ.update(environment(workspace, url))
    if "prefect" in sys.modules:
        from prefect.context import refresh_global_settings_context

        refresh_global_settings_context()


def answers(url: str, path: str) -> bool:
    """Tell whether a service at ``url`` answers ``path`` with 200."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def begin_use(workspace: Workspace) -> None:
    """Say that this process uses the workspace's server until it ends or calls ``release``."""
    folder = workspace.prefect
    if folder not in _users:
        _users[folder] = hold(folder / IN_USE_NAME, shared=True)  # type: ignore[assignment]


def release(workspace: Workspace) -> None:
    """Say that this process no longer uses the workspace's server."""
    descriptor = _users.pop(workspace.prefect, None)
    if descriptor is not None:
        os.close(descriptor)


def stop_server(workspace: Workspace) -> int | None:
    """End the workspace's Prefect server and return its process id; None when there was none."""
    release(workspace)
    pid = holder(workspace.prefect / ALIVE_NAME)
    if pid is None:
        return None
    end(pid)
    for process in [process for process in _started if process.pid == pid]:
        process.wait()
        _started.remove(process)
    (workspace.prefect / RECORD_NAME).unlink(missing_ok=True)
    return pid


def processes_folder(workspace: Workspace) -> Path:
    """Return where the workspace's living commands are entered."""
    return workspace.prefect / "processes"


def stop_services(workspace: Workspace) -> list[int]:
    """End every command that still runs in the workspace, then its server. Returns the ids of what it ended."""
    commands = [entry["pid"] for entry in living(processes_folder(workspace)) if entry["pid"] != os.getpid()]
    for pid in commands:
        end(pid, patience_s=30.0)
    server = stop_server(workspace)
    return commands if server is None else [*commands, server]


def _answering_server(workspace: Workspace) -> dict[str, Any] | None:
    """Return the record of a server that answers; None when there is none, or it dies while it is asked."""
    deadline = time.monotonic() + _ANSWER_S
    while (record := running_server(workspace)) is not None:
        if answers(record["url"], "/api/health"):
            return record
        if time.monotonic() > deadline:
            where = f"the Prefect server of {workspace.root} (process {record['pid']}, {record['url']})"
            raise ServiceError(f"{where} does not answer: end it with `starloom down`")
        time.sleep(_POLL_S)
    return None


def _await_record(workspace: Workspace, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_S
    while not (workspace.prefect / RECORD_NAME).exists():
        if process.poll() is not None or time.monotonic() > deadline:
            log = workspace.prefect / LOG_NAME
            tail = log.read_text(errors="replace").strip().splitlines()[-1:] or ["no output"]
            raise ServiceError(f"the Prefect server did not start ({tail[0]}); its log: {log}")
        time.sleep(_POLL_S)
