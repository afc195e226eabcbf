"""The services that stand while `starloom up` runs: Prefect server, worker and deployments, MLflow's pages."""

import contextlib
import os
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tasks.runtime.workspace import ENVIRONMENT_NAME, Workspace
from tasks.server.prefect_server import (
    ServiceError,
    answers,
    begin_use,
    launch_server,
    processes_folder,
    release,
    stop_server,
    use_server,
)
from tasks.server.prefect_server_main import IN_USE_NAME
from tasks.server.process_guard import Presence, end, guarded, held, hold, living, port_holder

WORK_POOL = "local"
MLFLOW_PORT = 5000
_MLFLOW_PORTS_TRIED = 50
_READY_S = 300.0
_WATCH_S = 0.5


@dataclass(frozen=True)
class Service:
    """A child process with its log."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def require_running(self) -> None:
        """Raise if it has ended."""
        if self.process.poll() is not None:
            code = self.process.returncode
            raise ServiceError(f"the {self.name} ended by itself (exit code {code}); its log: {self.log}")

    def require_success(self) -> None:
        """Wait for its end and raise if it failed."""
        if self.process.wait(_READY_S) != 0:
            lines = self.log.read_text(errors="replace").splitlines()
            cause = next((line for line in reversed(lines) if "Error" in line), "no reason given")
            raise ServiceError(f"the {self.name} failed ({cause.strip()}); its log: {self.log}")


def stand(workspace: Workspace, announce: Callable[[dict[str, str]], None], project: Path | None = None) -> None:
    """Start all services, ``announce`` their addresses when they answer, and watch them until interrupted."""
    project = project or project_folder()
    host, port = address_in(project)
    with contextlib.ExitStack() as stack:
        stack.enter_context(guarded())
        services: list[Service] = []
        with held(workspace.prefect / "starting.lock"):
            _take_over(workspace)
            presence = Presence.announce(processes_folder(workspace), kind="up")
            stack.callback(presence.withdraw)
            stack.callback(release, workspace)
            stack.callback(_end_all, services)
            addresses = _start(workspace, project, _listen(host, port), services)
        announce(addresses)
        while True:
            for service in services:
                service.require_running()
            time.sleep(_WATCH_S)


def project_folder() -> Path:
    """Return the folder of ``prefect.yaml``: this one, else that of the source tree."""
    for folder in (Path.cwd(), Path(__file__).resolve().parents[2]):
        if (folder / "prefect.yaml").exists():
            return folder
    raise ServiceError(f"no prefect.yaml in {Path.cwd()}: run `starloom up` from the project's root")


def address_in(project: Path) -> tuple[str, int]:
    """Return host and port of Prefect's API as ``pyproject.toml`` of ``project`` has it."""
    path = project / "pyproject.toml"
    try:
        address = urlsplit(tomllib.loads(path.read_text(encoding="utf-8"))["tool"]["prefect"]["api"]["url"])
    except (OSError, KeyError) as error:
        raise ServiceError(f"{path} has no [tool.prefect.api] url") from error
    if address.hostname is None or address.port is None:
        raise ServiceError(f"{path}: [tool.prefect.api] url lacks host or port: {address.geturl()}")
    return address.hostname, address.port


def _take_over(workspace: Workspace) -> None:
    """End the workspace's idle server, refuse if it is in use, and use it from now on."""
    for entry in living(processes_folder(workspace)):
        command = " ".join(["starloom", *entry["command"][1:]])
        raise ServiceError(f"process {entry['pid']} ({command}) runs in {workspace.root}: end it first")
    idle = hold(workspace.prefect / IN_USE_NAME, wait=False)
    if idle is None:
        raise ServiceError(f"a process uses the Prefect server of {workspace.root}: end it first")
    os.close(idle)
    stop_server(workspace)
    begin_use(workspace)


def _listen(host: str, port: int) -> socket.socket:
    """Take the address for the Prefect server."""
    try:
        return socket.create_server((host, port))
    except OSError as error:
        where = "([tool.prefect.api] url in pyproject.toml)"
        raise ServiceError(f"port {port} {where} is held by {port_holder(port)}: end it, or change the url") from error


