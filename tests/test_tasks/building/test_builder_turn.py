"""A person's build is refused while another holds the dataset; a worker's waits for its turn."""

import threading
import time

import pytest
from prefect import flow

from tasks.building.builder_turn import builder_turn
from tasks.runtime.workspace import Workspace
from tasks.store.errors import DatasetBusyError, DatasetNameError

pytestmark = pytest.mark.usefixtures("prefect_api")


@flow(name="take-turn", validate_parameters=False)  # the list is the test's own
def take_turn(workspace: Workspace, dataset: str, end: threading.Event | None, order: list[str], name: str) -> None:
    with builder_turn(workspace, dataset):
        order.append(f"{name} begins")
        if end is not None:
            end.wait()
        order.append(f"{name} ends")


def begin(workspace: Workspace, order: list[str], end: threading.Event) -> threading.Thread:
    """Start a build that lasts until it is told to end, and return once it has begun."""
    thread = threading.Thread(target=take_turn, args=(workspace, "turns", end, order, "first"))
    thread.start()
    while not order:
        time.sleep(0.05)
    return thread


def test_by_hand_it_is_refused_and_names_the_builder(workspace: Workspace) -> None:
    order: list[str] = []
    end = threading.Event()
    first = begin(workspace, order, end)
    with pytest.raises(DatasetBusyError, match="'turns' is being built by process"):
        take_turn(workspace, "turns", None, order, "second")
    take_turn(workspace, "other", None, order, "another")
    end.set()
    first.join()
    assert order == ["first begins", "another begins", "another ends", "first ends"]


def test_a_worker_s_run_waits(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    end = threading.Event()
    first = begin(workspace, order, end)
    threading.Timer(3, end.set).start()
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "of a worker")
    take_turn(workspace, "turns", None, order, "second")
    first.join()
    assert order == ["first begins", "first ends", "second begins", "second ends"]


def test_a_name_that_is_a_path_makes_no_lock(workspace: Workspace) -> None:
    with pytest.raises(DatasetNameError):
        take_turn(workspace, "../x", None, [], "escape")
    assert not (workspace.prefect / "slots").exists()
