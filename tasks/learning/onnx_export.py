"""A saved model as ONNX, for programs that have no TensorFlow, and how far its answers are from Keras's."""

from pathlib import Path

import keras
import numpy as np
import onnxruntime
import tensorflow as tf
from numpy.typing import NDArray

from tasks.learning.inference import ParityError
from tasks.store.files import whole_file

OPSET = 18
INPUT = "samples"


def export_onnx(model: keras.Model, path: Path, *, planes_first: bool = False) -> None:
    """Write a model of one input and one output as ONNX; the number of samples is free.

    With `planes_first` it takes (n, c, h, w) where the model takes (n, h, w, c), for speed: of a network of stamps the
    convolutions are quick and what comes before them is not, as a subtraction of (n, 1, 1, 3) from (n, h, w, 3) works
    in runs of three values. A reader sees the file whole or not at all.
    """
    import onnx
    import tf2onnx

    inputs = model.inputs[0]
    signature = [tf.TensorSpec((None, *inputs.shape[1:]), inputs.dtype, name=INPUT)]

    @tf.function(input_signature=signature, autograph=False)
    def run(samples: tf.Tensor) -> tf.Tensor:
        return model(samples, training=False)

    turned = [INPUT] if planes_first else None
    graph, _ = tf2onnx.convert.from_function(run, input_signature=signature, opset=OPSET, inputs_as_nchw=turned)
    onnx.checker.check_model(graph)
    with whole_file(path) as beside:
        onnx.save(graph, str(beside))


def run_onnx(path: Path, samples: NDArray) -> NDArray[np.float32]:
    """Return what the exported model gives of samples, by ONNX Runtime on the processor."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (name,) = [entry.name for entry in session.get_inputs()]
    return np.asarray(session.run(None, {name: samples})[0], np.float32)


def parity(model: keras.Model, path: Path, samples: NDArray, most: float) -> float:
    """Return the largest difference between both models' answers to samples.

    Raises
    ------
    ParityError
        It exceeds `most`, or one of the two is not finite.
    """
    ours, theirs = np.asarray(model.predict_on_batch(samples)), run_onnx(path, samples)
    difference = float(np.max(np.abs(ours - theirs)))
    if not difference <= most:
        raise ParityError(
            f"{path} differs from its model by {difference:g} on {len(samples)} samples, at most {most:g} is allowed"
        )
    return difference
