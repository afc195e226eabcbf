"""Prediction of 46,000 galaxies by the command against the network's bare forward pass, and its memory at two sizes.

Pixels are random. The network is the deck's CNN, whose pass is the cheapest: all else weighs most beside it.
"""

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.learning.block_scoring import PartFiles, score_blocks
from tasks.predictions.predict import PredictionRequest, find_model, open_predictor
from tasks.predictions.prediction_rows import Predictor, finish_rows, predict_block
from tasks.predictions.prediction_sources import DatasetImages
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tests.benchmarks.bare_fits import spread
from tests.benchmarks.bench_backfill import publish_sky
from tests.benchmarks.scene import PeakMemory, command, finish, flow_words, start

IMAGES, SIZE_PX, SMALLER = 46_000, 64, 4
REPEATS = 5


def run(images: int = IMAGES) -> dict[str, Any]:
    """Return the rate of the flow, its ratio to the bare pass over an array, and peaks of memory in MB."""
    with tempfile.TemporaryDirectory() as name:
        workspace = Workspace(Path(name) / "workspace")
        few = publish_sky(workspace, images // SMALLER, SIZE_PX, dataset="few")
        publish_sky(workspace, images, SIZE_PX, dataset="many")
        try:
            command(workspace.root, *flow_words("train-galaxy", dataset="few", preset="deck", epochs=1))
            (_, small), (summary, large) = (_predicted(workspace, dataset) for dataset in ("few", "many"))
        finally:
            command(workspace.root, "down")
        return {
            "images": summary["count"],
            "flow_images_per_s": summary["images_per_second"],
            **_against_bare(workspace, few),
            "small_peak_mb": small,
            "large_peak_mb": large,
            "memory_ratio": large / small,
        }


def _predicted(workspace: Workspace, dataset: str) -> tuple[dict[str, Any], float]:
    """Predict by the command; return its summary and its peak memory in MB."""
    process = start(workspace.root, *flow_words("predict-galaxies", dataset=dataset))
    memory = PeakMemory(process.pid)
    try:
        summary = finish(process, workspace.root)
    finally:
        peak = memory.stop()
    return summary, peak


def _against_bare(workspace: Workspace, dataset: Dataset) -> dict[str, float]:
    """Return the rate from store to scores file over that of the bare pass on the same images, in turn.

    Of processor time, which other work on the machine hardly changes, and of clock time.
    """
    ref, _ = find_model(workspace, PredictionRequest(dataset=dataset.name), dataset)
    predictor, source = open_predictor(ref, None), DatasetImages(dataset, SIZE_PX)
    stored = np.asarray(dataset.pixels[: source.count])
    ratios = []
    for _ in range(REPEATS + 1):
        bare = _seconds(lambda: predictor.run(stored))
        ratios.append(bare / _seconds(partial(_score, source, predictor)))
    by_processor, by_clock = np.transpose(ratios[1:]).tolist()  # the first compiles
    return spread("of_bare", by_processor) | spread("of_bare_by_clock", by_clock)


def _seconds(work: Callable[[], Any]) -> NDArray[np.float64]:
    """Return the processor and the clock time (2,) of some work."""
    begin = np.array([time.process_time(), time.perf_counter()])
    work()
    return np.array([time.process_time(), time.perf_counter()]) - begin


def _score(source: DatasetImages, predictor: Predictor) -> None:
    with tempfile.TemporaryDirectory() as folder:
        work = partial(predict_block, predictor=predictor)
        parts = score_blocks(source.blocks, work, PartFiles(Path(folder) / "parts"), lambda _: None, 1)
        finish_rows(parts, predictor, Path(folder) / "scores.parquet")
