"""The services of `starloom up`: home page, Prefect server, workers, scheduled deployments, MLflow, labelling page."""

import contextlib
import logging
import os
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from tasks.http.rate_budget import is_loopback
from tasks.pages.exposure import ON_LOOPBACK, Exposure
from tasks.runtime.addresses import ServerAddress
from tasks.runtime.json_lines import tell
from tasks.runtime.workspace import ENVIRONMENT_NAME, Workspace
from tasks.server.flow_runs import mark_crashed, record_ends
from tasks.server.group_server import group_server, require_group_server
from tasks.server.prefect_server import (
    ServiceError,
    begin_use,
    end_use,
    is_answering,
    launch_server,
    processes_folder,
    stop_server,
    use_group_server,
    use_server,
    user_of,
)
from tasks.server.process_guard import (
    LABELLING,
    UP,
    ProcessEntry,
    end_process,
    guard_children,
    locked_file,
    port_holder,
    reserve_port,
)
from tasks.server.schedules import Schedule, cancel_missed_runs, read_schedules, send_deployments
from tasks.server.slots import GPU_POOL, create_limits, device_slots, host
from tasks.tracking.database import SERVER_SETTINGS, SERVER_WORDS, prepare
from tasks.tracking.tracking_store import require_tracking_server, tracking_store

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

WORK_POOL = "local"
TRAINING_TAGS = frozenset({"training", "study"})
"""Tags of the deployments that fit networks."""
MLFLOW_PORT, LABELLING_PORT, HOME_PORT = 5000, 5100, 5200
_PORTS_TRIED = 50
_READY_S = 300.0
_WATCH_S = 0.5
_GPU_NUMBERING = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}  # CUDA's own order puts the fastest first


@dataclass(frozen=True)
class Service:
    """A child process with its log."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def require_running(self) -> None:
        """Raise `ServiceError` if it has ended."""
        if self.process.poll() is not None:
            code = self.process.returncode
            raise ServiceError(f"the {self.name} ended by itself (exit code {code}); its log: {self.log}")

    def require_success(self) -> None:
        """Wait for its end; raise `ServiceError` if it failed."""
        if self.process.wait(_READY_S) != 0:
            lines = self.log.read_text(errors="replace").splitlines()
            cause = next((line for line in reversed(lines) if "Error" in line), "no reason given")
            raise ServiceError(f"the {self.name} failed ({cause.strip()}); its log: {self.log}")


@dataclass(frozen=True)
class StackSettings:
    """What `starloom up` was asked for.

    Attributes
    ----------
    gpus : tuple of str
        GPUs that get a worker each, as ``CUDA_VISIBLE_DEVICES`` names them.
    train_on : str
        Work pool of the deployments that fit networks.
    exposure : Exposure
        Where home page and labelling page listen. MLflow has no access control of its own here and stays on loopback;
        the Prefect server listens on the address of ``pyproject.toml``.
    """

    gpus: tuple[str, ...] = ()
    train_on: str = WORK_POOL
    exposure: Exposure = ON_LOOPBACK

    def __post_init__(self) -> None:
        if self.train_on == GPU_POOL and not self.gpus:
            raise ServiceError(
                f"--train-on {GPU_POOL}, but no GPU is visible here: install its driver, correct CUDA_VISIBLE_DEVICES, "
                "or leave the option out"
            )


def run_stack(
    workspace: Workspace,
    announce: Callable[[dict[str, str], list[Schedule]], None],
    project: Path | None = None,
    settings: StackSettings | None = None,
    meanwhile: Callable[[], None] = lambda: None,
    announce_home: Callable[[str], None] = lambda url: None,
) -> None:
    """Start all services, tell ``announce`` their addresses and the schedules, and watch them until interrupted.

    ``announce_home`` is told the home page's address as soon as that answers: it shows how the others start.
    ``meanwhile`` is called twice a second once all are ready.
    """
    project, settings = project or project_folder(), settings or StackSettings()
    group = require_group_server()
    require_tracking_server()
    with contextlib.ExitStack() as stack:
        stack.enter_context(guard_children())
        services: list[Service] = []
        with locked_file(workspace.prefect / "starting.lock"):
            _take_over(workspace)
            own_entry = ProcessEntry.announce(processes_folder(workspace), kind=UP)
            stack.callback(own_entry.withdraw)
            stack.callback(end_use, workspace)
            stack.callback(_end_all, services)
            server = group or _listen(*address_in(project))
            home = _start_page(workspace, project, _HOME, settings.exposure)
            services.append(home.service)

            def tell_home() -> None:
                _await(services, home.local_url, "/health")
                own_entry.add(addresses={"home": home.url})
                announce_home(home.url)

            addresses = {"home": home.url} | _start(workspace, project, server, services, settings, tell_home)
            own_entry.add(addresses=addresses)
        announce(addresses, read_schedules())
        while True:
            for service in services:
                service.require_running()
            meanwhile()
            time.sleep(_WATCH_S)


def project_folder() -> Path:
    """Return the folder of ``prefect.yaml``: the current one, else the source tree's."""
    for folder in (Path.cwd(), Path(__file__).resolve().parents[2]):
        if (folder / "prefect.yaml").exists():
            return folder
    raise ServiceError(f"no prefect.yaml in {Path.cwd()}: run `starloom up` from the project's root")


