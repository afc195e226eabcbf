"""A saved model as ONNX for speed: planes first, and no operation that ONNX Runtime does value by value.

Of a network of stamps the convolutions are quick and what comes before them is not: a subtraction of (n, 1, 1, 3) from
(n, h, w, 3) works in runs of three values, and Asinh calls a scalar function. With the planes first the runs are whole
planes, and an arcsinh made of a logarithm is vectorised. Together that is five times the rate for a cheap network. The
interchange form, with the stored order of axes, is that of `tasks.learning.onnx_export`.
"""

from pathlib import Path
from typing import Any

import keras
import numpy as np

from tasks.learning.onnx_export import onnx_graph, write_onnx

_SCALE = 2.0**-40
"""Before squaring, so that the square of an arcsinh's argument overflows beyond 2e31 only; a power of two is exact."""
_STEEP = 1e30


def export_planes_first(model: keras.Model, path: Path) -> None:
    """Write a model of (n, h, w, c) as ONNX that takes (n, c, h, w); the number of samples is free."""
    graph = onnx_graph(model, planes_first=True)
    _spell_out_asinh(graph)
    write_onnx(graph, path)


def _spell_out_asinh(model: Any) -> None:
    """Replace each Asinh by sign(x) log(|x| + sqrt(x^2 + 1)), in place."""
    from onnx import helper, numpy_helper

    constants = {
        "scale": _SCALE,
        "scale_squared": _SCALE**2,
        "unscale": 1 / _SCALE,
        "steep": _STEEP,
        "lowest": -1.0,
        "highest": 1.0,
    }
    nodes = []
    for node in model.graph.node:
        if node.op_type != "Asinh":
            nodes.append(node)
            continue
        (x,), (result,), name = node.input, node.output, node.name
        steps = [
            ("Abs", [x], "size"),
            ("Mul", [x, "asinh/scale"], "small"),
            ("Mul", ["small", "small"], "square"),
            ("Add", ["square", "asinh/scale_squared"], "square_and_one"),
            ("Sqrt", ["square_and_one"], "small_root"),
            ("Mul", ["small_root", "asinh/unscale"], "root"),
            ("Add", ["root", "size"], "sum"),
            ("Log", ["sum"], "log"),
            ("Mul", [x, "asinh/steep"], "steep"),  # ONNX Runtime's Sign goes value by value
            ("Clip", ["steep", "asinh/lowest", "asinh/highest"], "sign"),
            ("Mul", ["log", "sign"], result),
        ]
        own = {made: f"{name}/{made}" for _, _, made in steps if made != result}
        for operation, inputs, made in steps:
            nodes.append(
                helper.make_node(
                    operation,
                    [own.get(value, value) for value in inputs],
                    [own.get(made, made)],
                    name=f"{name}/{operation}-{made}",
                )
            )
    if len(nodes) == len(model.graph.node):
        return
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(
        numpy_helper.from_array(np.array(value, np.float32), f"asinh/{name}") for name, value in constants.items()
    )
