"""The services: each once and in one order, running where a process tells an address, a group's where it answers."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.home.services import read_services
from tasks.home.status import ServiceName
from tasks.runtime.workspace import Workspace
from tasks.server.group_server import PREFECT_VARIABLE
from tasks.server.process_guard import LABELLING, UP
from tasks.tracking.tracking_store import MLFLOW_VARIABLE
from tests.server_process import free_port

NAMES = list(get_args(ServiceName))
ADDRESSES = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["http://127.0.0.1:1", "http://127.0.0.1:2"]))
PROCESSES = st.lists(
    st.builds(lambda addresses: {"kind": UP, "addresses": addresses}, ADDRESSES)
    | st.sampled_from([{"kind": UP}, {"kind": LABELLING}, {"kind": LABELLING, "url": "http://127.0.0.1:3"}])
    | st.sampled_from([{"kind": "run", "command": ["starloom", "run"]}]),
    max_size=4,
)


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (PREFECT_VARIABLE, MLFLOW_VARIABLE):
        monkeypatch.delenv(name, raising=False)


@given(PROCESSES)
def test_each_service_is_told_once_and_runs_where_a_process_tells_its_address(processes: list[dict[str, Any]]) -> None:
    rows = read_services(Workspace(Path("absent")), processes)
    assert [row.name for row in rows] == NAMES
    named = {name: address for entry in processes for name, address in entry.get("addresses", {}).items()}
    labelled = [entry["url"] for entry in processes if "url" in entry]
    for row in rows:
        own = named.get(row.name, labelled[-1] if labelled and row.name == "label" else None)
        assert row.address == own
        waits = "starting" if UP in [entry["kind"] for entry in processes] else "not running"
        assert row.state == ("running" if own else waits)


def test_a_server_that_no_process_announces_is_known_by_its_record_while_its_process_is_there(
    workspace: Workspace,
) -> None:
    workspace.prefect.mkdir(parents=True)
    record = workspace.prefect / "server.json"
    record.write_text(json.dumps({"pid": os.getpid(), "url": "http://127.0.0.1:4", "kind": "run"}))
    running = read_services(workspace, [{"kind": UP}])
    assert [(row.name, row.address) for row in running if row.state == "running"] == [("prefect", "http://127.0.0.1:4")]
    record.write_text(json.dumps({"pid": 2**31 - 1, "url": "http://127.0.0.1:4", "kind": "run"}))
    assert {row.state for row in read_services(workspace, [])} == {"not running"}


def of_group(workspace: Workspace, processes: list[Mapping[str, Any]]) -> dict[str, tuple[str | None, str]]:
    rows = read_services(workspace, processes)
    assert [row.name for row in rows] == NAMES
    return {row.name: (row.address, row.state) for row in rows}


def test_a_group_s_server_that_is_down_keeps_its_address_and_no_other_takes_its_place(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefect, mlflow = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    monkeypatch.setenv(PREFECT_VARIABLE, f"{prefect}/api")
    monkeypatch.setenv(MLFLOW_VARIABLE, mlflow.replace("http://", "http://ann:secret@"))
    workspace.prefect.mkdir(parents=True)
    (workspace.prefect / "server.json").write_text(json.dumps({"pid": os.getpid(), "url": "http://127.0.0.1:4"}))
    told = of_group(workspace, [{"kind": UP, "addresses": {"prefect": "http://127.0.0.1:5"}}])
    assert told["prefect"] == (prefect, "no answer")
    assert told["mlflow"] == (mlflow, "no answer"), "the password is told to nobody"
    assert told["home"] == (None, "starting")


def test_a_group_s_database_has_no_page(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MLFLOW_VARIABLE, "postgresql://ann@127.0.0.1/mlflow")
    assert of_group(workspace, [])["mlflow"] == (None, "not running")
