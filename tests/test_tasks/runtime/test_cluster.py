"""The workers of a local cluster: there while there is work, gone while an executor rests."""

import os
import signal
import time
from pathlib import Path

import dask
import psutil
import pytest

from tasks.runtime.cluster import ADDRESS_ENVIRONMENT_NAME, ITEMS_WORTH_A_CLUSTER, InProcess, cluster


def pid_of(_: int) -> int:
    return os.getpid()


def is_profiled(_: int) -> bool:
    return bool(dask.config.get("distributed.worker.profile.enabled"))


def test_a_resting_executor_has_no_worker_and_wakes_for_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ADDRESS_ENVIRONMENT_NAME, raising=False)
    with cluster(ITEMS_WORTH_A_CLUSTER) as executor:
        workers = set(executor.map(pid_of, range(8)))
        assert os.getpid() not in workers
        executor.rest()
        assert not any(psutil.pid_exists(pid) for pid in workers)
        again = set(executor.map(pid_of, range(8)))
        assert again.isdisjoint(workers | {os.getpid()})
        assert len(again) <= executor.workers
        assert not any(executor.map(is_profiled, range(8)))


def end_oneself_at_first(folder: str) -> int:
    """End this worker as an operator would, unless two have done so."""
    for name in ("one", "two"):
        try:
            Path(folder, name).touch(exist_ok=False)
        except FileExistsError:
            continue
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    return os.getpid()


def test_workers_that_were_asked_to_end_are_replaced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(ADDRESS_ENVIRONMENT_NAME, raising=False)
    with cluster(ITEMS_WORTH_A_CLUSTER) as executor:
        first = set(executor.map(pid_of, range(8)))
        later = set(executor.map(end_oneself_at_first, [str(tmp_path)] * 4))
    assert later
    assert later.isdisjoint(first)


def test_little_work_stays_in_this_process() -> None:
    with cluster(ITEMS_WORTH_A_CLUSTER - 1) as executor:
        assert isinstance(executor, InProcess)
        assert list(executor.map(pid_of, [1])) == [os.getpid()]
        executor.rest()
