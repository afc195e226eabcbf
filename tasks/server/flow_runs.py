"""Running a flow in this process, and recording how earlier runs ended that the server was not told of.

Prefect learns from the process of a flow run that it crashed, which ``kill -9`` prevents. So each process registers in
the workspace with its flow run, and the next command marks unfinished runs without a living process. A run whose server
is lost ends as if it were there, and leaves the states of its flow runs in ``prefect/ends/`` for the next command.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from tasks.runtime.workspace import Workspace
from tasks.server.group_server import group_server
from tasks.server.prefect_server import processes_folder
from tasks.server.process_guard import UP, ProcessEntry, living_processes, locked_file
from tasks.server.slots import host
from tasks.store.errors import DiskFullError
from tasks.store.files import write_json

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

DIED = "Its process died. The same command, given again, goes on from its last finished step."
_UNFINISHED_AT_MOST = 200
_LEAST_FREE_MB = 16.0
"""Of a disk that is not taken for full: what is half written is removed before an error is told."""


def run_here(workspace: Workspace, flow: "Flow[..., Any]", parameters: Mapping[str, Any]) -> Any:
    """Run ``flow`` in this process, on the workspace's Prefect server, and return its result."""
    from prefect import get_client, tags
    from prefect.flow_engine import run_flow

    from tasks.server.server_link import lasting_link

    server = os.environ["PREFECT_API_URL"].removesuffix("/api")
    with cause_named(workspace.root), lasting_link(server) as link:
        with get_client(sync_client=True) as client, locked_file(workspace.prefect / "runs.lock"):
            record_ends(client, workspace)
            mark_crashed(client, workspace)
            flow_run = client.create_flow_run(
                flow, parameters=flow.serialize_parameters(dict(parameters)), tags=[workspace_tag(workspace)]
            )
            facts = {"kind": "run", "flow": flow.name, "flow_run": str(flow_run.id)}
            entry = ProcessEntry.announce(processes_folder(workspace), **facts)
        try:
            with tags(workspace_tag(workspace)):  # of the flow runs within it
                return run_flow(flow, flow_run=flow_run, parameters=dict(parameters))
        finally:
            for ended, state in link.ends.items():
                write_json(_ends(workspace) / f"{ended}.json", state)
            entry.withdraw()


@contextlib.contextmanager
def cause_named(root: Path) -> Iterator[None]:
    """Turn a status of 500 or above of the Prefect server into an error that says why.

    The workspace's server has it when its database, which is on the workspace's disk, cannot grow; a group's server
    when it has lost its database.

    Raises
    ------
    DiskFullError
    AddressError
        The server is a group's.
    """
    import httpx

    try:
        yield
    except httpx.HTTPStatusError as error:
        if not error.response.is_server_error:
            raise
        if (group := group_server()) is not None:
            status = f"status {error.response.status_code} of {error.request.url.path}"
            remedy = "look at its log and its database, then run the same command again"
            raise group.unreachable(status, remedy) from error
        free_mb = shutil.disk_usage(root).free / 1e6
        if free_mb >= _LEAST_FREE_MB:
            raise
        raise DiskFullError(
            f"no space left on the disk of {root} ({free_mb:.1f} MB), so the Prefect server failed; free some and run "
            "the same command again, it continues from the finished work"
        ) from error


def record_ends(client: "SyncPrefectClient", workspace: Workspace) -> list[UUID]:
    """Record how the flow runs ended that had lost their server; return their ids. The caller holds ``runs.lock``."""
    from prefect.client.schemas.objects import State
    from prefect.exceptions import ObjectNotFound

    recorded = []
    for path in sorted(_ends(workspace).glob("*.json")):
        state = State.model_validate(json.loads(path.read_text(encoding="utf-8")))
        state.message = (
            f"It ended at {state.timestamp:%Y-%m-%d %H:%M:%S} UTC, without its server. {state.message or ''}"
        )
        # A part that began after the loss is unknown to the server.
        with contextlib.suppress(ObjectNotFound):
            client.set_flow_run_state(UUID(path.stem), state, force=True)
            recorded.append(UUID(path.stem))
        path.unlink()
    return recorded


def _ends(workspace: Workspace) -> Path:
    return workspace.prefect / "ends"


def mark_crashed(client: "SyncPrefectClient", workspace: Workspace) -> list[UUID]:
    """Mark unfinished runs without a living process as crashed; return their ids. The caller holds ``runs.lock``.

    A deployment's run that is marked so gives its slot of the concurrency limit back. The services of this process
    count as not started: it calls this before its worker. On a group's server, where most runs are those of other
    machines and workspaces, only those are looked at that a command began here.
    """
    from prefect.client.schemas.filters import FlowRunFilter
    from prefect.states import Crashed

    entries = living_processes(processes_folder(workspace))
    working_on = {entry.get("flow_run") for entry in entries}
    worker_lives = any(entry["kind"] == UP and entry["pid"] != os.getpid() for entry in entries)
    asked: dict[str, Any] = {"state": {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}}
    if group_server() is not None:
        asked["tags"] = {"all_": [workspace_tag(workspace)]}
    unfinished = FlowRunFilter.model_validate(asked)
    crashed = []
    for flow_run in client.read_flow_runs(flow_run_filter=unfinished, limit=_UNFINISHED_AT_MOST):
        root = _root(client, flow_run)
        if str(root.id) in working_on or (root.deployment_id and worker_lives):
            continue
        client.set_flow_run_state(flow_run.id, Crashed(message=DIED), force=True)
        crashed.append(flow_run.id)
    return crashed


def workspace_tag(workspace: Workspace) -> str:
    """Return the tag of the flow runs that a command began in a workspace on this machine."""
    return f"workspace:{host()}:{workspace.root}"


def _root(client: "SyncPrefectClient", flow_run: "FlowRun") -> "FlowRun":
    """Return the flow run at the top: the one that a user or the worker started."""
    while flow_run.parent_task_run_id is not None:
        parent = client.read_task_run(flow_run.parent_task_run_id).flow_run_id
        if parent is None:
            break
        flow_run = client.read_flow_run(parent)
    return flow_run
