"""One holder a slot, whoever is killed; the queue is Prefect's, the lock decides."""

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from prefect import flow, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists

from tasks.runtime.workspace import Workspace
from tasks.server.process_guard import is_locked, lock_file
from tasks.server.slots import (
    GPU_POOL,
    device_slots,
    hold_slots,
    host,
    is_deployed,
    is_of_gpu_pool,
    slot_lock,
    visible_gpus,
)

pytestmark = pytest.mark.usefixtures("prefect_api")


@pytest.fixture
def slot(request: pytest.FixtureRequest) -> str:
    """A slot of the test's own on the suite's server."""
    return f"cpu-{request.node.name.replace('[', '-').strip(']')}"


@flow(name="hold")
def hold(workspace: Workspace, names: list[str]) -> dict[str, Any]:
    """Return how many hold each slot within, by Prefect, and whether the lock is held."""
    with hold_slots(workspace, names), hold_slots(workspace, names[:1]):
        return {name: (occupied(name), is_locked(slot_lock(workspace, name))) for name in names}


def occupied(name: str) -> int:
    with get_client(sync_client=True) as client:
        return client.read_global_concurrency_limit_by_name(name).active_slots


def test_a_slot_is_made_held_once_by_one_who_asks_twice_and_given_back(workspace: Workspace, slot: str) -> None:
    names = [f"{slot}-a", f"{slot}-b"]
    assert hold(workspace, names) == dict.fromkeys(names, (1, True))
    assert [occupied(name) for name in names] == [0, 0]
    assert not any(is_locked(slot_lock(workspace, name)) for name in names)


def test_outside_of_a_flow_nothing_is_waited_for(workspace: Workspace, slot: str) -> None:
    with hold_slots(workspace, [slot]):
        assert not slot_lock(workspace, slot).exists()


@flow(name="keep")
def keep(workspace: Workspace, name: str, ready: Any, end: Any) -> float:
    """Hold a slot until told to end; return when it was had."""
    with hold_slots(workspace, [name]):
        had = time.monotonic()
        ready.set()
        end.wait()
        return had


def test_the_second_waits_for_the_first(workspace: Workspace, slot: str) -> None:
    ready, end, results = threading.Event(), threading.Event(), dict[str, float]()
    ended = threading.Event()
    ended.set()
    first = threading.Thread(target=lambda: keep(workspace, slot, ready, end))
    second = threading.Thread(
        target=lambda: results.update(had=keep(workspace, slot, threading.Event(), ended)),
    )
    first.start()
    assert ready.wait(60)
    second.start()
    time.sleep(3)
    assert not results
    released = time.monotonic()
    end.set()
    first.join()
    second.join()
    assert results["had"] >= released
    assert occupied(slot) == 0


def hold_until_killed(workspace: Workspace, name: str, had: Connection) -> None:
    class Told:
        def set(self) -> None:
            had.send(True)

        def wait(self) -> None:
            time.sleep(600)

    keep(workspace, name, Told(), Told())


@pytest.fixture
def killed_holder(workspace: Workspace, slot: str) -> None:
    """A process that was killed while it held the slot."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=hold_until_killed, args=(workspace, slot, theirs))
    process.start()
    assert ours.poll(120)
    assert is_locked(slot_lock(workspace, slot))
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()


def test_a_killed_holder_keeps_nobody_waiting(workspace: Workspace, slot: str, killed_holder: None) -> None:
    assert occupied(slot) == 1  # until its lease has run out
    started = time.monotonic()
    assert hold(workspace, [slot]) == {slot: (1, True)}
    assert time.monotonic() - started < 30


def test_who_gets_the_limit_of_a_killed_run_still_waits_for_the_lock(workspace: Workspace, slot: str) -> None:
    descriptor = lock_file(slot_lock(workspace, slot))
    results: dict[str, Any] = {}
    thread = threading.Thread(target=lambda: results.update(hold(workspace, [slot])))
    thread.start()
    time.sleep(3)
    assert not results
    os.close(descriptor or 0)
    thread.join()
    assert results == {slot: (1, True)}


@pytest.mark.parametrize(
    ("environment", "files", "gpus"),
    [
        ({}, [], []),
        ({}, ["nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"], ["0", "1"]),
        ({"CUDA_VISIBLE_DEVICES": ""}, ["nvidia0"], []),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, ["nvidia0"], []),
        ({"CUDA_VISIBLE_DEVICES": "1, 3"}, ["nvidia0"], ["1", "3"]),
        ({"CUDA_VISIBLE_DEVICES": "2,-1,3"}, [], ["2"]),
        ({"CUDA_VISIBLE_DEVICES": "GPU-1f2e"}, [], ["GPU-1f2e"]),
    ],
)
def test_the_visible_gpus_are_those_of_the_variable_else_of_the_driver(
    tmp_path: Path, environment: dict[str, str], files: list[str], gpus: list[str]
) -> None:
    for name in files:
        (tmp_path / name).touch()
    assert visible_gpus(environment, tmp_path) == gpus


def test_a_device_has_the_same_slot_from_every_worker() -> None:
    assert device_slots("cpu", 1) == [f"cpu-{host()}"]
    assert device_slots("gpu", 1, {"CUDA_VISIBLE_DEVICES": "3"}) == [f"gpu-{host()}-3"]
    both = device_slots("gpu", 2, {"CUDA_VISIBLE_DEVICES": "0,3"})
    assert both == [f"gpu-{host()}-0", f"gpu-{host()}-3"]


@flow(name="look")
def look() -> tuple[bool, bool]:
    return part_of_it()


@flow(name="part")
def part_of_it() -> tuple[bool, bool]:
    return is_of_gpu_pool(), is_deployed()


@pytest.mark.parametrize("pool", [GPU_POOL, "local"])
def test_a_run_and_its_parts_know_the_work_pool_that_they_were_taken_from(
    pool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert look() == (False, False)
    with get_client(sync_client=True) as client:
        with contextlib.suppress(ObjectAlreadyExists):
            client.create_work_pool(WorkPoolCreate(name=pool, type="process"))
        deployment = client.create_deployment(
            flow_id=client.create_flow(look), name=f"look-{pool}", work_pool_name=pool, entrypoint="a:b"
        )
        run = client.create_flow_run_from_deployment(deployment)
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", str(run.id))
    from prefect.flow_engine import run_flow

    assert run_flow(look, flow_run=run) == (pool == GPU_POOL, True)
