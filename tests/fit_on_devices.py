"""`python -m tests.fit_on_devices FOLDER`: the same fit on one and on two logical processors, a line of JSON each.

TensorFlow divides a processor only before it is used, so this is a process of its own.
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tasks.learning.fits.devices import Device
from tasks.learning.fits.fit_settings import FitSettings
from tasks.learning.fits.fit_spec import FitData, FitSpec
from tasks.learning.fits.fitting import Fit, fit
from tasks.learning.split_parts import SplitPart
from tasks.store import pixels

TRAIN, VALIDATION = 96, 32


# Plain steps, so that rounding is all that may differ; the weights of the last epoch, whatever was the best.
SETTINGS = FitSettings(
    learning_rate={"sgd": 0.01},
    schedule="cosine",
    epochs=3,
    min_steps=0,
    batch_size=32,
    stop_after=None,
    momentum=0.9,
    keep="last",
)


def network(precision: str) -> keras.Model:
    views = keras.Input((4, 4, 1))
    inner = keras.layers.Dense(8, activation="relu", dtype=precision)(keras.layers.Flatten()(views))
    return keras.Model(views, keras.layers.Dense(2, dtype="float32")(inner))


def part(first: int, count: int) -> SplitPart:
    rows = np.arange(first, first + count)
    names = [str(row) for row in rows]
    return SplitPart(names, rows, (rows % 2).astype(np.int32), names)


def main(folder: Path) -> None:
    (processor,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)
    signs = np.where(np.arange(TRAIN + VALIDATION) % 2, -1, 1).reshape(-1, 1, 1, 1)
    images = np.random.default_rng(0).normal(size=(TRAIN + VALIDATION, 4, 4, 1)) * 2 + signs
    array = pixels.create(folder / "pixels.zarr", images.shape[1:], "float32")
    pixels.grow(array, len(images))
    pixels.write_shard(array, 0, images.astype(np.float32))
    spec = FitSpec(network, lambda images, seed: images, lambda images: images, 2)
    data = FitData(array, part(0, TRAIN), part(TRAIN, VALIDATION))
    for names in (("/cpu:0",), ("/cpu:0", "/cpu:1")):
        device = Device("cpu", names, "float32")
        work = folder / str(len(names))
        plan = Fit(spec=spec, data=data, settings=SETTINGS, optimizer="sgd", seed=5, device=device, folder=work)
        done = fit(plan)
        found = {"replicas": device.strategy().num_replicas_in_sync, "losses": [one.train_loss for one in done.history]}
        print(json.dumps(found | {"weights": [weight.tolist() for weight in done.weights]}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
