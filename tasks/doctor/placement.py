"""Where the parts of a flow would run: process, pool, workers, device."""

import contextlib
import os
from collections.abc import Mapping
from typing import Any

import httpx

from tasks.doctor.service_checks import DASK_ADDRESS, running_commands
from tasks.runtime.addresses import AddressError, ServerAddress
from tasks.runtime.workspace import Workspace
from tasks.server.group_server import PREFECT_VARIABLE, require_group_server
from tasks.server.prefect_server import is_answering, read_record
from tasks.server.prefect_server_main import ALIVE_NAME
from tasks.server.process_guard import is_locked
from tasks.server.slots import device_slots, visible_gpus

NOWHERE = "nowhere until `starloom up` starts a worker of the pool local"
_ANSWER_S = 10.0


def describe_placement(workspace: Workspace, environment: Mapping[str, str]) -> dict[str, str]:
    """Return what runs where, by the kind of work.

    Pools and workers are those of the workspace's server; there are none unless `starloom up` runs.
    """
    processors = os.cpu_count() or 1
    address = environment.get(DASK_ADDRESS)
    gpus = visible_gpus(environment)
    placed = {
        "starloom run": f"the flow runs in the command's own process, its server {_server_place(environment)}",
        "deployed runs": describe_pools(workspace, environment),
        "batches": f"the Dask cluster at {address}" if address else f"{max(2, processors)} worker processes here",
        "trainings": f"GPU {', '.join(gpus)}" if gpus else f"the processor, {processors} cores",
        "one at a time": ", ".join(device_slots("gpu" if gpus else "cpu", len(gpus), environment)),
        "working now": "; ".join(running_commands(workspace)) or "nothing",
    }
    return placed


def _server_place(environment: Mapping[str, str]) -> str:
    address = environment.get(PREFECT_VARIABLE)
    return f"that of {PREFECT_VARIABLE}" if address else "on a free port of loopback"


def describe_pools(workspace: Workspace, environment: Mapping[str, str]) -> str:
    """Return the work pools of the group's or the workspace's server with their workers that are online."""
    server = _server_with_pools(workspace, environment)
    if server is None:
        return NOWHERE
    login = None if server.user is None else httpx.BasicAuth(server.user, server.password or "")
    with httpx.Client(base_url=f"{server.url}/api", timeout=_ANSWER_S, trust_env=False, auth=login) as client:
        pools = [pool["name"] for pool in client.post("/work_pools/filter", json={}).json()]
        return "; ".join(f"pool {pool}: {_describe_workers(client, pool)}" for pool in pools) or NOWHERE


def _server_with_pools(workspace: Workspace, environment: Mapping[str, str]) -> ServerAddress | None:
    """Return the server that has work pools, if it answers."""
    if environment.get(PREFECT_VARIABLE):
        with contextlib.suppress(AddressError):
            return require_group_server(environment)
        return None
    record = read_record(workspace) if is_locked(workspace.prefect / ALIVE_NAME) else None
    if record is None or record["kind"] != "up" or not is_answering(record["url"], "/api/health"):
        return None
    return ServerAddress("server.json", record["url"])


def _describe_workers(client: httpx.Client, pool: str) -> str:
    workers: list[dict[str, Any]] = client.post(f"/work_pools/{pool}/workers/filter", json={}).json()
    return ", ".join(worker["name"] for worker in workers if worker["status"] == "ONLINE") or "no worker"
