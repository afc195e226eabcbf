"""What goes wrong, by name: each disturbs one run of a flow and says what the person must be told of it.

A fault is a context: it disturbs the first run, gives what came of it, and is still there until `Disturbed.mend` is
called; then the same command is given again.
"""

import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import psutil

from tasks.runtime.cluster import ADDRESS_ENVIRONMENT_NAME
from tasks.runtime.workspace import Workspace
from tasks.server.prefect_server import read_record
from tasks.tracking.model_registry import resolve_model
from tests.dask_processes import outside_cluster
from tests.drill.cases import CONNECTIONS, Case
from tests.drill.clock import clock_settings, no_compiler
from tests.drill.flow_process import Ended, FlowProcess
from tests.drill.group import Group
from tests.drill.small_disk import fill, free, no_mount, small_disk
from tests.drill.trial import Trial
from tests.postgres import missing_postgres
from tests.server_process import Server

KILLED = -signal.SIGKILL


@dataclass(frozen=True)
class Disturbed:
    """What came of a disturbed run.

    Attributes
    ----------
    ended : Ended
    workspace : Workspace
        Where it is now.
    told : str, optional
        Pattern of the last line of stderr of a run that fails with exit code 1.
    code : int, optional
        Exit code that is expected where nothing has to be told.
    may_finish : bool
        The run may also go through, where the fault came too late to matter.
    damage : str, optional
        Pattern of the one problem that `verify` has to name; None: everything that is published is whole.
    mend : callable
        Takes the fault away.
    """

    ended: Ended
    workspace: Workspace
    told: str | None = None
    code: int | None = None
    may_finish: bool = False
    damage: str | None = None
    mend: Callable[[], None] = lambda: None

    def unexplained(self) -> list[str]:
        """Return what the person was not told, or told wrongly."""
        ended = self.ended
        if self.told is not None and ended.failure is not None and re.search(self.told, ended.failure):
            return []
        if self.code is not None or (self.may_finish and ended.code == 0):
            expected = 0 if self.code is None else self.code
            return [] if ended.code == expected else [f"exit {ended.code}, not {expected}: {ended.said}"]
        if ended.code != 1:
            return [f"exit {ended.code}, not 1: {ended.said}"]
        if not re.search(self.told or "", ended.said) or not ended.said.startswith("error: "):
            return [f"the error does not say {self.told!r}: {ended.said}"]
        return []


Disturbance = Callable[[Trial], AbstractContextManager[Disturbed]]


@dataclass(frozen=True)
class Fault:
    """A fault by name.

    Attributes
    ----------
    name, says : str
        The name, and a sentence for the table.
    disturb : callable
    unfit : callable
        Returns why a flow cannot meet it; None if it can.
    changes : tuple of str
        What may differ from the undisturbed run: entries of the workspace's state and of the summary.
    where : str, optional
        The one point at which it is met; None: at the flow's points in turn, and at random ones.
    asked_again : int
        Requests to the cutout service that may be repeated; by default those under way, and as many whose answers are
        being kept, since a build has two threads a connection.
    in_group, on_store : bool
        The trial's runs and models go to a group's servers; its workspace is on an object store, empty at first.
    """

    name: str
    says: str
    disturb: Disturbance
    unfit: Callable[[Case], str | None] = lambda case: None
    changes: tuple[str, ...] = ()
    where: str | None = None
    asked_again: int = 2 * CONNECTIONS
    in_group: bool = False
    on_store: bool = False


@contextmanager
def _kill_flow(trial: Trial) -> Iterator[Disturbed]:
    process = trial.start()
    trial.wait(process)
    yield Disturbed(process.kill(), trial.workspace, code=KILLED)


@contextmanager
def _kill_worker(trial: Trial) -> Iterator[Disturbed]:
    process = trial.start()
    trial.wait(process)
    workers = _dask_workers(process)
    trial.require(bool(workers), "it has no worker to kill")
    workers[0].kill()
    yield Disturbed(process.end(), trial.workspace, code=0)


def _dask_workers(process: FlowProcess) -> list[psutil.Process]:
    """Return the worker processes of a local cluster, which its nannies start again."""
    children = psutil.Process(process.process.pid).children(recursive=True)
    return [child for child in children if any("spawn_main" in word for word in child.cmdline())]


@contextmanager
def _kill_scheduler(trial: Trial) -> Iterator[Disturbed]:
    with outside_cluster(trial.folder, workers=2) as outside:
        process = trial.start({ADDRESS_ENVIRONMENT_NAME: outside.address})
        trial.wait(process)
        outside.scheduler.kill()
        ended = process.end()
    yield Disturbed(ended, trial.workspace, told="the Dask scheduler at .* is lost", may_finish=True)


