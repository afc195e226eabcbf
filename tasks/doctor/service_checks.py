"""Ports and services: loopback, the addresses of `starloom up`, Prefect, MLflow's database, Dask."""

import contextlib
import os
import socket
import sqlite3
import tomllib
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tasks.doctor.finding import Finding, ok
from tasks.runtime.addresses import AddressError
from tasks.runtime.secrets import mask
from tasks.runtime.workspace import Workspace
from tasks.server.group_server import PREFECT_VARIABLE, require_group_server
from tasks.server.local_stack import HOME_PORT, LABELLING_PORT, MLFLOW_PORT, address_in
from tasks.server.prefect_server import ServiceError, is_answering, processes_folder, read_record
from tasks.server.prefect_server_main import ALIVE_NAME
from tasks.server.process_guard import living_processes, lock_holder, port_holder
from tasks.tracking.tracking_store import MLFLOW_VARIABLE, require_tracking_server, tracking_store

FIRST_PORTS = {"MLflow": MLFLOW_PORT, "labelling": LABELLING_PORT, "home": HOME_PORT}
"""Pages of `starloom up` that take the first free port from these on."""
PORTS_TRIED = 50
DASK_ADDRESS = "STARLOOM_DASK_ADDRESS"
MLFLOW_ADDRESS = "MLFLOW_TRACKING_URI"


def check_services(workspace: Workspace, environment: Mapping[str, str], project: Path | None) -> list[Finding]:
    """Check what flows connect to; `project` is the folder of ``pyproject.toml``, None if there is none."""
    return [
        check_loopback(),
        check_proxy(),
        check_server(workspace, environment),
        *([] if environment.get(PREFECT_VARIABLE) else [check_server_port(workspace, project)]),
        check_page_ports(),
        check_prefect_settings(environment),
        check_mlflow(workspace, environment),
        check_dask(environment.get(DASK_ADDRESS)),
    ]


def check_loopback() -> Finding:
    """Check that a server can listen on loopback and be reached there."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), timeout=5).close()
    except OSError as error:
        return Finding("loopback", "problem", f"127.0.0.1 cannot be used ({error})", "allow connections on loopback")
    return ok("loopback", "127.0.0.1 takes servers and connections")


def check_proxy() -> Finding:
    """Check that requests to loopback do not go to a proxy of the environment."""
    proxies = sorted(set(urllib.request.getproxies()) & {"http", "https", "all"})
    if proxies and not urllib.request.proxy_bypass("127.0.0.1"):
        value = f"{', '.join(f'{name}_proxy' for name in proxies)} would be asked for 127.0.0.1"
        return Finding("proxy", "problem", value, "export no_proxy=127.0.0.1,localhost")
    return ok("proxy", "none for loopback")


def check_server(workspace: Workspace, environment: Mapping[str, str]) -> Finding:
    """Check that the group's Prefect server answers, or the workspace's if it runs."""
    subject, pid = "Prefect server", lock_holder(workspace.prefect / ALIVE_NAME)
    try:
        group = require_group_server(environment)
    except AddressError as error:
        return Finding(subject, "problem", str(error))  # which says what to do
    if group is not None:
        return ok(subject, f"{group.url}/api ({PREFECT_VARIABLE}), which others start and end")
    if pid is None:
        return ok(subject, "does not run; `starloom run` starts one on a free port")
    record = read_record(workspace)
    if record is None:
        return Finding(subject, "warning", f"process {pid} is starting", "wait, or end it with `starloom down`")
    where = f"{record['url']} (prefect/server.json, process {pid}, started by `starloom {record['kind']}`)"
    if is_answering(record["url"], "/api/health"):
        return ok(subject, where)
    return Finding(subject, "problem", f"{where} does not answer", "end it with `starloom down`")


def check_server_port(workspace: Workspace, project: Path | None) -> Finding:
    """Check that `starloom up` can have the port of ``pyproject.toml``, or has it."""
    subject = "port of starloom up"
    try:
        if project is None:
            raise ServiceError("no prefect.yaml here: `starloom up` runs in the project's root only")
        host, port = address_in(project)
    except ServiceError as error:
        return Finding(subject, "warning", str(error), "change to the project's root for `starloom up`")
    where = f"{port} ([tool.prefect.api] url in pyproject.toml)"
    if is_free(port, host):
        return ok(subject, f"{where} is free")
    record = read_record(workspace) if lock_holder(workspace.prefect / ALIVE_NAME) else None
    if record is not None and urlsplit(record["url"]).port == port:
        return ok(subject, f"{where} is this workspace's own server")
    return Finding(subject, "warning", f"{where} is held by {port_holder(port)}", "end it, or change the url")


def check_page_ports() -> Finding:
    """Find the ports that the pages of `starloom up` would take."""
    free = {name: first_free_port(first) for name, first in FIRST_PORTS.items()}
    none = [name for name, port in free.items() if port is None]
    if none:
        tried = ", ".join(f"{FIRST_PORTS[name]} to {FIRST_PORTS[name] + PORTS_TRIED - 1}" for name in none)
        return Finding("ports of pages", "warning", f"none is free in {tried}", "end what holds them")
    return ok("ports of pages", f"free: {', '.join(f'{name} {port}' for name, port in free.items())}")


def first_free_port(first: int) -> int | None:
    """Return the first free port of `PORTS_TRIED` from ``first`` on."""
    return next((port for port in range(first, first + PORTS_TRIED) if is_free(port)), None)


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Return whether a server could listen on ``port``."""
    with contextlib.suppress(OSError), socket.create_server((host, port)):
        return True
    return False


