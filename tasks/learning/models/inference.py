"""Fast inference with a saved model, whose outputs agree with Keras.

On a processor ONNX Runtime is fastest, with planes-first graphs (`tasks.learning.models.onnx_export`) and one thread a
block of samples. It needs no TensorFlow, whose import takes longer than scoring 20,000 stamps. A model is exported
once: the file is cached under the model's sha256, and used only if its outputs were found to agree with Keras.
Otherwise TensorFlow runs the model, its preprocessing compiled by XLA: on a graphics processor, and where an export
differs.
"""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from tasks.store.files import sha256_of_file, write_json

if TYPE_CHECKING:
    import keras

Engine = Literal["auto", "onnx", "tensorflow"]
"""``auto`` is onnx if its outputs agree with Keras, else tensorflow."""
BLOCK = 64
"""Samples of one run: their activations fit a core's cache."""
USUAL_DIFFERENCE, MOST_DIFFERENCE = 1e-3, 0.1
"""Largest allowed difference between the outputs of Keras and of the exported model: for 95 % of `trial_samples`, and
for any of them.

Sums in another order differ by about 1e-5. A model that clips outliers has a step where a pixel equals the limit, and
rounding decides which side it falls on: one stamp of a thousand then differs by 0.001 to 0.02, as between processors.
"""
TRIALS = 256
TENSORFLOW_BLOCK = 2048
NETWORK = "network"
_FORMAT = 1


class ParityError(ValueError):
    """An exported model's outputs differ from those of the model."""


@dataclass(frozen=True)
class Outputs:
    """A model that is ready to run.

    Attributes
    ----------
    engine : str
        ``onnxruntime`` or ``tensorflow``.
    run : callable
        (n, h, w, c) float32 to (n, k) float32, any n.
    parallel : bool
        Whether calling `run` from several threads is faster; otherwise it uses all processors itself.
    largest_difference : float or None
        Difference from Keras on `trial_samples`; None where Keras runs it.
    """

    engine: str
    run: Callable[[NDArray], NDArray[np.float32]]
    parallel: bool
    largest_difference: float | None


def open_outputs(card: dict[str, Any], load: Callable[[], "keras.Model"], cache: Path, engine: Engine) -> Outputs:
    """Return a model ready to run, in its fastest form.

    Parameters
    ----------
    card : dict
        Content of its ``model.json``.
    load : callable
        Returns the Keras model; called only if TensorFlow runs it or it is not exported yet.
    cache : Path
        Folder of the exported models.
    engine : Engine

    Raises
    ------
    ParityError
        `engine` is onnx and the exported model's outputs differ from those of Keras.
    """
    if engine == "tensorflow":
        return Outputs("tensorflow", tensorflow_outputs(load()), False, None)
    path = cache / f"{card['sha256']}.onnx"
    difference = _verified(path)
    if difference is None:
        model = load()
        try:
            difference = export_verified(model, path)
        except ParityError:
            if engine == "onnx":
                raise
            return Outputs("tensorflow", tensorflow_outputs(model), False, None)
    return Outputs("onnxruntime", onnx_outputs(path), True, difference)


def export_verified(model: "keras.Model", path: Path) -> float:
    """Export a model and return the largest difference of its outputs from those of Keras.

    The result is saved beside the file, so that a later run can use the file without Keras.

    Raises
    ------
    ParityError
        The difference exceeds `USUAL_DIFFERENCE` or `MOST_DIFFERENCE`, or is not finite; no file is left.
    """
    from tasks.learning.models.onnx_export import export_onnx

    samples = trial_samples(tuple(model.inputs[0].shape[1:]))
    export_onnx(model, path, planes_first=True)
    differences = np.max(np.abs(np.asarray(model.predict_on_batch(samples)) - onnx_outputs(path)(samples)), axis=1)
    usual, largest = float(np.quantile(differences, 0.95)), float(np.max(differences))
    if not (usual <= USUAL_DIFFERENCE and largest <= MOST_DIFFERENCE):
        path.unlink()
        raise ParityError(
            f"the exported model differs from Keras by {usual:g} for 95 % of {len(samples)} samples and by up to "
            f"{largest:g}; {USUAL_DIFFERENCE:g} and {MOST_DIFFERENCE:g} are allowed"
        )
    measured = {"usual_difference": usual, "largest_difference": largest, "samples": len(samples)}
    write_json(_facts_path(path), _facts(path) | measured)
    return largest