def address_in(project: Path) -> tuple[str, int]:
    """Return host and port of Prefect's API from ``pyproject.toml`` of ``project``."""
    path = project / "pyproject.toml"
    try:
        address = urlsplit(tomllib.loads(path.read_text(encoding="utf-8"))["tool"]["prefect"]["api"]["url"])
    except (OSError, KeyError) as error:
        raise ServiceError(f"{path} has no [tool.prefect.api] url") from error
    if address.hostname is None or address.port is None:
        raise ServiceError(f"{path}: [tool.prefect.api] url lacks host or port: {address.geturl()}")
    return address.hostname, address.port


def _take_over(workspace: Workspace) -> None:
    """Stop the workspace's idle server and mark the workspace as used; raise `ServiceError` if it is in use."""
    user = user_of(workspace, besides={LABELLING})
    if user is not None:
        raise ServiceError(f"{user}: end it first")
    stop_server(workspace)
    begin_use(workspace)


def _listen(host: str, port: int) -> socket.socket:
    """Listen on the Prefect server's address, with a warning where other machines reach it."""
    try:
        listener = socket.create_server((host, port))
    except OSError as error:
        where = "([tool.prefect.api] url in pyproject.toml)"
        raise ServiceError(f"port {port} {where} is held by {port_holder(port)}: end it, or change the url") from error
    _warn_of_open_server(host)
    return listener


def _warn_of_open_server(host: str) -> None:
    if not is_loopback(host):
        tell(
            f"warning: the Prefect server can be reached by other machines ([tool.prefect.api] url names {host}). It "
            "asks for no password: who reaches it can start runs on this machine. Name 127.0.0.1, or close the port to "
            "others",
            logging.WARNING,
        )


def _start(
    workspace: Workspace,
    project: Path,
    server: socket.socket | ServerAddress,
    services: list[Service],
    settings: StackSettings,
    tell_home: Callable[[], None],
) -> dict[str, str]:
    """Start all services but the home page, append them to ``services``, and return their addresses when all are ready.

    ``server`` is what the Prefect server listens on, or the address of a group's, which runs already. ``tell_home``,
    which waits for the home page, is called while the first of them start.
    """
    if isinstance(server, ServerAddress):
        url = server.url
        use_group_server(workspace, server)
    else:
        url, process = launch_server(workspace, server, kind="up", idle_s=None)
        use_server(workspace, url)
        services.append(Service("Prefect server", process, workspace.prefect / "server.log"))
    mlflow_url, mlflow = _start_mlflow(workspace)
    services += mlflow
    labelling = _start_page(workspace, project, _LABELLING, settings.exposure)
    services.append(labelling.service)
    tell_home()
    _await(services, url, "/api/health")
    _prepare_prefect(workspace, settings)
    deploying = _prefect(workspace, "deployments", "--no-prompt", "deploy", "--all", cwd=project)
    workers = [(WORK_POOL, f"starloom-{host()}-{os.getpid()}")]
    words = ("worker", "start", "--type", "process", "--install-policy", "never", "--pool")
    services.append(_prefect(workspace, "worker", *words, WORK_POOL, "--name", workers[0][1], cwd=project))
    for gpu in settings.gpus:
        name = f"gpu-{host()}-{gpu}"
        options = (GPU_POOL, "--name", name, "--limit", "1")
        alone = {"CUDA_VISIBLE_DEVICES": gpu, **_GPU_NUMBERING}
        services.append(_prefect(workspace, f"worker-{name}", *words, *options, cwd=project, settings=alone))
        workers.append((GPU_POOL, name))
    deploying.require_success()
    if settings.train_on != WORK_POOL:
        send_deployments(TRAINING_TAGS, settings.train_on)
    for pool, name in workers:
        _await_worker(services, pool, name)
    if mlflow:
        _await(services, mlflow_url, "/health")
    _await(services, labelling.local_url, "/health")
    return {"prefect": url, "mlflow": mlflow_url, "label": labelling.url}


