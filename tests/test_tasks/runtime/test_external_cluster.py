"""A cluster given by its address: what is wrong with it is said with the address, in seconds."""

import os
import socket
import threading
import time
from itertools import islice
from pathlib import Path

import pytest

from tasks.runtime import cluster as cluster_module
from tasks.runtime.cluster import ADDRESS_ENVIRONMENT_NAME, ITEMS_WORTH_A_CLUSTER, ClusterError, cluster
from tests.dask_processes import outside_cluster

MOST_SECONDS = 10


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait two seconds for a cluster; what is waited by default is within the promise."""
    assert cluster_module.MOST_SECONDS_TO_CONNECT + cluster_module.GRACE_S < MOST_SECONDS
    monkeypatch.setattr(cluster_module, "MOST_SECONDS_TO_CONNECT", 2.0)


def nap(_: int) -> int:
    time.sleep(0.2)
    return os.getpid()


def refusal(monkeypatch: pytest.MonkeyPatch, address: str) -> str:
    """The error of a cluster at that address, which must come in time."""
    monkeypatch.setenv(ADDRESS_ENVIRONMENT_NAME, address)
    begun = time.monotonic()
    with pytest.raises(ClusterError) as caught, cluster(ITEMS_WORTH_A_CLUSTER):
        pass
    assert time.monotonic() - begun < MOST_SECONDS
    assert f"{ADDRESS_ENVIRONMENT_NAME}={address}" in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("address", "reason"),
    [("127.0.0.1", "missing port"), ("https://127.0.0.1:8786", "unknown address scheme")],
)
def test_an_address_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch, address: str, reason: str) -> None:
    message = refusal(monkeypatch, address)
    assert reason in message
    assert "unset" in message


def test_nobody_there_or_somebody_else_is_said(impatient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        assert "no answer in 2 s" in refusal(monkeypatch, address)  # it accepts and says nothing

        def speak() -> None:
            with listener.accept()[0] as connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        listener.accept()[0].close()  # the one that got no answer
        speaker = threading.Thread(target=speak)
        speaker.start()
        assert "another protocol" in refusal(monkeypatch, address)
        speaker.join()
    assert "Timed out" in refusal(monkeypatch, address)


def test_a_scheduler_without_workers_and_one_that_dies_are_said(
    impatient: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with outside_cluster(tmp_path, workers=0) as outside:
        assert f"start some with `dask worker {outside.address}`" in refusal(monkeypatch, outside.address)
    (tmp_path / "scheduler.json").unlink()
    with outside_cluster(tmp_path, workers=2) as outside:
        monkeypatch.setenv(ADDRESS_ENVIRONMENT_NAME, outside.address)
        with cluster(ITEMS_WORTH_A_CLUSTER) as executor:
            results = executor.map(nap, range(500))
            assert len(set(islice(results, 12))) == 2
            outside.scheduler.kill()
            begun = time.monotonic()
            with pytest.raises(ClusterError, match=f"scheduler at {outside.address} is lost"):
                list(results)
        assert time.monotonic() - begun < MOST_SECONDS


def test_jobs_without_any_worker_are_given_up_after_a_while(
    impatient: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cluster_module, "MOST_SECONDS_WITHOUT_WORKERS", 0.5)
    with outside_cluster(tmp_path, workers=1) as outside:
        monkeypatch.setenv(ADDRESS_ENVIRONMENT_NAME, outside.address)
        with cluster(ITEMS_WORTH_A_CLUSTER) as executor:
            results = executor.map(nap, range(500))
            next(results)
            for worker in outside.workers:
                worker.terminate()
            with pytest.raises(ClusterError, match=f"scheduler at {outside.address} has had no worker for 0.5 s"):
                list(results)


def test_workers_without_the_program_are_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with outside_cluster(tmp_path, workers=1, hidden="tasks") as outside:
        assert "cannot import this program" in refusal(monkeypatch, outside.address)
