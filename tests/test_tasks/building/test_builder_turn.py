"""A person's build is refused while another holds the dataset; a worker's waits for its turn."""

import threading
import time

import pytest
from prefect import flow

from tasks.building.builder_turn import builder_turn
from tasks.runtime.workspace import Workspace
from tasks.store.errors import DatasetBusyError, DatasetNameError

pytestmark = pytest.mark.usefixtures("prefect_api")


@flow(name="take-turn")
def take_turn(workspace: Workspace, dataset: str, seconds: float, order: list[str], name: str) -> None:
    with builder_turn(workspace, dataset):
        order.append(f"{name} begins")
        time.sleep(seconds)
        order.append(f"{name} ends")


def begin(workspace: Workspace, order: list[str]) -> threading.Thread:
    """Start a build that lasts some seconds, and return once it has begun."""
    thread = threading.Thread(target=take_turn, args=(workspace, "turns", 4.0, order, "first"))
    thread.start()
    while not order:
        time.sleep(0.05)
    return thread


def test_by_hand_it_is_refused_and_names_the_builder(workspace: Workspace) -> None:
    order: list[str] = []
    first = begin(workspace, order)
    with pytest.raises(DatasetBusyError, match="'turns' is being built by process"):
        take_turn(workspace, "turns", 0, order, "second")
    take_turn(workspace, "other", 0, order, "another")
    first.join()
    assert order == ["first begins", "another begins", "another ends", "first ends"]


def test_a_worker_s_run_waits(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    first = begin(workspace, order)
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "of a worker")
    take_turn(workspace, "turns", 0, order, "second")
    first.join()
    assert order == ["first begins", "first ends", "second begins", "second ends"]


def test_a_name_that_is_a_path_makes_no_lock(workspace: Workspace) -> None:
    with pytest.raises(DatasetNameError):
        take_turn(workspace, "../x", 0, [], "escape")
    assert not (workspace.prefect / "slots").exists()