def _start_mlflow(workspace: Workspace) -> tuple[str, list[Service]]:
    """Return the address of MLflow's pages, and the process that serves them unless a group's server does."""
    prepare(workspace)
    store = tracking_store(workspace)
    if store.is_web:
        return store.uri, []
    port = take_port(MLFLOW_PORT)
    command = ["mlflow", *SERVER_WORDS, "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", store.uri, "--artifacts-destination", str(workspace.mlartifacts)]
    settings = {**SERVER_SETTINGS, **store.credentials}
    return f"http://127.0.0.1:{port}", [_launch(workspace, "MLflow server", command, settings, workspace.root)]


class _Page(NamedTuple):
    """A service of pages: its name, its module and the first port that it may take."""

    name: str
    module: str
    first_port: int


_HOME = _Page("home page", "tasks.home.serve", HOME_PORT)
_LABELLING = _Page("labelling page", "tasks.labelling.serve", LABELLING_PORT)


class _StartedPage(NamedTuple):
    """A page's process, its address for people, and the one by which this machine reaches it."""

    service: Service
    url: str
    local_url: str


def _start_page(workspace: Workspace, project: Path, page: _Page, exposure: Exposure) -> _StartedPage:
    port = take_port(page.first_port, exposure)
    words = [page.module, "--port", str(port), *exposure.to_options()]
    service = _launch(workspace, page.name, words, {}, project)
    return _StartedPage(service, exposure.address(port), exposure.local_address(port))


def _prefect(
    workspace: Workspace, name: str, *arguments: str, cwd: Path, settings: dict[str, str] | None = None
) -> Service:
    return _launch(workspace, name, ["prefect", *arguments], settings or {}, cwd)


def _launch(workspace: Workspace, name: str, arguments: list[str], settings: dict[str, str], cwd: Path) -> Service:
    """Start ``python -m ARGUMENTS`` with its own log, in a session that the terminal's Ctrl-C does not reach."""
    path = workspace.prefect / f"{name.split()[0].lower()}.log"
    with path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            env=os.environ | {ENVIRONMENT_NAME: workspace.name} | settings,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    return Service(name, process, path)


def _prepare_prefect(workspace: Workspace, settings: StackSettings) -> None:
    """Record how earlier runs ended, and create the work pools and limits that deployments need."""
    from prefect import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists

    with get_client(sync_client=True) as client:
        with locked_file(workspace.prefect / "runs.lock"):
            record_ends(client, workspace)
            mark_crashed(client, workspace)
        if group_server() is None or not _online_workers(client, WORK_POOL):  # else others are at them
            cancel_missed_runs(client)
        for pool in (WORK_POOL, *([GPU_POOL] if settings.gpus else [])):
            with contextlib.suppress(ObjectAlreadyExists):
                client.create_work_pool(WorkPoolCreate(name=pool, type="process"))
        create_limits(client, [*device_slots("cpu", 1), *(f"gpu-{host()}-{gpu}" for gpu in settings.gpus)])


def _await_worker(services: list[Service], pool: str, name: str) -> None:
    from prefect import get_client

    with get_client(sync_client=True) as client:
        for _ in _until_ready(services, "worker"):
            if name in _online_workers(client, pool):
                return


def _online_workers(client: "SyncPrefectClient", pool: str) -> list[str]:
    """Return the names of a work pool's workers that are online; none where the pool is unknown."""
    from prefect.exceptions import ObjectNotFound

    try:
        client.read_work_pool(pool)
    except ObjectNotFound:
        return []
    answer = client.request(
        "POST", "/work_pools/{work_pool_name}/workers/filter", path_params={"work_pool_name": pool}, json={}
    )
    return [worker["name"] for worker in answer.json() if worker["status"] == "ONLINE"]


def _await(services: list[Service], url: str, path: str) -> None:
    for _ in _until_ready(services, url):
        if is_answering(url, path):
            return


def _until_ready(services: list[Service], what: str) -> Iterator[None]:
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        for service in services:
            service.require_running()
        yield
        time.sleep(_WATCH_S / 5)
    raise ServiceError(f"the {what} was not ready within {_READY_S:.0f} s")


def take_port(first: int, exposure: Exposure = ON_LOOPBACK) -> int:
    """Return the first free port from ``first`` on; no other `starloom up` is given it while this process lives."""
    for port in range(first, first + _PORTS_TRIED):
        with contextlib.suppress(OSError), exposure.listen(port):
            if reserve_port(port):
                return port
    raise ServiceError(f"no free port in {first} to {first + _PORTS_TRIED - 1}")


def _end_all(services: list[Service]) -> None:
    """End the services in reverse order: the worker reports to the server."""
    for service in reversed(services):
        end_process(service.process.pid)
        service.process.wait()
