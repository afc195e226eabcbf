"""One flow run in this process, and the runs of processes that died.

Prefect learns that a flow run has crashed from the process that ran it, which ``kill -9`` forbids. So each
process is entered among the living of the workspace with the flow run it works on, and the next command marks
what nobody works on any more.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from tasks.runtime.workspace import Workspace
from tasks.server.prefect_server import processes_folder
from tasks.server.process_guard import Presence, held, living

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

_UNFINISHED_AT_MOST = 200


def run_here(workspace: Workspace, flow: "Flow[..., Any]", parameters: Mapping[str, Any]) -> Any:
    """Run ``flow`` in this process, on the workspace's Prefect server, and return what it returns."""
    from prefect import get_client
    from prefect.flow_engine import run_flow

    with get_client(sync_client=True) as client, held(workspace.prefect / "runs.lock"):
        mark_crashed(client, workspace)
        flow_run = client.create_flow_run(flow, parameters=flow.serialize_parameters(dict(parameters)))
        presence = Presence.announce(processes_folder(workspace), kind="run", flow=flow.name, flow_run=str(flow_run.id))
    try:
        return run_flow(flow, flow_run=flow_run, parameters=dict(parameters))
    finally:
        presence.withdraw()


def mark_crashed(client: "SyncPrefectClient", workspace: Workspace) -> list[UUID]:
    """Mark the unfinished flow runs that no living process works on. The caller holds ``runs.lock``."""
    from prefect.client.schemas.filters import FlowRunFilter
    from prefect.states import Crashed

    entries = living(processes_folder(workspace))
    working_on = {entry.get("flow_run") for entry in entries}
    worker_lives = any(entry["kind"] == "up" for entry in entries)
    unfinished = FlowRunFilter.model_validate({"state": {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}})
    crashed = []
    for flow_run in client.read_flow_runs(flow_run_filter=unfinished, limit=_UNFINISHED_AT_MOST):
        root = _root(client, flow_run)
        if str(root.id) in working_on or (root.deployment_id and worker_lives):
            continue
        client.set_flow_run_state(flow_run.id, Crashed(message="Its process died."), force=True)
        crashed.append(flow_run.id)
    return crashed


def _root(client: "SyncPrefectClient", flow_run: "FlowRun") -> "FlowRun":
    """Return the flow run that a user or the worker started, of which ``flow_run`` is a part."""
    while flow_run.parent_task_run_id is not None:
        parent = client.read_task_run(flow_run.parent_task_run_id).flow_run_id
        if parent is None:
            break
        flow_run = client.read_flow_run(parent)
    return flow_run
