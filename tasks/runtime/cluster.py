"""Executors of batches: this process for little work, a Dask cluster for much."""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeVar

import dask
from distributed import Client, LocalCluster, Security, WorkerPlugin, as_completed
from distributed.comm import connect as open_comm

from tasks.runtime.cluster_file import SUFFIX, ClusterFileError, read_cluster_file, started_cluster
from tasks.runtime.provenance import code_version

ADDRESS_ENVIRONMENT_NAME = "STARLOOM_DASK_ADDRESS"
ITEMS_WORTH_A_CLUSTER = 200
# Two allocator arenas, because each of a worker's many threads would keep its own. High thresholds, because with Dask's
# own settings the memory of every image is returned to the system and mapped again (a fifth of a visit's time). No
# profiler: up to Python 3.11.8 a sample taken while a thread starts can block the process for ever (cpython 106883).
WORKER_SETTINGS = {
    "distributed.nanny.pre-spawn-environ.MALLOC_ARENA_MAX": 2,
    "distributed.nanny.pre-spawn-environ.MALLOC_MMAP_THRESHOLD_": 16 << 20,
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": 16 << 20,
    "distributed.worker.profile.enabled": False,
    "distributed.deploy.lost-worker-timeout": "1s",  # after it a local cluster may start another in its place
}

MOST_SECONDS_TO_END = 30.0
MOST_SECONDS_TO_CONNECT = 8.0
"""To a cluster given by its address: for its scheduler, and for a first worker."""
GRACE_S = 0.5
"""Later than a connection that cannot be made at all, which says more of the reason."""

# Dask logs every joining and leaving worker, and a closed connection as an error with its traceback.
TALKATIVE = ("distributed", "distributed.client", "tornado.application")

WATCH_S = 1.0
"""Time between two looks at the workers of running jobs."""
MOST_SECONDS_BACK = 60.0
"""By which the wall clock may be set back while jobs run: messages of the cluster wait for so long."""
MOST_SECONDS_WITHOUT_WORKERS = 60.0
"""Of a cluster given by its address, whose workers are started elsewhere."""
_REMEDY = (
    "with one that runs and has workers, the same command again goes on from what is finished "
    f"({ADDRESS_ENVIRONMENT_NAME} names it, unset it to use this machine's cores)"
)

Job = TypeVar("Job")
Result = TypeVar("Result")


class ClusterError(RuntimeError):
    """The Dask cluster cannot be used; the message names its address and says what to do."""


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
    """Runs jobs on the workers of a Dask cluster, a bounded number at a time.

    Parameters
    ----------
    client : distributed.Client
    workers : int, optional
        Number that was asked for; None: that of those there are.
    patience_s : float, optional
        Time without any worker after which the jobs are given up; None for a local cluster, whose workers come back.
    """

    def __init__(self, client: Client, workers: int | None = None, patience_s: float | None = None) -> None:
        self.client = client
        self.address = client.scheduler.address
        self.workers = workers or max(1, len(client.scheduler_info(n_workers=-1)["workers"]))
        self.patience_s = patience_s

    def map(
        self, function: Callable[[Job], Result], jobs: Iterable[Job], at_once: int | None = None
    ) -> Iterator[Result]:
        """Yield results as they finish; a worker holds at most two jobs, and those of a lost worker run again.

        Raises
        ------
        ClusterError
            The connection to the scheduler is lost, or all workers of a cluster that is not local; or the clock of
            this machine went back by more than `MOST_SECONDS_BACK`.
        """
        if self.client.cluster is not None:
            self.client.cluster.scale(self.workers)  # after `rest` there are none
        waiting = iter(jobs)
        running = as_completed(with_results=True)
        for job in islice(waiting, min(at_once or 2 * self.workers, 2 * self.workers)):
            running.add(self._submit(function, job))
        try:
            with WorkerWatch(self.client, self.workers, running, self.patience_s) as watch:
                for future, result in running:
                    if isinstance(result, CancelledError):  # by the watch, or because the scheduler is lost
                        raise ClusterError(watch.gave_up or f"the Dask scheduler at {self.address} is lost; {_REMEDY}")
                    future.release()
                    yield result
                    for job in islice(waiting, 1):
                        running.add(self._submit(function, job))
        finally:
            running.clear()

    def rest(self) -> None:
        """Stop the workers of a local cluster; others stay, being shared or having waited in a queue."""
        local = self.client.cluster
        if not isinstance(local, LocalCluster):
            return
        local.scale(0)
        deadline = time.monotonic() + MOST_SECONDS_TO_END
        while local.workers and time.monotonic() < deadline:
            time.sleep(0.05)

    def _submit(self, function: Callable[[Job], Result], job: Job) -> Any:
        return self.client.submit(function, job, pure=False)


