"""The workers of a local cluster: there while there is work, gone while an executor rests."""

import os

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


def test_little_work_stays_in_this_process() -> None:
    with cluster(ITEMS_WORTH_A_CLUSTER - 1) as executor:
        assert isinstance(executor, InProcess)
        assert list(executor.map(pid_of, [1])) == [os.getpid()]
        executor.rest()
