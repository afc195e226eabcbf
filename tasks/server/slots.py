"""Slots: one training a device, one builder a dataset; who comes later waits.

A slot is an operating-system lock in the workspace, which a killed process cannot keep, and beside it a global
concurrency limit of Prefect, where the queue can be seen. A limit whose holder was killed is free again when its lease
has run out, ``LEASE_S`` later at most and a round of the server's service; the lock is free at once, and it decides.

A thread that holds a slot may take it again, so a flow can hold a device over trainings that take it themselves.
"""

import contextlib
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any
from uuid import UUID

from tasks.runtime.progress import SHOWN
from tasks.runtime.run_log import run_logger
from tasks.runtime.workspace import Workspace
from tasks.server.process_guard import is_locked, lock_file

GPU_POOL = "gpu"
"""Work pool whose runs fit on a GPU."""
WORKERS_RUN = "PREFECT__FLOW_RUN_ID"
"""Environment variable by which a worker of Prefect tells a process its flow run."""
LEASE_S = 60.0
"""The shortest lease that Prefect gives."""

_held: ContextVar[frozenset[str]] = ContextVar("held slots", default=frozenset())


def host() -> str:
    """Return the name of this machine, as slots and workers have it."""
    return platform.node().partition(".")[0] or "localhost"


def visible_gpus(environment: Mapping[str, str], devices: Path = Path("/dev")) -> list[str]:
    """Return the GPUs that a process with this environment may use, as ``CUDA_VISIBLE_DEVICES`` names them.

    Without that variable they are the numbers of the NVIDIA driver's device files in the folder `devices`.
    """
    chosen = environment.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return [str(number) for number in range(len(list(devices.glob("nvidia[0-9]*"))))]
    names = [name.strip() for name in chosen.split(",")]
    return names[: names.index("-1")] if "-1" in names else [name for name in names if name]


def device_slots(kind: str, count: int, environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the names of the slots of a fit: of this machine's processor, or of each of its first `count` GPUs."""
    if kind == "cpu":
        return [f"cpu-{host()}"]
    named = visible_gpus(environment)[:count]
    return [f"gpu-{host()}-{name}" for name in named or map(str, range(count))]


def builder_slot(dataset: str) -> str:
    """Return the name of the slot of a dataset's builder."""
    return f"builder-{dataset}"


def is_deployed() -> bool:
    """Return whether this process is a worker's: nobody sits before it."""
    return WORKERS_RUN in os.environ


def is_of_gpu_pool() -> bool:
    """Return whether the flow run of this process was taken from the work pool `GPU_POOL`."""
    from prefect import get_client

    flow_run = _flow_run()
    if flow_run is None:
        return False
    if is_deployed():  # the present one may be a part of it, which has no pool
        with get_client(sync_client=True) as client:
            flow_run = client.read_flow_run(UUID(os.environ[WORKERS_RUN]))
    return bool(flow_run.work_pool_name == GPU_POOL)


@contextlib.contextmanager
def hold_slots(workspace: Workspace, names: Sequence[str], *, wait: bool = True) -> Iterator[None]:
    """Wait for slots and hold them in the block; outside of a flow run there is nothing to wait for.

    All are taken at once, so two flows that want several do not wait for each other. Without `wait`, slots of which
    one is taken are left alone: the block runs without them.
    """
    wanted = sorted(set(names) - _held.get())
    taken = any(is_locked(slot_lock(workspace, name)) for name in wanted)
    if not wanted or _flow_run() is None or (taken and not wait):
        yield
        return
    with contextlib.ExitStack() as stack:
        stack.enter_context(_queue(workspace, wanted))
        for name in wanted:
            descriptor = lock_file(slot_lock(workspace, name))
            stack.callback(os.close, descriptor)  # type: ignore[arg-type]  # waiting, it is never None
        stack.callback(_held.reset, _held.set(_held.get() | set(wanted)))
        yield


def slot_lock(workspace: Workspace, name: str) -> Path:
    """Return the lock of a slot."""
    return workspace.prefect / "slots" / f"{name}.lock"


def create_limits(client: Any, names: Sequence[str]) -> None:
    """Create the concurrency limits that do not exist; ``client`` is Prefect's, without ``async``."""
    from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
    from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

    for name in names:
        try:
            client.read_global_concurrency_limit_by_name(name)
        except ObjectNotFound:
            with contextlib.suppress(ObjectAlreadyExists):
                client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=1))


@contextlib.contextmanager
def _queue(workspace: Workspace, names: Sequence[str]) -> Iterator[None]:
    """Wait in the queues of Prefect; not where the process that holds a place was killed."""
    from prefect import get_client
    from prefect.concurrency.sync import concurrency

    with get_client(sync_client=True) as client:
        create_limits(client, names)
        taken = [name for name in names if client.read_global_concurrency_limit_by_name(name).active_slots]
    if taken and not any(is_locked(slot_lock(workspace, name)) for name in taken):
        yield  # the limit is that of a killed run; the lock alone decides
        return
    for name in taken:
        run_logger().info("waiting for %s, which another run holds", name, extra=SHOWN)
    with concurrency(list(names), strict=True, lease_duration=LEASE_S, raise_on_lease_renewal_failure=False):
        yield


def _flow_run() -> Any:
    """Return Prefect's record of the flow run that this code is part of, or None."""
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    return None if context is None else context.flow_run