@contextmanager
def _kill_prefect(trial: Trial) -> Iterator[Disturbed]:
    process = trial.start()
    trial.wait(process)
    process.wait_until(lambda: read_record(trial.workspace) is not None, "it has a server")
    record = read_record(trial.workspace)
    assert record is not None
    os.kill(record["pid"], signal.SIGKILL)
    yield Disturbed(process.end(), trial.workspace, code=0)


def _kill_of_group(choose: Callable[[Group], Server], told: str) -> Disturbance:
    """Return what kills a server of the group, which starts again when the run has ended."""

    @contextmanager
    def kill(trial: Trial) -> Iterator[Disturbed]:
        assert trial.group is not None
        server = choose(trial.group)
        process = trial.start()
        trial.wait(process)
        server.kill()
        yield Disturbed(process.end(), trial.workspace, told=told, may_finish=True, mend=server.start)

    return kill


@contextmanager
def _kill_store(trial: Trial) -> Iterator[Disturbed]:
    assert trial.store is not None
    process = trial.start()
    trial.wait(process)
    trial.store.server.kill()
    yield Disturbed(
        process.end(),
        trial.workspace,
        told="cannot be read or written .* that the store at .* runs",
        mend=trial.store.server.start,
    )


@contextmanager
def _fill_disk(trial: Trial) -> Iterator[Disturbed]:
    disk = trial.folder / "disk"
    with small_disk(disk):
        workspace = Workspace(disk / "workspace")
        shutil.move(trial.workspace.root, workspace.root)
        moved = replace(trial, workspace=workspace)
        process = moved.start()
        moved.wait(process)
        fill(disk)
        ended = process.end()
        mend = partial(free, disk)
        yield Disturbed(ended, workspace, told="(?i)no space left|disk is full", may_finish=True, mend=mend)


@contextmanager
def _drop_network(trial: Trial) -> Iterator[Disturbed]:
    process = trial.start()
    trial.wait(process)
    trial.cable.pull()
    yield Disturbed(process.end(), trial.workspace, code=0, mend=trial.cable.plug)


@contextmanager
def _turn_clock(trial: Trial) -> Iterator[Disturbed]:
    flag = trial.folder / "the-clock-has-jumped"
    process = trial.start(clock_settings(trial.folder, flag))
    trial.wait(process)
    flag.touch()
    ended = process.end()
    trial.stop_services()  # they have the wrong clock too
    told = "the clock of this machine went back by .*same command"
    yield Disturbed(ended, trial.workspace, told=told, may_finish=True)


@contextmanager
def _corrupt_shard(trial: Trial) -> Iterator[Disturbed]:
    """Change a byte of the pixels that a flow reads, give the flow, and put the byte back as from a backup."""
    folder = trial.workspace.root / "datasets" / str(trial.case.reads) / "pixels.zarr" / "pixels" / "c"
    shard = next(path for path in sorted(folder.rglob("*")) if path.is_file())
    yield from _with_other_byte(trial, shard, 0.3, told=r"pixels|shard", damage=r"pixels|shard")


@contextmanager
def _corrupt_model(trial: Trial) -> Iterator[Disturbed]:
    """Change a byte of the model that a flow reads, give the flow, and put the byte back as from a backup."""
    model = resolve_model(trial.workspace, f"{trial.case.model}@champion", None).folder / "model.keras"
    yield from _with_other_byte(trial, model, 0.5, told=r"model\.keras", damage=r"model")


def _with_other_byte(trial: Trial, path: Path, at: float, told: str, damage: str) -> Iterator[Disturbed]:
    restore = change_byte(path, at)
    yield Disturbed(trial.start().end(), trial.workspace, told=told, damage=damage, mend=restore)


@contextmanager
def _corrupt_ledger_part(trial: Trial) -> Iterator[Disturbed]:
    """Kill a build that has staged batches, change a byte of one's rows, and give it again."""
    process = trial.start()
    trial.wait(process)
    process.kill()
    part = sorted((trial.workspace.root / "datasets").glob("*/staging/*/batch-*/ledger.parquet"))[0]
    change_byte(part, 0.2)
    again = trial.start().end()
    yield Disturbed(again, trial.workspace, told="ledger.parquet was not as it was written")


def change_byte(path: Path, at: float) -> Callable[[], None]:
    """Invert a byte at a fraction of a file's length; return what puts it back."""
    content = path.read_bytes()
    place = int(at * len(content))
    path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])

    def restore() -> None:
        path.write_bytes(content)

    return restore


