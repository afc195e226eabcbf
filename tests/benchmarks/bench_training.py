"""Training of candidates from the store, with random views, against a bare Keras fit on arrays in memory.

The bare fit is given normalised arrays; see `tests.benchmarks.bare_fits`. The cost of the three losses is measured on
arrays, in turn as well. Ratios are of processor seconds, which other work on the machine hardly changes.
"""

import time
from statistics import median
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.bare_fits import EPOCHS, BareFit, EpochPair, beside_a_bare_fit, spread

COUNT, BATCH, STAMP_PX = 8192, 64, 29


def run() -> dict[str, Any]:
    """Return samples a processor second of both, their ratio (median and range of epochs), and what the losses cost."""
    figures: dict[str, Any] = {}
    stamps, labels = _triplets()
    for network in ("simple", "complex"):
        pairs = _beside_a_bare_fit(network, stamps, labels)
        ours, bare = median(pair.ours for pair in pairs), median(pair.bare for pair in pairs)
        figures |= {f"{network}_samples_per_processor_s": ours, f"{network}_bare_samples_per_processor_s": bare}
        figures |= spread(f"{network}_of_bare", [pair.ours / pair.bare for pair in pairs])
    return figures | spread("complex_losses_cost", _cost_of_losses(stamps, labels))


def _triplets() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return triplets (n, 29, 29, 3) of a spot on noise or of noise, and which is which."""
    rng = np.random.default_rng(0)
    labels = np.arange(COUNT) % 2
    y, x = np.indices((STAMP_PX, STAMP_PX)) - STAMP_PX // 2
    spot = np.exp(-(x**2 + y**2) / 8)[..., None] * (1, 0, 1)
    peaks = labels * rng.uniform(10, 200, COUNT)
    stamps = rng.normal(100, 5, (COUNT, STAMP_PX, STAMP_PX, 3)) + peaks[:, None, None, None] * spot
    return stamps.astype(np.float32), labels


def _beside_a_bare_fit(name: Literal["simple", "complex"], stamps: NDArray, labels: NDArray) -> list[EpochPair]:
    from realbogus.models.networks import prepare_views
    from tasks.candidates.presets import load_preset
    from tasks.candidates.training import candidate_fit_spec

    preset = load_preset(name, "small", "fixed")
    bare = BareFit(np.asarray(prepare_views(stamps, preset)), BATCH, validated=2 * BATCH)
    return beside_a_bare_fit(candidate_fit_spec(preset, STAMP_PX, None), preset, "adam", stamps, labels, bare)


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
