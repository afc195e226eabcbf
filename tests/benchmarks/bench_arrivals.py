"""Visits as they arrive: from a pair of frames in the inbox to its scores, and the rate of arrivals that is held.

The frames are simulated, of a full chip (2000 x 1128 px) and of a small one, written as FITS and renamed. The network
is the published size with random weights, which costs what a trained one does. ``latency_s`` is that of one visit by
the command `starloom run score-visit` on a workspace whose Prefect server runs: start of the process, quiet time of
5 s, subtraction, scoring. ``visits_per_minute`` is that of a run which has more visits waiting than it can take.
Seconds are wall-clock, but for ``cpu_s`` of the command and ``idle_poll_cpu_s`` of one that finds nothing; ``load`` is
the machine's at the start, and says how much of it others took.
"""

import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from realbogus.simulation.survey import Survey, SurveySettings
from tasks.runtime.workspace import ENVIRONMENT_NAME, Workspace
from tasks.visits.arrivals import visit_store
from tasks.visits.drain import drain
from tasks.visits.records import VisitRecord
from tasks.visits.request import VisitRequest
from tests.benchmarks.scene import COMMAND
from tests.small_visits import EPOCH_MJD, NIGHT, register_random_model, write_simulated

NAME = "arrivals"
SIZES = {"chip": SurveySettings(seed=5), "small": SurveySettings(seed=5, height_px=400, width_px=500, stars=6000)}
VISITS = 4


def run() -> dict[str, Any]:
    """Measure one visit by the command, then several by one run."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder, "workspace"))
        os.environ[ENVIRONMENT_NAME] = str(workspace.root)
        register_random_model(workspace, Path(folder, "model"), NAME, network="complex")
        try:
            _score_by_command(workspace, "warm-up", "small", 0)  # starts the server, converts the model
            record, latency_s, one_s = _score_by_command(workspace, "one", "chip", 1)
            idle_s = _command(workspace)
        finally:
            subprocess.run([*COMMAND, "--workspace", str(workspace.root), "down"], check=True, capture_output=True)
        rates = {size: _rate(workspace, size) for size in SIZES}
    return {
        "load": load,
        "latency_s": latency_s,
        "cpu_s": one_s,
        "work_s": record.seconds,
        "detections": record.detections,
        "idle_poll_cpu_s": idle_s,
        **{f"{size}_s_per_visit": 60 / rate for size, rate in rates.items()},
        **{f"{size}_visits_per_minute": rate for size, rate in rates.items()},
    }


def _deliver(workspace: Workspace, name: str, size: str, visit: int) -> None:
    pair = Survey(SIZES[size]).chip_visit(0, 11, visit).pair
    write_simulated(workspace.root / "inbox" / NIGHT / name, pair, EPOCH_MJD + visit / 100)


def _score_by_command(workspace: Workspace, name: str, size: str, visit: int) -> tuple[VisitRecord, float, float]:
    """Deliver a visit and score it by the command; return its record, the time between, and the processor's time."""
    _deliver(workspace, name, size, visit)
    arrived = time.time()
    cpu_s = _command(workspace)
    record = visit_store(workspace).read(NIGHT).newest[name]
    return record, record.finished_at - arrived, cpu_s


def _command(workspace: Workspace) -> float:
    """Run `starloom run score-visit` and return its processor time, seconds."""
    words = ["--workspace", str(workspace.root), "run", "score-visit", "-p", f"model={NAME}@champion"]
    begin = os.times()
    subprocess.run([*COMMAND, *words], check=True, capture_output=True)
    end = os.times()
    return end.children_user + end.children_system - begin.children_user - begin.children_system


def _rate(workspace: Workspace, size: str) -> float:
    """Return the visits a minute of a run with several waiting."""
    for visit in range(VISITS):
        _deliver(workspace, f"{size}-{visit}", size, 2 + visit)
    begin = time.monotonic()
    summary = drain(workspace, VisitRequest(model=f"{NAME}@champion", quiet_s=0.1))
    assert summary["scored"] == VISITS
    return 60 * VISITS / (time.monotonic() - begin)
