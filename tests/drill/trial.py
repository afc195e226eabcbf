"""One cell of the drill: a flow undisturbed, disturbed, and run again, in a copy of the base workspace."""

import json
import os
import random
import re
import shutil
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil

from tasks.runtime.workspace import Workspace
from tasks.server.group_server import PREFECT_VARIABLE
from tasks.skyserver.http_server import Behaviour, SkyServer
from tasks.skyserver.images import ReplayedFiles
from tests.drill.cases import Case, Point
from tests.drill.flow_process import Ended, FlowProcess, Launcher, NotReachedError
from tests.drill.group import Group, group_of
from tests.drill.inputs import Inputs
from tests.drill.network import Cable
from tests.drill.store import Store, store_of
from tests.drill.workspace_state import comparable, damage, differences, read_state

if TYPE_CHECKING:
    from tests.drill.faults import Fault

LATENCY_S = 0.05
_TRIES = 3
_SAMPLE_S = 0.05


class RequirementError(AssertionError):
    """Beside the disturbed run something else went wrong."""


@dataclass(frozen=True)
class Reference:
    """An undisturbed run.

    Attributes
    ----------
    state, summary : dict
        What stands in the workspace then (`read_state`), and the flow's summary.
    cpu_s : float
        Processor time of its process.
    """

    state: dict[str, Any]
    summary: Any
    cpu_s: float


@dataclass(frozen=True)
class Trial:
    """The disturbed run of one cell.

    Attributes
    ----------
    case : Case
    workspace : Workspace
    folder : Path
        Of the cell.
    launcher : Launcher
    service : SkyServer
        The cutout service.
    cable : Cable
        Between it and the flow.
    group : Group or None
        The group's servers to which its runs and models go; None: they stay in the workspace.
    store : Store or None
        The object store on which the workspace is; None: it is a folder.
    point : Point, optional
        Where it is disturbed; None: when it has used a fraction of the reference's processor time.
    fraction, cpu_s : float
    """

    case: Case
    workspace: Workspace
    folder: Path
    launcher: Launcher
    service: SkyServer
    cable: Cable
    group: Group | None
    store: Store | None
    point: Point | None
    fraction: float
    cpu_s: float

    @property
    def at(self) -> str:
        """Where it is disturbed, in words."""
        return self.point.name if self.point is not None else f"{self.fraction:.0%} of its processor time"

    def start(self, settings: Mapping[str, str] | None = None) -> FlowProcess:
        """Start the flow."""
        parameters = self.case.with_service(self.cable.url)
        return self.launcher.start(self.workspace, self.case.flow, parameters, settings)

    def run(self) -> Ended:
        """Run the flow to its end, undisturbed."""
        return self.launcher.run(self.workspace, self.case.flow, self.case.with_service(self.cable.url))

    def wait(self, process: FlowProcess) -> None:
        """Return when the point is reached."""
        if self.point is not None:
            objects = self.workspace.root if self.store is None else self.store.objects
            process.wait_until(self.point.watch(objects), self.point.name)
            return
        target = self.fraction * self.cpu_s
        process.wait_until(lambda: cpu_seconds(process) >= target, self.at)

    def stop_services(self) -> None:
        """End the workspace's Prefect server."""
        self.launcher.stop_services(self.workspace)

    def require(self, condition: bool, message: str) -> None:
        """Fail the cell unless a condition holds."""
        if not condition:
            raise RequirementError(message)


@dataclass(frozen=True)
class Outcome:
    """The result of one cell.

    Attributes
    ----------
    fault, flow, at : str
    seed : int
    verdict : str
        green, red, or missed (the flow ended before the point was reached).
    said : str
        Last line of stderr of the disturbed run.
    complaints : list of str
        What did not hold.
    seconds : float
    """

    fault: str
    flow: str
    at: str
    seed: int
    verdict: str
    said: str = ""
    complaints: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def line(self) -> str:
        """Return it as a line of JSON."""
        return json.dumps(asdict(self))


