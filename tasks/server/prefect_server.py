"""The workspace's Prefect server: find or start it, share it among commands, stop it.

Where `tasks.server.group_server` knows a group's, that one is used, and none is started, recorded or stopped.

A process that uses the server holds ``prefect/in-use.lock`` shared, and the server holds its own lock, so a killed user
or server is never mistaken for a living one (`tasks.server.process_guard`).
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tasks.runtime.addresses import ServerAddress, web_fault
from tasks.runtime.workspace import Workspace
from tasks.server.group_server import group_server, require_group_server
from tasks.server.prefect_server_main import ALIVE_NAME, IN_USE_NAME, RECORD_NAME
from tasks.server.process_guard import (
    end_process,
    is_locked,
    living_processes,
    lock_file,
    lock_holder,
    unmarked_environment,
)

IDLE_S = 600.0
LOG_NAME = "server.log"
_START_S = 300.0
_ANSWER_S = 30.0
_POLL_S = 0.05

_users: dict[Path, int] = {}  # in-use locks of this process, by folder
_started: list[subprocess.Popen[bytes]] = []  # Python warns when the handle of a living process is collected


class ServiceError(RuntimeError):
    """A service of the workspace is not available; the message says why and what to do."""


@dataclass
class StartingServer:
    """A Prefect server that may still be starting; call ``wait`` before using it."""

    workspace: Workspace
    url: str
    process: subprocess.Popen[bytes] | None
    mutex: int | None

    @property
    def api(self) -> str:
        """The address for Prefect's clients."""
        return f"{self.url}/api"

    def wait(self) -> str:
        """Wait until the server answers; return the API's address."""
        try:
            if self.process is not None:
                _await_record(self.workspace, self.process)
        finally:
            if self.mutex is not None:
                os.close(self.mutex)
        return self.api


def prefect_server(workspace: Workspace, *, idle_s: float = IDLE_S) -> str:
    """Find the group's Prefect server, or find or start the workspace's, and return its API's address.

    Sets Prefect's variables in this process and those it starts later; see `environment`. A workspace's server counts
    as used until this process ends or calls ``end_use``.

    Raises
    ------
    AddressError
        The group's server does not answer.
    ServiceError
        The workspace's server does not answer or cannot be started.
    """
    return begin_server(workspace, idle_s=idle_s).wait()


def begin_server(workspace: Workspace, *, idle_s: float = IDLE_S) -> StartingServer:
    """Do as ``prefect_server`` without waiting for the answer, so that the caller can import modules meanwhile."""
    folder, group = workspace.prefect, require_group_server()
    if group is not None:
        use_group_server(workspace, group)
        return StartingServer(workspace, group.url, None, None)
    begin_use(workspace)
    mutex: int = lock_file(folder / "starting.lock")  # type: ignore[assignment]
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, mutex)
        record = _answering_server(workspace)
        if record is None:
            listener = socket.create_server(("127.0.0.1", 0))
            url, process = launch_server(workspace, listener, kind="run", idle_s=idle_s)
        else:
            url, process = record["url"], None
        use_server(workspace, url)
        stack.pop_all()  # `StartingServer.wait` releases the lock
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
    """Return the record of the workspace's running server, or None.

    A record whose server is dead, as after ``kill -9`` or the copy of a workspace, is ignored.
    """
    path = workspace.prefect / RECORD_NAME
    deadline = time.monotonic() + _START_S
    while is_locked(workspace.prefect / ALIVE_NAME):
        if path.exists():
            return json.loads(path.read_text())
        if time.monotonic() > deadline:
            raise ServiceError(f"the Prefect server of {workspace.root} hangs: end it with `starloom down`")
        time.sleep(_POLL_S)
    return None


def known_server(workspace: Workspace) -> dict[str, Any] | None:
    """Return the record of the workspace's server if its process is there, or None; no lock is tried, nothing waits.

    After ``kill -9`` the process may be a younger one with the same number, and its address gives no answer.

    Raises
    ------
    ValueError
        The record is damaged.
    """
    path = workspace.prefect / RECORD_NAME
    if not path.exists():
        return None
    record: dict[str, Any] = json.loads(path.read_text())
    return record if psutil.pid_exists(record["pid"]) else None


def read_record(workspace: Workspace) -> dict[str, Any] | None:
    """Return the record that the workspace's server wrote when it was ready, or None; it may be a dead server's."""
    try:
        record: dict[str, Any] = json.loads((workspace.prefect / RECORD_NAME).read_text())
    except (OSError, json.JSONDecodeError):
        return None
    return record


