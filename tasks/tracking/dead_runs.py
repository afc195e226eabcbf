"""MLflow runs whose process died: they are marked as killed, so that no run is said to be running that is not."""

import os
import platform
from typing import TYPE_CHECKING

import psutil

from tasks.runtime.processes import is_living

if TYPE_CHECKING:
    from mlflow import MlflowClient

PROCESS = "process"
"""Tag of the process that records a run: machine, number, and when it began in seconds since 1970."""


def this_process() -> str:
    """Return the value of `PROCESS` for this process."""
    return f"{platform.node()} {os.getpid()} {psutil.Process().create_time():.2f}"


def mark_killed(client: "MlflowClient", experiment_id: str) -> list[str]:
    """Mark the runs of an experiment as killed whose process, one of this machine, is dead; return their ids.

    A run that is resumed later is running again.
    """
    running = client.search_runs([experiment_id], "attributes.status = 'RUNNING'")
    dead = [run.info.run_id for run in running if is_dead(run.data.tags.get(PROCESS, ""))]
    for run_id in dead:
        client.set_terminated(run_id, "KILLED")
    return dead


def is_dead(process: str) -> bool:
    """Return whether a process is known to be dead: it was one of this machine, and its number is free or another's."""
    machine, _, words = process.partition(" ")
    if machine != platform.node():
        return False
    number, began = words.split()
    return not is_living(int(number), float(began))
