"""Training of candidates from the store, with random views, against a bare Keras fit on arrays in memory.

Both fit the same network by cross-entropy with the same optimiser, its schedule and decay, and batches of the same
size, in turn, an epoch each; the bare fit is given normalised arrays. The cost of the three losses is measured on
arrays, in turn as well. Ratios are of processor seconds, which other work on the machine hardly changes; ours hold
reading, views, validation of two batches and the state that is kept.
"""

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tasks.learning.split_parts import SplitPart
from tasks.store import pixels

COUNT, BATCH, STAMP_PX = 8192, 64, 29
EPOCHS = 6
"""Of each; the first builds the graphs and does not count."""


def run() -> dict[str, Any]:
    """Return samples a processor second of both, their ratio (median and range of epochs), and what the losses cost."""
    figures: dict[str, Any] = {}
    stamps, labels = _triplets()
    for network in ("simple", "complex"):
        pairs = _beside_a_bare_fit(network, stamps, labels)
        ours, bare = (median(pair[at] for pair in pairs) for at in (0, 1))
        figures |= {f"{network}_samples_per_processor_s": ours, f"{network}_bare_samples_per_processor_s": bare}
        figures |= _spread(f"{network}_of_bare", [mine / theirs for mine, theirs in pairs])
    return figures | _spread("complex_losses_cost", _cost_of_losses(stamps, labels))


def _spread(name: str, ratios: list[float]) -> dict[str, float]:
    return {name: median(ratios), f"{name}_low": min(ratios), f"{name}_high": max(ratios)}


def _triplets() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return triplets (n, 29, 29, 3) of a spot on noise or of noise, and which is which."""
    rng = np.random.default_rng(0)
    labels = np.arange(COUNT) % 2
    y, x = np.indices((STAMP_PX, STAMP_PX)) - STAMP_PX // 2
    spot = np.exp(-(x**2 + y**2) / 8)[..., None] * (1, 0, 1)
    peaks = labels * rng.uniform(10, 200, COUNT)
    stamps = rng.normal(100, 5, (COUNT, STAMP_PX, STAMP_PX, 3)) + peaks[:, None, None, None] * spot
    return stamps.astype(np.float32), labels


def _beside_a_bare_fit(
    name: Literal["simple", "complex"], stamps: NDArray, labels: NDArray
) -> list[tuple[float, float]]:
    """Return samples a processor second of ours and of a bare fit, for every epoch but the first."""
    import keras

    from realbogus.models.networks import build_network, prepare_views
    from tasks.candidates.presets import load_preset
    from tasks.candidates.training import candidate_fit_spec
    from tasks.learning.devices import choose_device
    from tasks.learning.fit_spec import FitData
    from tasks.learning.fitting import Fit, build_optimizer, fit

    preset = load_preset(name, "small", "fixed")
    device = choose_device("cpu")
    network = build_network(preset, STAMP_PX, precision=device.precision)
    views, targets = np.asarray(prepare_views(stamps, preset)), np.eye(2, dtype=np.float32)[labels]
    pairs, ended = [], time.process_time()

    def bare_epoch(record: Any) -> None:
        nonlocal ended
        begin = time.process_time()
        network.fit(views, targets, batch_size=BATCH, verbose=0)
        pairs.append((COUNT / (begin - ended), COUNT / (time.process_time() - begin)))
        ended = time.process_time()

    with tempfile.TemporaryDirectory() as folder:
        array = pixels.create(Path(folder) / "pixels.zarr", stamps.shape[1:], "float32")
        pixels.grow(array, COUNT)
        for first in range(0, COUNT, pixels.SHARD_ROWS):
            pixels.write_shard(array, first, stamps[first : first + pixels.SHARD_ROWS])
        names = [str(row) for row in range(COUNT)]
        part = SplitPart(names, np.arange(COUNT), labels.astype(np.int32), names)
        learner = candidate_fit_spec(preset, STAMP_PX, None)
        few = part.take(np.arange(2 * BATCH))
        settings = preset.training.with_overrides(EPOCHS, BATCH)
        plan = Fit(learner, FitData(array, part, few), settings, "adam", 0, device, Path(folder) / "fit")
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
        network.compile(build_optimizer(plan), loss, metrics=["accuracy"])
        fit(plan, bare_epoch)
    return pairs[1:]


def _cost_of_losses(stamps: NDArray, labels: NDArray) -> list[float]:
    """Return an epoch's processor time by all three losses over that by cross-entropy alone, for each pair."""
    import keras

    from realbogus.models.losses import CandidateTrainer, LossSettings
    from realbogus.models.networks import build_network, prepare_views
    from tasks.candidates.presets import load_preset

    preset = load_preset("complex", "small", "fixed")
    views, targets = np.asarray(prepare_views(stamps, preset)), np.eye(2, dtype=np.float32)[labels]
    trainers = []
    for losses in (LossSettings(), LossSettings(ech=0.1, lds=1.0)):
        trainer = CandidateTrainer(build_network(preset, STAMP_PX, precision="float32"), losses, None, seed=0)
        trainer.compile(keras.optimizers.Adam(preset.training.learning_rate["adam"]))
        trainers.append(trainer)
    ratios = []
    for _ in range(EPOCHS):
        seconds = []
        for trainer in trainers:
            begin = time.process_time()
            trainer.fit(views, targets, batch_size=BATCH, verbose=0)
            seconds.append(time.process_time() - begin)
        ratios.append(seconds[1] / seconds[0])
    return ratios[1:]
