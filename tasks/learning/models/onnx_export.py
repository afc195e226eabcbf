"""Exporting a model to ONNX, for programs that have no TensorFlow."""

from pathlib import Path

import keras
import tensorflow as tf

from tasks.store.files import whole_file

OPSET = 18
INPUT = "samples"


def export_onnx(model: keras.Model, path: Path, *, planes_first: bool = False) -> None:
    """Write a model of one input and one output as ONNX, for any number of samples; the file appears whole.

    With `planes_first` the export takes (n, c, h, w) where the model takes (n, h, w, c). That is faster for networks of
    stamps: their preprocessing, such as a subtraction of (n, 1, 1, 3) from (n, h, w, 3), else works in runs of three
    values.
    """
    import onnx
    import tf2onnx

    inputs = model.inputs[0]
    signature = [tf.TensorSpec((None, *inputs.shape[1:]), inputs.dtype, name=INPUT)]

    @tf.function(input_signature=signature, autograph=False)
    def run(samples: tf.Tensor) -> tf.Tensor:
        return model(samples, training=False)

    planes_first_inputs = [INPUT] if planes_first else None
    graph, _ = tf2onnx.convert.from_function(
        run, input_signature=signature, opset=OPSET, inputs_as_nchw=planes_first_inputs
    )
    onnx.checker.check_model(graph)
    with whole_file(path) as beside:
        onnx.save(graph, str(beside))