def check_prefect_settings(environment: Mapping[str, str]) -> Finding:
    """Find settings of the user's own Prefect, which the `starloom` command replaces by its own."""
    subject, url = "Prefect settings", environment.get("PREFECT_API_URL")
    if url is not None:
        value = f"PREFECT_API_URL={mask(url)} is not used: every command sets the workspace's own server"
        remedy = f"unset it: it is for Prefect's own commands only; {PREFECT_VARIABLE} names a group's server"
        return Finding(subject, "warning", value, remedy)
    home = Path(environment.get("PREFECT_HOME") or Path(environment.get("HOME") or Path.home()) / ".prefect")
    profile, url = profile_address(home / "profiles.toml", environment.get("PREFECT_PROFILE"))
    if url is not None:
        value = f"profile {profile!r} of {home / 'profiles.toml'} names {mask(url)}, which is not used"
        remedy = "nothing for starloom; Prefect's own commands need `export PREFECT_API_URL=` the workspace's server"
        return Finding(subject, "warning", value, remedy)
    return ok(subject, "PREFECT_API_URL and PREFECT_HOME are set by every command")


def profile_address(path: Path, named: str | None) -> tuple[str | None, str | None]:
    """Return the active profile of a ``profiles.toml`` and its ``PREFECT_API_URL``, None where there is none."""
    try:
        written: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None, None
    profile = named or written.get("active")
    return profile, written.get("profiles", {}).get(profile, {}).get("PREFECT_API_URL")


def check_mlflow(workspace: Workspace, environment: Mapping[str, str]) -> Finding:
    """Check that MLflow's database can be read, and find an address of the environment that is not used."""
    subject, path = "MLflow", workspace.root / "mlflow.db"
    if environment.get(MLFLOW_VARIABLE):
        try:
            require_tracking_server(environment)
        except AddressError as error:
            return Finding(subject, "problem", str(error))  # which says what to do
        return ok(subject, f"{tracking_store(workspace, environment).uri} ({MLFLOW_VARIABLE}), not of the workspace")
    where = f"{path}, of the workspace"
    if path.exists():
        try:
            with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
                [(count,)] = database.execute("SELECT count(*) FROM runs")
        except sqlite3.Error as error:
            remedy = "restore the file, or move it away and train again"
            return Finding(subject, "problem", f"{where}, cannot be read ({error})", remedy)
        where += f", runs: {count}"
    else:
        where += ", made by the first training"
    address = environment.get(MLFLOW_ADDRESS)
    if address is not None and address != workspace.mlflow_uri:
        value = f"{where}; {MLFLOW_ADDRESS}={mask(address)} is not used"
        return Finding(subject, "warning", value, f"unset it; a group's MLflow is named by {MLFLOW_VARIABLE}")
    return ok(subject, where)


def check_dask(address: str | None) -> Finding:
    """Check that the cluster of ``STARLOOM_DASK_ADDRESS`` answers and has workers with this program.

    Of a cluster file only what it says is checked: a check shall not wait in a queue.
    """
    if not address:
        workers = max(2, os.cpu_count() or 1)
        return ok("Dask", f"a cluster of {workers} processes on this machine, opened by flows with enough work")
    from tasks.runtime.cluster import ClusterError, OnDask, connect  # takes a second to import
    from tasks.runtime.cluster_file import SUFFIX, ClusterFileError, load_starter, read_cluster_file

    where = f"{address} ({DASK_ADDRESS})"
    if address.endswith(SUFFIX):
        try:
            file = read_cluster_file(Path(address))
            starter = load_starter(Path(address), file).__name__
        except ClusterFileError as error:
            return Finding("Dask", "problem", str(error))  # which says what to do
        return ok("Dask", f"{where}: {file.workers} workers by {starter}, which a flow starts and ends; not tried here")
    try:
        with connect(address) as client:
            return ok("Dask", f"{where}, workers: {OnDask(client).workers}")
    except ClusterError as error:
        return Finding("Dask", "problem", str(error))  # which says what to do


def running_commands(workspace: Workspace) -> list[str]:
    """Return the commands that run in the workspace, such as ``run build-galaxy-dataset (process 7)``."""
    return [
        f"{' '.join(entry['command'][1:])} (process {entry['pid']})"
        for entry in living_processes(processes_folder(workspace))
    ]
