"""Executors of batches: this process for little work, a Dask cluster for much."""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, Protocol, TypeVar

import dask
from distributed import Client, LocalCluster, WorkerPlugin, as_completed

ADDRESS_ENVIRONMENT_NAME = "STARLOOM_DASK_ADDRESS"
ITEMS_WORTH_A_CLUSTER = 200
# Two allocator arenas, because each of a worker's many threads would keep its own. High thresholds, because with Dask's
# own settings the memory of every image is returned to the system and mapped again (a fifth of a visit's time).
WORKER_MEMORY = {
    "distributed.nanny.pre-spawn-environ.MALLOC_ARENA_MAX": 2,
    "distributed.nanny.pre-spawn-environ.MALLOC_MMAP_THRESHOLD_": 16 << 20,
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": 16 << 20,
}

MOST_SECONDS_TO_END = 30.0

Job = TypeVar("Job")
Result = TypeVar("Result")


class Executor(Protocol):
    """Runs a function over jobs and yields the results as they finish."""

    workers: int

    def map(
        self, function: Callable[[Job], Result], jobs: Iterable[Job], at_once: int | None = None
    ) -> Iterator[Result]:
        """Yield ``function(job)`` for every job as they finish, never more than `at_once` running."""
        ...

    def rest(self) -> None:
        """Stop the worker processes of this executor; a later job starts them again."""
        ...


class InProcess:
    """Runs jobs one after the other in this process."""

    workers = 1

    def map(
        self, function: Callable[[Job], Result], jobs: Iterable[Job], at_once: int | None = None
    ) -> Iterator[Result]:
        """Yield ``function(job)`` for every job, in order."""
        return map(function, jobs)

    def rest(self) -> None:
        """Do nothing: there are no worker processes."""


class OnDask:
    """Runs jobs on the workers of a Dask cluster, a bounded number at a time."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.workers = max(1, len(client.scheduler_info(n_workers=-1)["workers"]))

    def map(
        self, function: Callable[[Job], Result], jobs: Iterable[Job], at_once: int | None = None
    ) -> Iterator[Result]:
        """Yield results as they finish; a worker holds at most two jobs, and those of a lost worker run again."""
        if self.client.cluster is not None:
            self.client.cluster.scale(self.workers)  # after `rest` there are none
        waiting = iter(jobs)
        running = as_completed(with_results=True)
        for job in islice(waiting, min(at_once or 2 * self.workers, 2 * self.workers)):
            running.add(self._submit(function, job))
        try:
            for future, result in running:
                future.release()
                yield result
                for job in islice(waiting, 1):
                    running.add(self._submit(function, job))
        finally:
            running.clear()

    def rest(self) -> None:
        """Stop the workers of a local cluster; a cluster given by its address is shared and stays."""
        local = self.client.cluster
        if local is None:
            return
        local.scale(0)
        deadline = time.monotonic() + MOST_SECONDS_TO_END
        while local.workers and time.monotonic() < deadline:
            time.sleep(0.05)

    def _submit(self, function: Callable[[Job], Result], job: Job) -> Any:
        return self.client.submit(function, job, pure=False)


class EndWithParent(WorkerPlugin):
    """Ends a worker within half a second of its parent process, even if that was killed."""

    name = "end-with-parent"

    def setup(self, worker: Any) -> None:
        """Watch the parent process in a thread of the worker."""
        parent = os.getppid()

        def watch() -> None:
            while os.getppid() == parent:
                time.sleep(0.5)
            os._exit(1)

        threading.Thread(target=watch, name=self.name, daemon=True).start()


@contextmanager
def cluster(items: int) -> Iterator[Executor]:
    """Open an executor for a number of work items.

    Below `ITEMS_WORTH_A_CLUSTER` it is this process; otherwise the cluster at ``STARLOOM_DASK_ADDRESS``, or a local one
    with one worker process per core.
    """
    if items < ITEMS_WORTH_A_CLUSTER:
        yield InProcess()
        return
    # Dask logs every joining and leaving worker, and a closed connection as an error.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    address = os.environ.get(ADDRESS_ENVIRONMENT_NAME)
    if address:
        with Client(address) as client:
            yield OnDask(client)
        return
    with (
        dask.config.set(WORKER_MEMORY),
        LocalCluster(
            n_workers=max(2, os.cpu_count() or 1),
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            host="127.0.0.1",
            memory_limit=0,
        ) as local,
        Client(local) as client,
    ):
        client.register_plugin(EndWithParent())
        yield OnDask(client)
