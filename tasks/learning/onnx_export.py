"""A saved model as ONNX, for programs that have no TensorFlow, and how far its answers are from Keras's."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnxruntime
import tensorflow as tf
from numpy.typing import NDArray

from tasks.learning.inference import ParityError
from tasks.store.files import whole_file

OPSET = 18
INPUT = "samples"


def onnx_graph(model: keras.Model, *, planes_first: bool = False) -> Any:
    """Return a model of one input and one output as an ONNX graph; the number of samples is free.

    With `planes_first` it takes (n, c, h, w) where the model takes (n, h, w, c).
    """
    import tf2onnx

    inputs = model.inputs[0]
    signature = [tf.TensorSpec((None, *inputs.shape[1:]), inputs.dtype, name=INPUT)]

    @tf.function(input_signature=signature, autograph=False)
    def run(samples: tf.Tensor) -> tf.Tensor:
        return model(samples, training=False)

    turned = [INPUT] if planes_first else None
    graph, _ = tf2onnx.convert.from_function(run, input_signature=signature, opset=OPSET, inputs_as_nchw=turned)
    return graph


def write_onnx(graph: Any, path: Path) -> None:
    """Write a graph that holds together; a reader sees it whole or not at all."""
    import onnx

    onnx.checker.check_model(graph)
    with whole_file(path) as beside:
        onnx.save(graph, str(beside))


def export_onnx(model: keras.Model, path: Path) -> None:
    """Write a model of one input and one output as ONNX, with the stored order of axes."""
    write_onnx(onnx_graph(model), path)


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