@contextmanager
def _build_twice(trial: Trial) -> Iterator[Disturbed]:
    first = trial.start()
    holder = trial.workspace.root / "datasets" / str(trial.case.dataset) / ".builder"
    first.wait_until(holder.exists, "it builds")
    first.process.send_signal(signal.SIGSTOP)  # so that it still builds when the second comes
    second = trial.start().end()
    first.process.send_signal(signal.SIGCONT)
    ended = first.end()
    trial.require(ended.code == 0, f"the first builder ended with exit {ended.code}: {ended.said}")
    yield Disturbed(second, trial.workspace, told="is being built by process")


@contextmanager
def _move(trial: Trial) -> Iterator[Disturbed]:
    process = trial.start()
    trial.wait(process)
    ended = process.kill()
    trial.stop_services()
    target = trial.workspace.root.with_name("moved")
    trial.workspace.root.rename(target)
    yield Disturbed(ended, Workspace(target), code=KILLED)


def _unless(condition: Callable[[Case], object], why: str) -> Callable[[Case], str | None]:
    return lambda case: None if condition(case) else why


def _first(*reasons: Callable[[Case], str | None]) -> Callable[[Case], str | None]:
    return lambda case: next((why for reason in reasons if (why := reason(case)) is not None), None)


_SPREADS = _unless(lambda case: case.spreads, "opens no Dask cluster")
_BUILDS = _unless(lambda case: case.dataset, "builds no dataset")
_FITS_ALONE = _unless(lambda case: case.fits and case.model is None, "fits no network from pixels alone")
_FIRST = "its first point"
_ALSO_LATER = ("version", "path", "split", "split_hash")
"""What is asked again after a passing fault is in a second version, and gets its part of the split as a latecomer."""

FAULTS = [
    Fault("kill-flow", "`kill -9` of the flow's process", _kill_flow),
    Fault("kill-dask-worker", "`kill -9` of a worker of the local Dask cluster", _kill_worker, _SPREADS, where=_FIRST),
    Fault(
        "kill-dask-scheduler",
        "`kill -9` of the scheduler at `STARLOOM_DASK_ADDRESS`",
        _kill_scheduler,
        _SPREADS,
        where=_FIRST,
    ),
    Fault("kill-prefect-server", "`kill -9` of the workspace's Prefect server", _kill_prefect),
    Fault(
        "fill-disk",
        "no byte left on the workspace's disk, a small tmpfs",
        _fill_disk,
        lambda case: no_mount(),
        asked_again=8 * CONNECTIONS,  # answers that came and could not be kept, in each batch that was begun
    ),
    Fault(
        "drop-network",
        "the cutout service's connections cut, and new ones refused",
        _drop_network,
        _unless(lambda case: case.service, "asks no service"),
        _ALSO_LATER,
        where=_FIRST,
    ),
    Fault("turn-clock", "the wall clock jumps back by a day", _turn_clock, lambda case: no_compiler()),
    Fault(
        "corrupt-shard",
        "one byte of a shard is another",
        _corrupt_shard,
        _unless(lambda case: case.reads, "reads no pixels"),
        where="before the start",
    ),
    Fault(
        "corrupt-ledger-part",
        "one byte of a staged ledger part is another, after `kill -9`",
        _corrupt_ledger_part,
        _first(_BUILDS, _unless(lambda case: case.points[0].name == "batch staged", "stages nothing")),
        where=_FIRST,
    ),
    Fault(
        "corrupt-model",
        "one byte of `model.keras` is another",
        _corrupt_model,
        _unless(lambda case: case.model, "reads no model"),
        where="before the start",
    ),
    Fault(
        "two-builders",
        "a second process builds the same dataset",
        _build_twice,
        _first(_BUILDS, _unless(lambda case: not case.fits, "trains anew when it is given again")),
        where="the lock held",
    ),
    Fault("move-workspace", "`kill -9`, and the workspace has another path", _move),
    *(
        Fault(
            name,
            f"`kill -9` of {what}, which is started again after the run",
            _kill_of_group(choose, told),
            _first(lambda case: missing_postgres(), _FITS_ALONE),
            where=_FIRST,
            in_group=True,
        )
        for name, what, choose, told in (
            (
                "kill-mlflow-server",
                "the group's MLflow server (`STARLOOM_MLFLOW_URI`)",
                lambda group: group.mlflow,
                "MLflow|STARLOOM_MLFLOW_URI",
            ),
            (
                "kill-postgresql",
                "PostgreSQL below the group's Prefect and MLflow servers",
                lambda group: group.postgres,
                "MLflow|STARLOOM_MLFLOW_URI|STARLOOM_PREFECT_API_URL",
            ),
        )
    ),
    Fault(
        "kill-object-store",
        "`kill -9` of the object store on which the workspace is, which is started again after the run",
        _kill_store,
        _unless(lambda case: case.dataset and case.begins_empty, "builds no dataset in an empty workspace"),
        where=_FIRST,
        on_store=True,
    ),
]