class WorkerWatch:
    """Sees to it, in a thread, that running jobs have workers, and answers.

    Dask starts a worker that was killed again, but none that was asked to end (SIGTERM), and jobs without any worker
    wait for ever. Workers of a cluster that this process started are asked for again. Where there is a patience, the
    jobs are cancelled once there has been no worker for so long.

    Dask's processes send their messages at times of the wall clock: after it went back by a day, those that wait are
    sent a day later. Then too the jobs are cancelled.

    Attributes
    ----------
    gave_up : str
        Why the jobs were cancelled; empty if they were not.
    """

    def __init__(self, client: Client, workers: int, running: Any, patience_s: float | None) -> None:
        self.client, self.workers, self.running, self.patience_s = client, workers, running, patience_s
        self.gave_up = ""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="worker-watch", daemon=True)

    def __enter__(self) -> "WorkerWatch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        there, ahead_s = time.monotonic(), _wall_clock_ahead()
        while not self._ended.wait(WATCH_S):
            back_s = ahead_s - _wall_clock_ahead()
            if back_s > MOST_SECONDS_BACK:
                self._give_up(
                    f"the clock of this machine went back by {back_s:,.0f} s, and Dask's messages wait until it is "
                    "again what it was; the same command again goes on from what is finished"
                )
                return
            try:
                count = len(self.client.scheduler_info(n_workers=-1)["workers"])
            except OSError:  # the scheduler is lost, for which the client cancels the jobs
                return
            if count:
                there = time.monotonic()
            if self.client.cluster is not None and count < self.workers:
                self.client.cluster.scale(self.workers)
            if self.patience_s is not None and time.monotonic() - there > self.patience_s:
                address = self.client.scheduler.address
                self._give_up(f"the Dask scheduler at {address} has had no worker for {self.patience_s:g} s; {_REMEDY}")
                return

    def _give_up(self, reason: str) -> None:
        self.gave_up = reason
        self.client.cancel(list(self.running.futures))


def _wall_clock_ahead() -> float:
    """Return the difference of the wall clock and one that is never set, in seconds."""
    return time.time() - time.monotonic()


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


def connect(address: str) -> Client:
    """Connect to the cluster at an address.

    Raises
    ------
    ClusterError
        No scheduler answers there, none of its workers came within `MOST_SECONDS_TO_CONNECT`, or they lack this
        program.
    """
    without = f"or unset {ADDRESS_ENVIRONMENT_NAME} to use this machine's cores"
    begun = time.monotonic()
    fault = asyncio.run(_scheduler_fault(address))
    if fault is not None:
        raise ClusterError(
            f"no Dask scheduler answers at {ADDRESS_ENVIRONMENT_NAME}={address} ({fault}): start one there with "
            f"`dask scheduler`, {without}"
        )
    client = Client(address, timeout=MOST_SECONDS_TO_CONNECT)
    try:
        client.wait_for_workers(1, timeout=max(1.0, begun + MOST_SECONDS_TO_CONNECT - time.monotonic()))
    except TimeoutError:
        client.close()
        raise ClusterError(
            f"the Dask scheduler at {ADDRESS_ENVIRONMENT_NAME}={address} has no workers: start some with "
            f"`dask worker {address}`, {without}"
        ) from None
    _require_program(client, address)
    return client