def cpu_seconds(process: FlowProcess) -> float:
    """Return the processor time of a running command's own process."""
    try:
        used = psutil.Process(process.process.pid).cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(used.user + used.system)


@dataclass(frozen=True)
class Drill:
    """Runs cells in a folder.

    Attributes
    ----------
    folder : Path
    base : Path or None
        Workspace that a trial begins with a copy of; None: an empty one.
    inputs : Inputs
    with_server : bool
        Whether flows run as the command, each workspace with its own Prefect server.
    """

    folder: Path
    base: Path | None
    inputs: Inputs
    with_server: bool = True

    def reference(self, case: Case, in_group: bool = False, on_store: bool = False) -> Reference:
        """Return the undisturbed run of a flow: made once, and once with a group's servers, and on an object store."""
        record = self.folder / "references" / f"{case.flow}{'-in-group' * in_group}{'-on-store' * on_store}.json"
        if not record.exists():
            made = self._undisturbed(case, self.folder / "trials" / f"{case.flow}-undisturbed", in_group, on_store)
            record.parent.mkdir(parents=True, exist_ok=True)
            record.write_text(json.dumps(asdict(made)), encoding="utf-8")
        return Reference(**json.loads(record.read_text(encoding="utf-8")))

    def _undisturbed(self, case: Case, folder: Path, in_group: bool, on_store: bool) -> Reference:
        with (
            self._service() as (service, cable),
            self._cell(folder, in_group, on_store) as (workspace, launcher, group, store),
        ):
            trial = Trial(case, workspace, folder, launcher, service, cable, group, store, None, 0, 0)
            ended, used = (trial.run(), 0.0) if not self.with_server else _measured(trial.start())
            trial.require(ended.code == 0, f"undisturbed, {case.flow} ends with exit {ended.code}: {ended.said}")
            trial.stop_services()
            return Reference(read_state(workspace), comparable(ended.summary, workspace), used)

    def run(self, fault: "Fault", case: Case, seed: int) -> Outcome:
        """Run one cell: the point is the next of the flow's by the seed, or a random one."""
        reference = self.reference(case, fault.in_group, fault.on_store)
        begun = time.monotonic()
        rng = random.Random(f"{fault.name} {case.flow} {seed}")
        points = [*case.points, None]
        point = points[seed % len(points) if fault.where is None else 0]
        outcome = None
        for attempt in range(_TRIES):
            folder = self.folder / "trials" / f"{fault.name}-{case.flow}-{seed}"
            fraction = rng.uniform(0.1, 0.9) / 2**attempt
            with (
                self._service() as (service, cable),
                self._cell(folder, fault.in_group, fault.on_store) as (workspace, launcher, group, store),
            ):
                trial = Trial(
                    *(case, workspace, folder, launcher, service, cable, group, store),
                    *(point, fraction, reference.cpu_s),
                )
                outcome = self._judge(fault, trial, seed, reference)
            if outcome.verdict != "missed":
                break
        assert outcome is not None
        return replace(outcome, seconds=round(time.monotonic() - begun, 1))

    def _judge(self, fault: "Fault", trial: Trial, seed: int, reference: Reference) -> Outcome:
        cell = (fault.name, trial.case.flow, fault.where or trial.at, seed)
        try:
            with fault.disturb(trial) as disturbed:
                complaints = [*disturbed.unexplained(), *_left_over(trial)]
                if disturbed.damage is not None:
                    complaints += _unnamed(disturbed.damage, disturbed.workspace)
                disturbed.mend()
                complaints += [f"not whole: {line}" for line in damage(disturbed.workspace)]
                again = replace(trial, workspace=disturbed.workspace)
                # Given again, what the fault did not stop would be another training or prediction.
                is_done = disturbed.ended.code == 0 and disturbed.ended.failure is None and not fault.changes
                ended = disturbed.ended if is_done else again.run()
                again.stop_services()
                failed_night = ("runs",) if disturbed.ended.failure is not None else ()  # it has a run of its own
                changes = (*fault.changes, *failed_night, *(() if is_done else trial.case.own))
                complaints += _unequal(changes, ended, disturbed.workspace, reference)
                complaints += _left_over(trial) + _asked_again(trial, fault.asked_again)
        except NotReachedError as error:
            return Outcome(*cell, "missed", complaints=[str(error)])
        except (RequirementError, TimeoutError) as error:
            return Outcome(*cell, "red", complaints=[str(error)])
        return Outcome(*cell, "red" if complaints else "green", disturbed.ended.said, complaints)

    @contextmanager
    def _cell(
        self, folder: Path, in_group: bool, on_store: bool
    ) -> Iterator[tuple[Workspace, Launcher, Group | None, Store | None]]:
        """Give a fresh workspace, and the servers that it goes to; end what is left of its processes.

        It is a copy of the base in a folder, or empty on an object store.
        """
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        workspace = Workspace(folder / "workspace")
        if self.base is None or on_store:
            workspace.root.mkdir()
        else:
            shutil.copytree(self.base, workspace.root, symlinks=True)
        launcher = Launcher(folder / "logs", self.with_server)
        with (
            group_of(folder) if in_group else nullcontext() as group,
            store_of(folder) if on_store else nullcontext() as store,
        ):
            try:
                yield workspace if store is None else store.workspace, launcher, group, store
            finally:
                launcher.end_left_over()

    @contextmanager
    def _service(self) -> Iterator[tuple[SkyServer, Cable]]:
        pictures = ReplayedFiles(self.inputs.pictures, self.inputs.positions)
        with SkyServer(pictures, Behaviour(latency_s=LATENCY_S)) as server, Cable(server.url) as cable:
            yield server, cable


