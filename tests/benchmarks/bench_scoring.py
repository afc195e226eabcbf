"""Scoring a night by the real command: a million candidates, two models in a row, what they lose, memory at two sizes.

``STARLOOM_BENCH_WORKSPACE`` names a workspace with a dataset ``testsurvey`` to draw the night from, and the registered
models, and the nights stay there (11 GB for a million); else a small survey is made in a temporary folder, two models
are trained on it, whose loss says little, and the nights have a tenth of the length or less (`SHORT`).

File to table and the bare pass are compared by processor seconds, which other work on the machine disturbs little; the
ratio by the clock stands beside it.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tasks.learning.models.inference import run_in_parallel
from tasks.learning.operating_points import upper_limit
from tasks.night.models import REGISTERED, ScoringRule, open_model
from tasks.night.scoring import score_into_parts
from tasks.night.sources import NightSource, open_night
from tasks.runtime.workspace import Workspace
from tests.benchmarks.scene import PeakMemory, command, finish, flow_words, start

WORKSPACE_NAME = "STARLOOM_BENCH_WORKSPACE"
LONG = {"night": 1_000_000, "reals": 12_000, "small": 50_000, "large": 500_000}
SHORT = {"night": 100_000, "reals": 3_000, "small": 20_000, "large": 100_000}
"""Candidates of the nights with a workspace that is named, and without."""
REAL_SHARE = 0.01
SURVEY = "testsurvey"
REPEATS = 5
_BARE_BLOCKS = 4


def run() -> dict[str, Any]:
    """Return seconds, rates, the share of reals that the first model loses with its upper 95 % limit, and memory."""
    counts = LONG if WORKSPACE_NAME in os.environ else SHORT
    night, reals = counts["night"], counts["reals"]
    with _workspace() as workspace:
        whole, few, many = (_night(workspace, counts[name], REAL_SHARE) for name in ("night", "small", "large"))
        two, one = (_timed(workspace, path=whole, **first) for first in ({}, {"first": None}))
        peaks = [_timed(workspace, path=path)["peak_mb"] for path in (few, many)]
        return {
            "night_s": two["wall_s"],
            "night_per_s": night / two["wall_s"],
            "discarded_share": (two["cascade"].get("discarded") or 0) / night,
            "full_alone_s": one["wall_s"],
            "cascade_gain": one["wall_s"] / two["wall_s"],
            **_lost(workspace, _night(workspace, reals, 1.0)),
            "small_peak_mb": peaks[0],
            "large_peak_mb": peaks[1],
            "memory_ratio": peaks[1] / peaks[0],
            **_against_bare(workspace, few),
        }


@contextmanager
def _workspace() -> Iterator[Path]:
    """Yield the workspace with survey and models, made small where none is named."""
    if WORKSPACE_NAME in os.environ:
        yield Path(os.environ[WORKSPACE_NAME])
        return
    with tempfile.TemporaryDirectory() as name:
        workspace = Path(name)
        command(workspace, *flow_words("build-realbogus-dataset", dataset=SURVEY, chips=4, visits=3))
        for network in ("first", "complex"):
            command(workspace, *flow_words("train-realbogus", dataset=SURVEY, network=network))
        try:
            yield workspace
        finally:
            command(workspace, "down")


def _night(workspace: Path, count: int, real_share: float) -> str:
    """Draw a night, or find it drawn, and return its path."""
    words = flow_words("make-night", dataset=SURVEY, count=count, real_share=real_share, seed=7)
    return str(command(workspace, *words)["path"])


def _timed(workspace: Path, **parameters: Any) -> dict[str, Any]:
    """Score by the command; add the seconds of the whole command and its peak memory to the summary."""
    begin = time.monotonic()
    process = start(workspace, *flow_words("score-night", **parameters))
    memory = PeakMemory(process.pid)
    try:
        summary = finish(process, workspace)
    finally:
        peak = memory.stop()
    return summary | {"wall_s": time.monotonic() - begin, "peak_mb": peak}


def _lost(workspace: Path, store: str) -> dict[str, float]:
    """Return how many reals the full model keeps alone, and how many of those the first model discards."""
    kept = []
    for first in ({"first": None}, {}):
        path = _timed(workspace, path=store, **first)["path"]
        kept.append(pc.equal(pq.read_table(path, columns=["decision"])["decision"], "real").to_numpy())
    lost, count = int((kept[0] & ~kept[1]).sum()), int(kept[0].sum())
    return {"reals_kept": count, "reals_lost": lost, "lost_limit": upper_limit(lost, count)}


def _against_bare(workspace: Path, store: str) -> dict[str, float]:
    """Return the rate of the full model from file to table over its bare pass in memory, and the time of one stamp."""
    judge = open_model(Workspace(workspace), "champion", REGISTERED, "auto")
    rule = ScoringRule(judge, None, -np.inf, 0.0, None, "bench", 1e-3)
    source = open_night(Workspace(workspace), store, int(judge.card["input_shape"][0]))
    stamps = np.concatenate([block.stamps for block in islice(source.blocks(), _BARE_BLOCKS)])
    threads = len(os.sched_getaffinity(0))
    ratios = []
    for _ in range(REPEATS):
        bare = _rates(lambda: len(run_in_parallel(judge.outputs, stamps, threads)))
        with tempfile.TemporaryDirectory() as parts:
            ours = _rates(partial(_scored, source, rule, Path(parts)))
        ratios.append(ours / bare)
    of_bare, by_clock = np.transpose(ratios)
    one = stamps[:1]
    latencies = [1 / _rates(lambda: len(judge.outputs.run(one)))[1] for _ in range(200)]
    return {
        "of_bare": median(of_bare),
        "of_bare_low": min(of_bare),
        "of_bare_high": max(of_bare),
        "of_bare_by_clock": median(by_clock),
        "one_stamp_ms": 1e3 * median(latencies),
    }


def _scored(source: NightSource, rule: ScoringRule, folder: Path) -> int:
    score_into_parts(source, rule, folder, lambda _: None)
    return source.count or 0


def _rates(work: Callable[[], int]) -> NDArray[np.float64]:
    """Return the candidates per processor second of this process, and per second by the clock: (2,)."""
    begin = np.array([time.process_time(), time.perf_counter()])
    count = work()
    return count / (np.array([time.process_time(), time.perf_counter()]) - begin)