def check_parity(model: "keras.Model", path: Path, samples: NDArray, most: float) -> float:
    """Return the largest difference between the outputs of a model and of its export for samples (n, h, w, c).

    Parameters
    ----------
    model : keras.Model
    path : Path
        The exported model, which takes samples in the model's own axis order.
    samples : (n, h, w, c) float32
    most : float
        Largest allowed difference.

    Raises
    ------
    ParityError
        The difference exceeds `most`, or an output is not finite.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (name,) = [entry.name for entry in session.get_inputs()]
    exported = np.asarray(session.run(None, {name: samples})[0], np.float32)
    difference = float(np.max(np.abs(np.asarray(model.predict_on_batch(samples)) - exported)))
    if not difference <= most:
        raise ParityError(
            f"{path} differs from its model by {difference:g} on {len(samples)} samples, at most {most:g} is allowed"
        )
    return difference


def _verified(path: Path) -> float | None:
    """Return the difference measured when a file was exported; None unless this version verified these bytes."""
    try:
        saved = json.loads(_facts_path(path).read_text(encoding="utf-8"))
        expected = _facts(path)
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return float(saved["largest_difference"]) if {name: saved.get(name) for name in expected} == expected else None


def _facts(path: Path) -> dict[str, Any]:
    """Return what a verification depends on: the format of the record, the runtime, and the file's bytes."""
    from onnxruntime import __version__

    return {"format": _FORMAT, "onnxruntime": __version__, "sha256": sha256_of_file(path)}


def _facts_path(path: Path) -> Path:
    return path.with_suffix(".json")


def trial_samples(shape: tuple[int, ...], seed: int = 0) -> NDArray[np.float32]:
    """Return samples (`TRIALS`, *shape) to compare outputs on: sources on noise at many levels, and hard cases.

    The hard cases are a plane of zeros, NaN at the border, in half a plane and in scattered pixels, a flat top, one
    pixel far above all others, and a negative level.
    """
    rng = np.random.default_rng(seed)
    height, width, channels = shape
    level = 10 ** rng.uniform(0, 4, (TRIALS, 1, 1, 1))
    noise = level * 10 ** rng.uniform(-2, 0, level.shape)
    samples = level + noise * rng.standard_normal((TRIALS, *shape))
    y, x = np.indices((height, width))
    spot = np.exp(-((y - (height - 1) / 2) ** 2 + (x - (width - 1) / 2) ** 2) / 5)[..., None]
    peak = noise * 10 ** rng.uniform(0, 3, level.shape) * rng.choice([-1, 1], level.shape, p=[0.2, 0.8])
    samples += peak * spot * rng.uniform(0, 1, (TRIALS, 1, 1, channels))
    samples[0, ..., 0] = 0
    samples[1, :3] = samples[2, :, -3:] = samples[3, : height // 2, :, 0] = np.nan
    samples[4][rng.random(shape) < 0.1] = np.nan
    samples[5] = np.minimum(samples[5], level[5] + noise[5])
    samples[6, height // 2, width // 2] += 1e6
    samples[7] *= -1
    return samples.astype(np.float32)


def onnx_outputs(path: Path) -> Callable[[NDArray], NDArray[np.float32]]:
    """Return a function that runs a planes-first ONNX file in the calling thread, `BLOCK` samples at a time.

    It takes (n, h, w, c) and returns (n, k) float32.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (name,) = [entry.name for entry in session.get_inputs()]

    def outputs(samples: NDArray) -> NDArray[np.float32]:
        blocks = [
            session.run(None, {name: np.ascontiguousarray(np.moveaxis(samples[first : first + BLOCK], -1, 1))})[0]
            for first in range(0, len(samples), BLOCK)
        ]
        return np.concatenate(blocks)

    return outputs


def tensorflow_outputs(model: "keras.Model", block: int = TENSORFLOW_BLOCK) -> Callable[[NDArray], NDArray[np.float32]]:
    """Return a function that runs a Keras model with TensorFlow, (n, h, w, c) to (n, k) float32.

    XLA fuses the many passes of the layers before ``network``; convolutions are faster without XLA on a processor.
    Blocks are padded to one size, so that the model is compiled once.
    """
    import tensorflow as tf

    run = _compile(model)

    def block_outputs(samples: NDArray) -> NDArray[np.float32]:
        missing = block - len(samples)
        full = np.concatenate([samples, np.repeat(samples[-1:], missing, axis=0)]) if missing else samples
        return np.asarray(run(tf.convert_to_tensor(full)), np.float32)[: len(samples)]

    def outputs(samples: NDArray) -> NDArray[np.float32]:
        return np.concatenate(
            [block_outputs(samples[first : first + block]) for first in range(0, len(samples), block)]
        )

    return outputs


def _compile(model: "keras.Model") -> Callable[[Any], Any]:
    """Return the model as a function: preprocessing compiled by XLA, then the layer ``network`` if there is one."""
    import keras
    import tensorflow as tf

    if model.layers[-1].name != NETWORK:
        return tf.function(lambda samples: model(samples, training=False), autograph=False)
    before, network = keras.Model(model.inputs[0], model.layers[-2].output), model.layers[-1]
    prepare = tf.function(lambda samples: before(samples, training=False), jit_compile=True, autograph=False)
    classify = tf.function(lambda views: network(views, training=False), autograph=False)
    return lambda samples: classify(prepare(samples))


def run_in_parallel(outputs: Outputs, samples: NDArray, threads: int) -> NDArray[np.float32]:
    """Return the outputs (n, k) of samples (n, h, w, c), computed by several threads where that is faster."""
    if not outputs.parallel or threads < 2:
        return outputs.run(samples)
    pieces = [samples[first : first + BLOCK] for first in range(0, len(samples), BLOCK)]
    with ThreadPoolExecutor(threads) as pool:
        return np.concatenate(list(pool.map(outputs.run, pieces)))