def _start(workspace: Workspace, project: Path, listener: socket.socket, services: list[Service]) -> dict[str, str]:
    """Start everything, appending to ``services``, and return the addresses when all of it is ready."""
    url, process = launch_server(workspace, listener, kind="up", idle_s=None)
    use_server(workspace, url)
    services.append(Service("Prefect server", process, workspace.prefect / "server.log"))
    mlflow_url, mlflow = _start_mlflow(workspace)
    services.append(mlflow)
    _await(services, url, "/api/health")
    _prepare_prefect(workspace)
    deploying = _prefect(workspace, "deployments", "--no-prompt", "deploy", "--all", cwd=project)
    worker_name = f"starloom-{os.getpid()}"
    worker = ("worker", "start", "--pool", WORK_POOL, "--type", "process", "--install-policy", "never")
    services.append(_prefect(workspace, "worker", *worker, "--name", worker_name, cwd=project))
    deploying.require_success()
    _await_worker(services, worker_name)
    _await(services, mlflow_url, "/health")
    return {"prefect": url, "mlflow": mlflow_url}


def _start_mlflow(workspace: Workspace) -> tuple[str, Service]:
    from tasks.tracking.database import prepare

    prepare(workspace)
    port = _free_port(MLFLOW_PORT)
    command = ["mlflow", "server", "--backend-store-uri", workspace.mlflow_uri]
    command += ["--artifacts-destination", str(workspace.mlartifacts)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    settings = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    return f"http://127.0.0.1:{port}", _launch(workspace, "MLflow server", command, settings, workspace.root)


def _prefect(workspace: Workspace, name: str, *arguments: str, cwd: Path) -> Service:
    return _launch(workspace, name, ["prefect", *arguments], {}, cwd)


def _launch(workspace: Workspace, name: str, arguments: list[str], settings: dict[str, str], cwd: Path) -> Service:
    """Start ``python -m ARGUMENTS`` with a log of its own, out of reach of the terminal's Ctrl-C."""
    path = workspace.prefect / f"{name.split()[0].lower()}.log"
    with path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            env=os.environ | {ENVIRONMENT_NAME: str(workspace.root)} | settings,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    return Service(name, process, path)


def _prepare_prefect(workspace: Workspace) -> None:
    """Mark the runs of dead processes, and make the work pool, without which nothing can be deployed."""
    from prefect import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists

    from tasks.server.flow_runs import mark_crashed

    with get_client(sync_client=True) as client:
        with held(workspace.prefect / "runs.lock"):
            mark_crashed(client, workspace)
        with contextlib.suppress(ObjectAlreadyExists):
            client.create_work_pool(WorkPoolCreate(name=WORK_POOL, type="process"))


def _await_worker(services: list[Service], name: str) -> None:
    from prefect import get_client

    with get_client(sync_client=True) as client:
        for _ in _until_ready(services, "worker"):
            answer = client.request(
                "POST",
                "/work_pools/{work_pool_name}/workers/filter",
                path_params={"work_pool_name": WORK_POOL},
                json={},
            )
            if any(worker["name"] == name and worker["status"] == "ONLINE" for worker in answer.json()):
                return


def _await(services: list[Service], url: str, path: str) -> None:
    for _ in _until_ready(services, url):
        if answers(url, path):
            return


def _until_ready(services: list[Service], what: str) -> Iterator[None]:
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        for service in services:
            service.require_running()
        yield
        time.sleep(_WATCH_S / 5)
    raise ServiceError(f"the {what} was not ready within {_READY_S:.0f} s")


def _free_port(first: int) -> int:
    """Return the first port from ``first`` on that nobody listens on."""
    for port in range(first, first + _MLFLOW_PORTS_TRIED):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise ServiceError(f"no free port in {first} to {first + _MLFLOW_PORTS_TRIED - 1}")


def _end_all(services: list[Service]) -> None:
    """End the services, the last started first: the worker reports to the server."""
    for service in reversed(services):
        end(service.process.pid)
        service.process.wait()
