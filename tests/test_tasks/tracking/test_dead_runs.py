"""Runs of processes that died, and of processes that live or are of other machines."""

import os
import platform
import signal
import subprocess
import sys

import psutil
import pytest

from tasks.runtime.workspace import Workspace
from tasks.tracking.database import open_client
from tasks.tracking.dead_runs import is_dead, this_process
from tasks.tracking.mlflow_runs import open_run

_RECORD = """
import sys
from pathlib import Path
from tasks.runtime.workspace import Workspace
from tasks.tracking.mlflow_runs import open_run

with open_run(Workspace(Path(sys.argv[1])), problem="galaxy", run_name="r", params={}, tags={}, dataset=None) as run:
    print(run.id, flush=True)
    input()
"""


def start(workspace: Workspace, run_id: str | None = None):
    return open_run(workspace, problem="galaxy", run_name="r", params={}, tags={}, dataset=None, run_id=run_id)


def test_a_run_whose_process_was_killed_is_marked_by_the_next_and_can_be_resumed(tracked_workspace: Workspace) -> None:
    client = open_client(tracked_workspace)
    command = [sys.executable, "-c", _RECORD, str(tracked_workspace.root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        killed = process.stdout.readline().strip()
        with start(tracked_workspace) as run:
            assert {client.get_run(each).info.status for each in (killed, run.id)} == {"RUNNING"}
            process.send_signal(signal.SIGKILL)
            process.wait()
            with_dead = client.get_run(killed).info.status
    assert with_dead == "RUNNING"
    with start(tracked_workspace):
        assert client.get_run(killed).info.status == "KILLED"
    with start(tracked_workspace, killed):
        assert client.get_run(killed).info.status == "RUNNING"
    assert client.get_run(killed).info.status == "FINISHED"


def test_of_this_machine_a_process_is_dead_if_its_number_is_free_or_a_younger_one_s() -> None:
    began = psutil.Process().create_time()
    free = next(number for number in range(4_000_000, 1_000_000, -1) if not psutil.pid_exists(number))
    assert not is_dead(this_process())
    assert is_dead(f"{platform.node()} {free} {began}")
    assert is_dead(f"{platform.node()} {os.getpid()} {began - 100}")
    assert not is_dead(f"{platform.node()} {os.getpid()} {began + 86400}")  # the clock was put back since


@pytest.mark.parametrize("process", ["", "elsewhere 1 0.0"])
def test_a_run_without_a_known_process_of_this_machine_is_left_alone(process: str) -> None:
    assert not is_dead(process)
