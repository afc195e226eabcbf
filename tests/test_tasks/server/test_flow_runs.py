"""Which flow runs count as crashed: those that no living process works on."""

import os
from pathlib import Path

import pytest
from prefect import flow, get_client, task
from prefect.client.orchestration import SyncPrefectClient
from prefect.states import Completed, Running

from tasks.runtime.workspace import Workspace
from tasks.server.flow_runs import mark_crashed, workspace_tag
from tasks.server.group_server import PREFECT_VARIABLE
from tasks.server.prefect_server import processes_folder
from tasks.server.process_guard import ProcessEntry


@flow(name="never-run")
def never_run() -> None:
    """Stand for a flow in records of runs."""


@task
def never_run_part() -> None:
    """Stand for the place of a flow within another."""


@pytest.fixture
def served(prefect_api: str) -> Workspace:
    return Workspace(Path(os.environ["PREFECT_HOME"]).parent)


def state_names(client: SyncPrefectClient, *runs: object) -> list[str | None]:
    return [client.read_flow_run(run.id).state_name for run in runs]  # type: ignore[attr-defined]


def test_only_runs_of_dead_processes_are_marked(served: Workspace) -> None:
    with get_client(sync_client=True) as client:
        mark_crashed(client, served)  # what other tests on this server killed
        dead, working, finished = (client.create_flow_run(never_run) for _ in range(3))
        part = client.create_task_run(never_run_part, flow_run_id=working.id, dynamic_key="0", state=Running())
        within = client.create_flow_run(never_run, parent_task_run_id=part.id)
        for run in (dead, working, within):
            client.set_flow_run_state(run.id, Running(), force=True)
        client.set_flow_run_state(finished.id, Completed(), force=True)
        presence = ProcessEntry.announce(processes_folder(served), kind="run", flow_run=str(working.id))
        assert mark_crashed(client, served) == [dead.id]
        assert state_names(client, dead, working, within, finished) == ["Crashed", "Running", "Running", "Completed"]
        presence.withdraw()
        assert set(mark_crashed(client, served)) == {working.id, within.id}


def test_on_a_groups_server_only_runs_of_this_workspace_are_marked(
    served: Workspace, prefect_api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PREFECT_VARIABLE, prefect_api)
    tags = [[workspace_tag(served)], [workspace_tag(Workspace(served.root / "other"))], []]
    with get_client(sync_client=True) as client:
        own, *others = (client.create_flow_run(never_run, tags=each) for each in tags)
        for run in (own, *others):
            client.set_flow_run_state(run.id, Running(), force=True)
        assert mark_crashed(client, served) == [own.id]
        assert state_names(client, *others) == ["Running", "Running"]
        for run in others:
            client.delete_flow_run(run.id)