def _require_program(client: Client, address: str) -> None:
    """Refuse workers that cannot import this program, on which a job would wait for ever; warn of other versions."""

    def version() -> str | None:  # nested, and so sent by value
        try:
            from tasks.runtime.provenance import code_version
        except ImportError:
            return None
        return code_version()

    versions = client.run(version)
    without = sorted(worker for worker, there in versions.items() if there is None)
    if without:
        client.close()
        raise ClusterError(
            f"{len(without)} of {len(versions)} workers of {ADDRESS_ENVIRONMENT_NAME}={address} cannot import this "
            f"program (the first: {without[0]}): install starloom where they run"
        )
    others = {there for there in versions.values() if there != code_version()}
    if others:
        logging.getLogger(__name__).warning(
            "workers of %s run another version of this program (%s, here %s): results may differ",
            address,
            ", ".join(sorted(map(str, others))),
            code_version(),
        )


async def _scheduler_fault(address: str) -> str | None:
    """Return why no scheduler can be spoken to; None if there is one.

    A `Client` would wait for ever for one that accepts and says nothing, and its thread outlives its failure.
    """
    try:
        settings = Security().get_connection_args("client")
        comm = await asyncio.wait_for(
            open_comm(address, timeout=MOST_SECONDS_TO_CONNECT, **settings), MOST_SECONDS_TO_CONNECT + GRACE_S
        )
        await comm.close()
    except (OSError, ValueError) as error:
        return " ".join(str(error).split()) or f"no answer in {MOST_SECONDS_TO_CONNECT:.0f} s"
    except MemoryError:  # the first bytes of another protocol, read as a length
        return "what answers speaks another protocol"
    return None


@contextmanager
def cluster_of_file(path: Path) -> Iterator[OnDask]:
    """Start the cluster of a cluster file and wait for its first worker; it ends with the block.

    Raises
    ------
    ClusterFileError
        The file cannot be used, or no worker came within its `wait_s`.
    ClusterError
        The workers lack this program.
    """
    file = read_cluster_file(path)
    with started_cluster(path, file) as client:
        try:
            client.wait_for_workers(1, timeout=file.wait_s)
        except TimeoutError:
            raise ClusterFileError(
                f"no worker of {path} came in {file.wait_s:g} s: look at the queue and at the log of a job, or unset "
                f"{ADDRESS_ENVIRONMENT_NAME} to use this machine's cores"
            ) from None
        _require_program(client, str(path))
        yield OnDask(client, file.workers, file.wait_s)


@contextmanager
def cluster(items: int) -> Iterator[Executor]:
    """Open an executor for a number of work items.

    Below `ITEMS_WORTH_A_CLUSTER` it is this process; otherwise the cluster at ``STARLOOM_DASK_ADDRESS``, or that of a
    cluster file (`tasks.runtime.cluster_file`) whose path the variable has, or a local one with one worker process per
    core.

    Raises
    ------
    ClusterError
        The cluster at ``STARLOOM_DASK_ADDRESS`` does not answer or has no workers.
    ClusterFileError
        The cluster file cannot be used.
    """
    if items < ITEMS_WORTH_A_CLUSTER:
        yield InProcess()
        return
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    address = os.environ.get(ADDRESS_ENVIRONMENT_NAME)
    if address and address.endswith(SUFFIX):
        with cluster_of_file(Path(address)) as executor:
            yield executor
        return
    if address:
        with connect(address) as client:
            yield OnDask(client, patience_s=MOST_SECONDS_WITHOUT_WORKERS)
        return
    with (
        dask.config.set(WORKER_SETTINGS),
        LocalCluster(
            n_workers=max(2, os.cpu_count() or 1),
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            host="127.0.0.1",
            memory_limit=0,
            silence_logs=logging.CRITICAL,
        ) as local,
        Client(local) as client,
    ):
        client.register_plugin(EndWithParent())
        yield OnDask(client)
