"""Samples a second of every network in training and prediction, on the processor and on a GPU; pixels of noise.

A bare Keras step on one batch in memory, so these figures say what a device can do with a network, not what reading
costs: `galaxy_training` and `training` compare both. Of a kind of device that this machine lacks, one figure says so.
"""

import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

GALAXY_PX, STAMP_PX, CLASSES = 128, 29, 3
STEPS, ENOUGH_S = 9, 4.0
"""Timed steps, fewer where they have taken this long; the median counts."""


class Measured(NamedTuple):
    """A network to measure: how it is built, its input and the size of a batch on a processor and on a GPU."""

    name: str
    build: Callable[[str], Any]
    views: tuple[int, ...]
    classes: int
    batches: dict[str, int]


def run() -> dict[str, Any]:
    """Return samples a second by network, device and work."""
    from tasks.learning.fits.devices import Device, DeviceError, choose_device

    figures: dict[str, Any] = {}
    devices: dict[str, Device] = {}
    for kind in ("cpu", "gpu"):
        try:
            devices[kind] = choose_device(kind)  # type: ignore[arg-type]
        except DeviceError:
            figures[kind] = "not run here"
    for one in (*_galaxy_networks(), *_candidate_networks()):
        for device in devices.values():
            figures |= _rates(one, device)
    return figures


def _rates(one: Measured, device: Any) -> dict[str, float]:
    import keras

    names = f"{one.name}_{device.kind}_trained_per_s", f"{one.name}_{device.kind}_predicted_per_s"
    batch = one.batches[device.kind]
    rng = np.random.default_rng(0)
    views = rng.normal(size=(batch, *one.views)).astype(np.float32)
    targets = np.eye(one.classes, dtype=np.float32)[np.arange(batch) % one.classes]
    keras.utils.set_random_seed(0)
    with device.strategy().scope():
        model = one.build(device.precision)
        model.compile(keras.optimizers.SGD(1e-3), keras.losses.CategoricalCrossentropy(from_logits=True))
    rates = (
        batch / _step_s(lambda: model.train_on_batch(views, targets)),
        batch / _step_s(lambda: model.predict_on_batch(views)),
    )
    keras.backend.clear_session()
    return dict(zip(names, rates, strict=True))


def _step_s(step: Callable[[], Any]) -> float:
    """Return the median time of a step; the first, which builds the graph, does not count."""
    step()
    taken: list[float] = []
    while len(taken) < STEPS and sum(taken) < ENOUGH_S:
        begin = time.monotonic()
        np.asarray(step())
        taken.append(time.monotonic() - begin)
    return median(taken)


def _galaxy_networks() -> Iterator[Measured]:
    from galaxy.models.networks import build_network, view_px
    from tasks.galaxies.presets import for_random_start, load_preset

    batches = {"cnn": 64, "xception-small": 32, "vit-small": 32, "googlenet": 16, "efficientnet-lite0": 16}
    for network in (*batches, "xception", "vit"):
        preset = for_random_start(load_preset(network, "deck" if network in ("xception", "vit") else "tuned"))
        width = view_px(preset, GALAXY_PX)

        def build(precision: str, preset: Any = preset) -> Any:
            return build_network(preset, GALAXY_PX, CLASSES, grey=False, precision=precision)

        sizes = {"cpu": batches.get(network, 4), "gpu": 256 if network in batches else 64}
        yield Measured(f"galaxy_{network}".replace("-", "_"), build, (width, width, 3), CLASSES, sizes)


def _candidate_networks() -> Iterator[Measured]:
    from realbogus.models.networks import build_network, prepare_views
    from tasks.candidates.presets import load_preset

    stamps: NDArray = np.zeros((1, STAMP_PX, STAMP_PX, 3), np.float32)
    for network, size in (
        ("first", "small"),
        ("compact", "small"),
        ("simple", "small"),
        ("complex", "small"),
        ("complex", "full"),
    ):
        preset = load_preset(network, size, "fixed")  # type: ignore[arg-type]

        def build(precision: str, preset: Any = preset) -> Any:
            return build_network(preset, STAMP_PX, precision=precision)

        shape = tuple(prepare_views(stamps, preset).shape[1:])
        sizes = {"cpu": 64 if size == "small" else 16, "gpu": 1024}
        yield Measured(f"candidate_{network}_{size}", build, shape, 2, sizes)
