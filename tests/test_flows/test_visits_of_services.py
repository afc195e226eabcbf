"""Visits through the services of `starloom up`: the bell, the event, the schedule, and a server that is killed."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect import get_client
from prefect.events.clients import PrefectEventsClient
from prefect.events.schemas.events import Event, Resource

from tasks.runtime.workspace import Workspace
from tasks.server.arrival_bell import ARRIVED, RESOURCE
from tasks.server.prefect_server import stop_services, use_server
from tasks.visits.arrivals import visit_store
from tests.small_visits import NIGHT, register_random_model, write_records

SOURCE = Path(__file__).parents[2]
PATIENCE_S = 600


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with the deployment of `score-visit` as it is, whose Prefect address is a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(f'[tool.prefect.api]\nurl = "http://127.0.0.1:{port}/api"\n')
    whole = yaml.safe_load((SOURCE / "prefect.yaml").read_text())
    chosen = [deployment for deployment in whole["deployments"] if deployment["name"] == "score-visit"]
    (folder / "prefect.yaml").write_text(yaml.safe_dump({"name": "one", "deployments": chosen}))
    return folder


@pytest.fixture
def alone(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """A workspace whose services are its own; the suite's server is as it was afterwards."""
    for name in ("PREFECT_API_URL", "PREFECT_HOME"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.setenv("PYTHONPATH", str(SOURCE))
    yield workspace
    stop_services(workspace)
    monkeypatch.undo()
    from prefect.context import refresh_global_settings_context

    refresh_global_settings_context()


def start_up(project: Path, workspace: Workspace) -> subprocess.Popen[str]:
    """Start `starloom up` in a project and wait until it is ready."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    command = subprocess.Popen(
        [sys.executable, "-m", "flows.cli.command", "--workspace", str(workspace.root), "up"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=project,
        env=environment,
        start_new_session=True,
    )
    assert command.stdout is not None
    use_server(workspace, json.loads(command.stdout.readline())["prefect"])
    return command


def deliver(workspace: Workspace, *names: str) -> None:
    for number, name in enumerate(names):
        write_records(workspace.root / "inbox" / NIGHT / name, [name], [(10.0 + number / 10, 5.0)])


def send_events(count: int) -> None:
    """Send events of arrivals as another program would, and return when the server has them."""

    async def send() -> None:
        async with PrefectEventsClient() as client:
            for _ in range(count):
                resource = Resource({"prefect.resource.id": f"{RESOURCE}.inbox"})
                await client.emit(Event(event=ARRIVED, resource=resource, payload={}))

    asyncio.run(send())


def wait_for(workspace: Workspace, *names: str) -> float:
    """Wait until visits are scored; return the seconds."""
    begin = time.monotonic()
    while time.monotonic() < begin + PATIENCE_S:
        if set(names) <= set(visit_store(workspace).read(NIGHT).newest):
            return time.monotonic() - begin
        time.sleep(0.2)
    raise TimeoutError(f"{names} are not scored; runs: {run_states()}")


def run_states() -> dict[str, Any]:
    with get_client(sync_client=True) as client:
        return dict(Counter(str(run.state_name) for run in client.read_flow_runs()))


def test_bursts_collapse_and_a_killed_server_loses_no_visit(project: Path, alone: Workspace, tmp_path: Path) -> None:
    register_random_model(alone, tmp_path / "model", "realbogus")
    first = start_up(project, alone)
    try:
        deliver(alone, "a", "b", "c", "d", "e")
        send_events(5)
        wait_for(alone, "a", "b", "c", "d", "e")
        records = visit_store(alone).read(NIGHT).records
        assert sorted(record.visit for record in records) == ["a", "b", "c", "d", "e"]
        states = run_states()
        assert states.keys() <= {"Completed", "Running", "Scheduled", "Pending", "Late", "Cancelled"}
        assert states.get("Completed", 0) + states.get("Running", 0) <= 3, "five events are not five runs"
        deliver(alone, "f")
        send_events(1)
    finally:
        os.kill(first.pid, signal.SIGKILL)
        first.communicate()
    second = start_up(project, alone)
    try:
        wait_for(alone, "f")
        assert len(visit_store(alone).read(NIGHT).records) == 6
    finally:
        second.send_signal(signal.SIGINT)
        second.communicate()