def _measured(process: FlowProcess) -> tuple[Ended, float]:
    """Wait for a command; return its end and the processor time of its own process."""
    used = 0.0
    while process.process.poll() is None:
        used = max(used, cpu_seconds(process))
        time.sleep(_SAMPLE_S)
    return process.end(), used


def _unnamed(pattern: str, workspace: Workspace) -> list[str]:
    """Return that a comparison with the digests does not name the damage that was done."""
    found = damage(workspace)
    return [] if any(re.search(pattern, line) for line in found) else [f"the damage is not named: {found}"]


def _left_over(trial: Trial) -> list[str]:
    return [f"still runs: {line}" for line in trial.launcher.left_over()]


def _asked_again(trial: Trial, most: int) -> list[str]:
    """Return whether the service was asked for more again than what was under way when the run was disturbed."""
    asked = trial.service.tally.report()
    again = asked["requests"] - asked["positions"]
    return [f"{again} requests are repeated"] if again > most else []


def _unequal(changes: Sequence[str], ended: Ended, workspace: Workspace, reference: Reference) -> list[str]:
    if ended.code != 0:
        return [f"given again, it ends with exit {ended.code}: {ended.said}"]
    lines = differences(reference.state, read_state(workspace))
    lines += differences(reference.summary, comparable(ended.summary, workspace), "summary")
    kept = [line for line in lines if not set(line.partition(":")[0].split(".")) & set(changes)]
    return kept + _unfinished(workspace)


def _unfinished(workspace: Workspace) -> list[str]:
    """Return what Prefect says still runs, though nothing does."""
    if (api := os.environ.get(PREFECT_VARIABLE)) is not None:
        asked = {"flow_runs": {"state": {"type": {"any_": ["RUNNING", "PENDING"]}}}}
        found = httpx.post(f"{api}/flow_runs/filter", json=asked, timeout=60).raise_for_status().json()
        return [f"Prefect says that run {run['name']} is {run['state_type']}" for run in found]
    database = workspace.prefect / "prefect.db"
    if not database.exists():
        return []
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute(
            "SELECT id, name, state_type FROM flow_run WHERE state_type IN ('RUNNING', 'PENDING')"
        ).fetchall()
    kept = {path.stem for path in (workspace.prefect / "ends").glob("*.json")}  # ends for the next server to record
    return [f"Prefect says that run {name} is {state}" for run_id, name, state in rows if run_id not in kept]