def environment(workspace: Workspace, url: str) -> dict[str, str]:
    """Return the environment variables that make Prefect use the server at `url`, here and in child processes.

    A profile or an address of the user's own is not looked at.
    """
    return {
        "PREFECT_API_URL": f"{url}/api",
        "PREFECT_HOME": str(workspace.prefect),
        # Of their own accord both could name a profile of the user's, whose settings count where none is set here.
        "PREFECT_PROFILES_PATH": str(workspace.prefect / "profiles.toml"),
        "PREFECT_PROFILE": "ephemeral",  # Prefect's default one, which has no address
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        # In memory a restart would forget who holds a deployment's slot, which would then never be free again.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "DO_NOT_TRACK": "true",  # the only switch that MLflow knows
    }


def use_group_server(workspace: Workspace, address: ServerAddress) -> None:
    """Make this process and those it starts use a group's server."""
    workspace.prefect.mkdir(parents=True, exist_ok=True)
    if address.login is not None:
        os.environ["PREFECT_API_AUTH_STRING"] = address.login
    use_server(workspace, address.url)


def server_address(workspace: Workspace) -> ServerAddress | None:
    """Return the address of the group's server, or of the workspace's if its process is there; nothing waits.

    Raises
    ------
    AddressError
        The variable of the group's server has no address.
    ValueError
        The record of the workspace's server is damaged.
    """
    group = group_server()
    record = None if group else known_server(workspace)
    return ServerAddress(RECORD_NAME, record["url"]) if record else group


def use_server(workspace: Workspace, url: str) -> None:
    """Make this process and those it starts use the server at ``url``."""
    os.environ.update(environment(workspace, url))
    if "prefect" in sys.modules:
        from prefect.context import refresh_global_settings_context

        refresh_global_settings_context()


def is_answering(url: str, path: str) -> bool:
    """Return whether a service at ``url`` answers ``path`` with status 200."""
    return web_fault(url, path) is None


def begin_use(workspace: Workspace) -> None:
    """Mark the workspace's server as used by this process until it ends or calls ``end_use``."""
    folder = workspace.prefect
    if folder not in _users:
        _users[folder] = lock_file(folder / IN_USE_NAME, shared=True)  # type: ignore[assignment]


def end_use(workspace: Workspace) -> None:
    """Mark the workspace's server as no longer used by this process."""
    descriptor = _users.pop(workspace.prefect, None)
    if descriptor is not None:
        os.close(descriptor)


def user_of(workspace: Workspace, besides: Collection[str] = ()) -> str | None:
    """Return, in words, a process that works in the workspace or uses its server; None if there is none.

    Parameters
    ----------
    workspace : Workspace
    besides : collection of str
        Kinds of commands that do not count.
    """
    for entry in living_processes(processes_folder(workspace)):
        if entry["kind"] not in besides:
            command = " ".join(["starloom", *entry["command"][1:]])
            return f"process {entry['pid']} ({command}) runs in {workspace.root}"
    unused = lock_file(workspace.prefect / IN_USE_NAME, wait=False)
    if unused is None:
        return f"a process uses the Prefect server of {workspace.root}"
    os.close(unused)
    return None


def stop_server(workspace: Workspace) -> int | None:
    """Stop the workspace's Prefect server and return its process id; None if there was none."""
    end_use(workspace)
    pid = lock_holder(workspace.prefect / ALIVE_NAME)
    if pid is None:
        return None
    end_process(pid)
    for process in [process for process in _started if process.pid == pid]:
        process.wait()
        _started.remove(process)
    (workspace.prefect / RECORD_NAME).unlink(missing_ok=True)
    return pid


def processes_folder(workspace: Workspace) -> Path:
    """Return the folder in which running commands of the workspace register."""
    return workspace.prefect / "processes"


def stop_services(workspace: Workspace) -> list[int]:
    """End every other running command of the workspace, then its server; return the ids of the ended processes."""
    commands = [entry["pid"] for entry in living_processes(processes_folder(workspace)) if entry["pid"] != os.getpid()]
    for pid in commands:
        end_process(pid, patience_s=30.0)
    server = stop_server(workspace)
    return commands if server is None else [*commands, server]


def _answering_server(workspace: Workspace) -> dict[str, Any] | None:
    """Return the record of a server that answers; None if there is none or it dies meanwhile."""
    deadline = time.monotonic() + _ANSWER_S
    while (record := running_server(workspace)) is not None:
        if is_answering(record["url"], "/api/health"):
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
