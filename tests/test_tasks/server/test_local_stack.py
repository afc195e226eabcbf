"""What `starloom up` refuses; what it does is in `test_flows/test_command.py`."""

import multiprocessing
import os
import socket
from pathlib import Path

import pytest

from tasks.runtime.workspace import Workspace
from tasks.server.local_stack import StackSettings, address_in, run_stack, take_port
from tasks.server.prefect_server import ServiceError, begin_use, end_use, processes_folder
from tasks.server.process_guard import ProcessEntry

FIRST_PORT = 27_310
"""No service of another test is there."""


def write_project(folder: Path, url: str) -> Path:
    (folder / "pyproject.toml").write_text(f'[tool.prefect.api]\nurl = "{url}"\n')
    return folder


def refuse(workspace: Workspace, project: Path) -> str:
    with pytest.raises(ServiceError) as refusal:
        run_stack(workspace, lambda addresses, schedules: None, project)
    return str(refusal.value)


def test_a_taken_port_is_refused_with_its_holder(workspace: Workspace, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        message = refuse(workspace, write_project(tmp_path, f"http://127.0.0.1:{port}/api"))
    assert f"port {port}" in message
    assert f"process {os.getpid()}" in message


def test_a_workspace_at_work_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    project = write_project(tmp_path, "http://127.0.0.1:1/api")
    presence = ProcessEntry.announce(processes_folder(workspace), kind="run")
    assert f"process {os.getpid()}" in refuse(workspace, project)
    presence.withdraw()
    begin_use(workspace)
    assert "a process uses the Prefect server" in refuse(workspace, project)
    end_use(workspace)


def test_services_that_are_starting_at_one_moment_get_ports_of_their_own() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as another:
        ports = [another.apply(take_port, (FIRST_PORT,)), take_port(FIRST_PORT), take_port(FIRST_PORT)]
    assert len({*ports}) == 3, "nobody listens on any of them yet"
    with multiprocessing.get_context("spawn").Pool(1) as later:
        assert later.apply(take_port, (FIRST_PORT,)) == ports[0], "the first process has ended"


@pytest.mark.parametrize("url", ["", "http://127.0.0.1/api"])
def test_an_address_without_a_port_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(ServiceError, match=r"pyproject\.toml"):
        address_in(write_project(tmp_path, url))


def test_training_on_gpus_needs_one() -> None:
    with pytest.raises(ServiceError, match=r"--train-on gpu, but no GPU is visible here"):
        StackSettings(train_on="gpu")
    assert StackSettings(("0",), train_on="gpu").gpus == ("0",)
