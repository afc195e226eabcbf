"""Running a saved model as fast as a processor can, with the answers that Keras gives.

ONNX Runtime on planes-first graphs (`tasks.learning.onnx_export`), one thread a block of samples, is the quickest on a
processor and needs no TensorFlow, which takes longer to import than 20,000 stamps to score. A model is exported once:
the file is kept by the model's sha256, and used only if its answers were found to be Keras's. TensorFlow itself, with
what comes before the network compiled by XLA, is the second way: for a graphics processor, and where an export is
refused.
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
"""auto: onnx where its answers are Keras's, else tensorflow."""
BLOCK = 64
"""Samples of one run: what they become inside of a network fits a core's cache."""
USUAL_DIFFERENCE, MOST_DIFFERENCE = 1e-3, 0.1
"""Between the outputs of Keras and of what was exported: for 95 % of `trial_samples`, and for any of them.

Sums in another order differ by some 1e-5. A model that clips outliers takes a step where a pixel lies at the limit, and
rounding decides on which side: one stamp of a thousand then differs by 0.001 to 0.02, as it does between processors.
"""
TRIALS = 256
TENSORFLOW_BLOCK = 2048
NETWORK = "network"
_FORMAT = 1


class ParityError(ValueError):
    """What was exported does not answer as the model does."""


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
        Whether several threads gain by calling `run` at once; else it uses all processors by itself.
    largest_difference : float or None
        From Keras, on `trial_samples`; None where it is Keras.
    """

    engine: str
    run: Callable[[NDArray], NDArray[np.float32]]
    parallel: bool
    largest_difference: float | None


def open_outputs(card: dict[str, Any], load: Callable[[], "keras.Model"], cache: Path, engine: Engine) -> Outputs:
    """Return a model in its fastest form.

    Parameters
    ----------
    card : dict
        Its ``model.json``.
    load : callable
        Gives the Keras model; called only if TensorFlow runs it, or it has yet to be exported.
    cache : Path
        Folder that keeps what was exported.
    engine : Engine

    Raises
    ------
    ParityError
        `engine` is onnx and the exported model answers otherwise than Keras.
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
    """Export a model and return how far its answers are off; what is kept beside the file lets it be used again.

    Raises
    ------
    ParityError
        By more than `USUAL_DIFFERENCE` or `MOST_DIFFERENCE`, or one is not finite; no file is left.
    """
    from tasks.learning.onnx_export import export_onnx

    samples = trial_samples(tuple(model.inputs[0].shape[1:]))
    export_onnx(model, path, planes_first=True)
    theirs, ours = np.asarray(model.predict_on_batch(samples)), onnx_outputs(path)(samples)
    differences = np.max(np.abs(theirs - ours), axis=1)
    usual, largest = float(np.quantile(differences, 0.95)), float(np.max(differences))
    if not (usual <= USUAL_DIFFERENCE and largest <= MOST_DIFFERENCE):
        path.unlink()
        raise ParityError(
            f"the exported model differs from Keras by {usual:g} for 95 % of {len(samples)} samples and by up to "
            f"{largest:g}; {USUAL_DIFFERENCE:g} and {MOST_DIFFERENCE:g} are allowed"
        )
    found = {"usual_difference": usual, "largest_difference": largest, "samples": len(samples)}
    write_json(_facts_path(path), _facts(path) | found)
    return largest


def _verified(path: Path) -> float | None:
    """Return the difference found when a file was exported; None if there is none that this program verified."""
    try:
        kept = json.loads(_facts_path(path).read_text(encoding="utf-8"))
        expected = _facts(path)
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return float(kept["largest_difference"]) if {name: kept.get(name) for name in expected} == expected else None


def _facts(path: Path) -> dict[str, Any]:
    """Return what a verification holds for: these bytes, this runtime, this way of exporting."""
    from onnxruntime import __version__

    return {"format": _FORMAT, "onnxruntime": __version__, "sha256": sha256_of_file(path)}


def _facts_path(path: Path) -> Path:
    return path.with_suffix(".json")


def trial_samples(shape: tuple[int, ...], seed: int = 0) -> NDArray[np.float32]:
    """Return samples (`TRIALS`, *shape) on which answers are compared: sources on noise at many levels, and hard cases.

    Among the hard cases are a plane that is all zero, NaN at the border, in half a plane and in scattered pixels, a
    flat top, one pixel far above all others, and a negative level.
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
    """Return a function that runs a planes-first ONNX file in the thread that calls it, `BLOCK` samples at a time."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (name,) = [entry.name for entry in session.get_inputs()]

    def outputs(samples: NDArray) -> NDArray[np.float32]:
        found = [
            session.run(None, {name: np.ascontiguousarray(np.moveaxis(samples[first : first + BLOCK], -1, 1))})[0]
            for first in range(0, len(samples), BLOCK)
        ]
        return np.concatenate(found)

    return outputs


def tensorflow_outputs(model: "keras.Model", block: int = TENSORFLOW_BLOCK) -> Callable[[NDArray], NDArray[np.float32]]:
    """Return a function that runs a Keras model by TensorFlow.

    What comes before its layer ``network`` is many passes over the same numbers, which XLA makes into one; on a
    processor convolutions are faster outside of XLA. Blocks are filled up to one size, so that it compiles once.
    """
    import tensorflow as tf

    run = _in_two(model)

    def block_outputs(samples: NDArray) -> NDArray[np.float32]:
        missing = block - len(samples)
        full = np.concatenate([samples, np.repeat(samples[-1:], missing, axis=0)]) if missing else samples
        return np.asarray(run(tf.convert_to_tensor(full)), np.float32)[: len(samples)]

    def outputs(samples: NDArray) -> NDArray[np.float32]:
        return np.concatenate(
            [block_outputs(samples[first : first + block]) for first in range(0, len(samples), block)]
        )

    return outputs


def _in_two(model: "keras.Model") -> Callable[[Any], Any]:
    """Return the model as a compiled preparation and a network, or as one function where it has no such layer."""
    import keras
    import tensorflow as tf

    if model.layers[-1].name != NETWORK:
        return tf.function(lambda samples: model(samples, training=False), autograph=False)
    before, network = keras.Model(model.inputs[0], model.layers[-2].output), model.layers[-1]
    prepare = tf.function(lambda samples: before(samples, training=False), jit_compile=True, autograph=False)
    judge = tf.function(lambda views: network(views, training=False), autograph=False)
    return lambda samples: judge(prepare(samples))


def run_in_parallel(outputs: Outputs, samples: NDArray, threads: int) -> NDArray[np.float32]:
    """Return the outputs of samples that lie in memory, by several threads where those gain."""
    if not outputs.parallel or threads < 2:
        return outputs.run(samples)
    pieces = [samples[first : first + BLOCK] for first in range(0, len(samples), BLOCK)]
    with ThreadPoolExecutor(threads) as pool:
        return np.concatenate(list(pool.map(outputs.run, pieces)))
