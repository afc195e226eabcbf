"""Ports, settings and databases, with real sockets, files and locks."""

import os
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client

from tasks.doctor.placement import describe_placement
from tasks.doctor.service_checks import (
    FIRST_PORTS,
    check_loopback,
    check_mlflow,
    check_page_ports,
    check_prefect_settings,
    check_proxy,
    check_server,
    check_server_port,
    first_free_port,
)
from tasks.runtime.workspace import Workspace
from tasks.server.group_server import PREFECT_VARIABLE
from tasks.server.prefect_server import processes_folder
from tasks.server.prefect_server_main import ALIVE_NAME, RECORD_NAME
from tasks.server.process_guard import ProcessEntry, lock_file


def write_project(folder: Path, port: int) -> Path:
    (folder / "pyproject.toml").write_text(f'[tool.prefect.api]\nurl = "http://127.0.0.1:{port}/api"\n')
    return folder


def hold_server_lock(workspace: Workspace, port: int) -> int:
    """Hold the lock of the workspace's server, with a record of `port`; return the lock's descriptor."""
    descriptor = lock_file(workspace.prefect / ALIVE_NAME)
    assert descriptor is not None
    record = f'{{"pid": {os.getpid()}, "url": "http://127.0.0.1:{port}", "kind": "up"}}'
    (workspace.prefect / RECORD_NAME).write_text(record)
    return descriptor


def test_loopback_works_here() -> None:
    assert check_loopback().state == "ok"


def test_a_proxy_that_loopback_would_go_through_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        for written in (name, name.upper()):
            monkeypatch.delenv(written, raising=False)
    assert check_proxy().state == "ok"
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    assert check_proxy().state == "problem"
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    assert check_proxy().state == "ok"


def test_the_port_of_up_is_free_or_held_or_this_workspaces_own(workspace: Workspace, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        project = write_project(tmp_path, port)
        held = check_server_port(workspace, project)
        assert held.state == "warning"
        assert f"process {os.getpid()}" in held.value
        descriptor = hold_server_lock(workspace, port)
        assert check_server_port(workspace, project).value.endswith("this workspace's own server")
        os.close(descriptor)
        assert first_free_port(port) != port
    assert check_server_port(workspace, project).value.endswith("is free")
    assert check_server_port(workspace, None).state == "warning"


def test_the_ports_of_pages_are_the_first_free_ones() -> None:
    first = first_free_port(FIRST_PORTS["MLflow"])
    assert first is not None
    with socket.create_server(("127.0.0.1", first)):
        assert f"MLflow {first}," not in check_page_ports().value
    assert f"MLflow {first}," in check_page_ports().value


def test_a_server_that_lives_and_does_not_answer_is_a_problem_and_a_dead_one_none(workspace: Workspace) -> None:
    assert check_server(workspace, {}).state == "ok"
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    descriptor = hold_server_lock(workspace, port)
    silent = check_server(workspace, {})
    assert (silent.state, silent.remedy) == ("problem", "end it with `starloom down`")
    assert f"http://127.0.0.1:{port} (prefect/server.json, process {os.getpid()}" in silent.value
    os.close(descriptor)
    assert check_server(workspace, {}).state == "ok"


def test_settings_of_a_users_own_prefect_are_named(tmp_path: Path) -> None:
    assert check_prefect_settings({"HOME": str(tmp_path)}).state == "ok"
    asked = check_prefect_settings({"HOME": str(tmp_path), "PREFECT_API_URL": "http://elsewhere/api"})
    assert (asked.state, "http://elsewhere/api is not used" in asked.value) == ("warning", True)
    (tmp_path / ".prefect").mkdir()
    (tmp_path / ".prefect" / "profiles.toml").write_text(
        'active = "group"\n[profiles.group]\nPREFECT_API_URL = "http://group/api"\n[profiles.local]\n'
    )
    profile = check_prefect_settings({"HOME": str(tmp_path)})
    assert (profile.state, "profile 'group'" in profile.value) == ("warning", True)
    assert check_prefect_settings({"HOME": str(tmp_path), "PREFECT_PROFILE": "local"}).state == "ok"


def test_mlflows_database_is_read_and_another_address_named(workspace: Workspace) -> None:
    assert check_mlflow(workspace, {}).value.endswith("made by the first training")
    assert not workspace.root.exists()
    workspace.root.mkdir()
    with closing(sqlite3.connect(workspace.root / "mlflow.db")) as database:
        database.executescript("CREATE TABLE runs (id); INSERT INTO runs VALUES (1), (2)")
    assert check_mlflow(workspace, {}).value.endswith("runs: 2")
    assert check_mlflow(workspace, {"MLFLOW_TRACKING_URI": workspace.mlflow_uri}).state == "ok"
    assert check_mlflow(workspace, {"MLFLOW_TRACKING_URI": "http://elsewhere"}).state == "warning"
    (workspace.root / "mlflow.db").write_bytes(b"no database" * 100)
    assert check_mlflow(workspace, {}).state == "problem"


def test_the_placement_follows_the_environment_and_names_what_runs(workspace: Workspace) -> None:
    alone = describe_placement(workspace, {"CUDA_VISIBLE_DEVICES": ""})
    assert alone["trainings"].startswith("the processor")
    assert alone["working now"] == "nothing"
    entry = ProcessEntry.announce(processes_folder(workspace), kind="run")
    spread = describe_placement(
        workspace, {"CUDA_VISIBLE_DEVICES": "2,3", "STARLOOM_DASK_ADDRESS": "tcp://scheduler:8786"}
    )
    entry.withdraw()
    assert spread["trainings"] == "GPU 2, 3"
    assert [name.rpartition("-")[2] for name in spread["one at a time"].split(", ")] == ["2", "3"]
    assert spread["batches"] == "the Dask cluster at tcp://scheduler:8786"
    assert f"(process {os.getpid()})" in spread["working now"]


def test_deployed_runs_have_a_place_on_a_server_without_pools(workspace: Workspace, prefect_api: str) -> None:
    with get_client(sync_client=True) as client:
        for pool in client.read_work_pools():
            client.delete_work_pool(pool.name)
    placed = describe_placement(workspace, {PREFECT_VARIABLE: prefect_api})
    assert placed["deployed runs"].startswith("nowhere until `starloom up`")
