"""Fitting from a store beside a bare Keras fit to an array in memory: the same network, optimiser, batch and precision.

Both take turns, an epoch each, in one process. The processor time of ours holds reading, views, the validation of a few
samples and the state that is kept; its clock time is that of the training steps, as a flow reports it.
"""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.learning.split_parts import SplitPart
from tasks.store import pixels

EPOCHS = 6
"""Of each; the first builds the graphs and does not count."""


class EpochPair(NamedTuple):
    """Samples a second in an epoch of ours and one of the bare fit, by processor time and by the clock."""

    ours: float
    bare: float
    ours_by_clock: float
    bare_by_clock: float


class BareFit(NamedTuple):
    """What the bare fit is given: views (n, ...), the batch size, and how many samples ours validates."""

    views: NDArray
    batch_size: int
    validated: int


def beside_a_bare_fit(
    learner: Any, preset: Any, optimizer: Any, samples: NDArray, labels: NDArray, bare: BareFit
) -> list[EpochPair]:
    """Fit samples (n, ...) from a store by a `FitSpec` and the preset's settings; return all epochs but the first."""
    import keras

    from tasks.learning.fits.devices import choose_device
    from tasks.learning.fits.fit_spec import FitData
    from tasks.learning.fits.fitting import Fit, fit
    from tasks.learning.fits.optimizers import Steps, build_optimizer

    count = len(samples)
    device = choose_device("cpu", preset.training.mixed_precision)
    network = learner.build(device.precision)
    targets = np.eye(learner.classes, dtype=np.float32)[labels]
    pairs, ended = [], time.process_time()

    def bare_epoch(record: Any) -> None:
        nonlocal ended
        begin, begin_by_clock = time.process_time(), time.monotonic()
        network.fit(bare.views, targets, batch_size=bare.batch_size, verbose=0)
        took, by_clock = time.process_time() - begin, time.monotonic() - begin_by_clock
        pairs.append(EpochPair(count / (begin - ended), count / took, count / record.seconds, count / by_clock))
        ended = time.process_time()

    with tempfile.TemporaryDirectory() as folder:
        array = pixels.create(Path(folder) / "pixels.zarr", samples.shape[1:], str(samples.dtype))
        pixels.grow(array, count)
        for first in range(0, count, pixels.SHARD_ROWS):
            pixels.write_shard(array, first, samples[first : first + pixels.SHARD_ROWS])
        names = [str(row) for row in range(count)]
        part = SplitPart(names, np.arange(count), labels.astype(np.int32), names)
        data = FitData(array, part, part.take(np.arange(bare.validated)))
        settings = preset.training.with_overrides(EPOCHS, bare.batch_size)
        plan = Fit(learner, data, settings, optimizer, 0, device, Path(folder) / "fit")
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
        steps = Steps(plan.steps, plan.most_epochs)
        network.compile(build_optimizer(optimizer, settings, steps), loss, metrics=["accuracy"])
        fit(plan, bare_epoch)
    return pairs[1:]


def spread(name: str, values: Sequence[float]) -> dict[str, float]:
    """Return median and range of repeated measurements."""
    return {name: median(values), f"{name}_low": min(values), f"{name}_high": max(values)}
