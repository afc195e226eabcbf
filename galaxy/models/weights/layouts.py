"""Layouts of published weights: which arrays of a file belong to which layer of a network.

A conversion gives, by the name of a layer, its arrays in the order and shapes of Keras.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from galaxy.models.efficientnet_lite import BLOCKS
from galaxy.models.network_settings import Backbone, VitSettings, XceptionSettings
from galaxy.models.weights.errors import WeightsError

Layers = dict[str, list[NDArray]]

_COUNTER = ".num_batches_tracked"  # of torch's batch normalisation; nothing is computed from it


@dataclass(frozen=True)
class WeightLayout:
    """One way in which weights are published.

    Attributes
    ----------
    name : str
    kind : str
        The kind of network, as in its settings.
    marks : tuple of str
        Names of arrays that only this layout has.
    convert : callable
        Arrays by name, and settings, to `Layers` of the body.
    top : tuple of str
        Beginnings of the names of arrays that are not the body's.
    """

    name: str
    kind: str
    marks: tuple[str, ...]
    convert: Callable[["_Arrays", Any], Layers]
    top: tuple[str, ...]


def find_layout(arrays: Mapping[str, NDArray], source: str) -> WeightLayout:
    """Return the layout of a file's arrays.

    Raises
    ------
    WeightsError
        None is known; the message names some of the arrays.
    """
    for layout in LAYOUTS:
        if all(mark in arrays for mark in layout.marks):
            return layout
    known = "; ".join(layout.name for layout in LAYOUTS)
    raise WeightsError(
        f"{source} holds {len(arrays)} arrays in no known layout (the first: {', '.join(list(arrays)[:3])}); "
        f"known are {known}"
    )


def body_layers(arrays: Mapping[str, NDArray], settings: Backbone, source: str) -> Layers:
    """Return the arrays of a body's layers from those of a file.

    Parameters
    ----------
    arrays : dict of name to array
    settings : Backbone
        The network to fill.
    source : str
        Named in messages.

    Raises
    ------
    WeightsError
        The arrays are of another kind of network, of another size, or some are missing or left over.
    """
    layout = find_layout(arrays, source)
    if layout.kind != settings.kind:
        raise WeightsError(f"{source} holds weights of {layout.name}, not of {settings.kind}")
    named = _Arrays(arrays, source)
    layers = layout.convert(named, settings)
    left = [name for name in arrays if name not in named.used and not name.startswith(layout.top)]
    left = [name for name in left if not name.endswith(_COUNTER)]
    if left:
        raise WeightsError(
            f"{source} has arrays that {settings.kind} lacks, such as {left[0]}: it is of another network"
        )
    return layers


class _Arrays(dict[str, NDArray]):
    """Arrays by name; a missing one is an error that names the file."""

    def __init__(self, arrays: Mapping[str, NDArray], source: str) -> None:
        super().__init__(arrays)
        self.source = source
        self.used: set[str] = set()

    def __getitem__(self, name: str) -> NDArray:
        self.used.add(name)
        return super().__getitem__(name)

    def __missing__(self, name: str) -> NDArray:
        raise WeightsError(f"{self.source} has no {name}: it holds a smaller or another network")

    def several(self, prefix: str, *names: str) -> list[NDArray]:
        """Return the arrays of these names below a prefix."""
        return [self[f"{prefix}{name}"] for name in names]


def _vit_from_jax(arrays: _Arrays, settings: VitSettings) -> Layers:
    """ViT of google-research/vision_transformer, which vit-keras publishes too: kernels as in Keras."""
    blocks = {name.split("/")[1] for name in arrays if name.startswith("Transformer/encoderblock_")}
    _require_vit_size(arrays.source, settings, len(blocks), arrays["cls"].shape[-1])
    layers: Layers = {
        "embedding": arrays.several("embedding/", "kernel", "bias"),
        "positions": [
            arrays["cls"],
            resized_positions(arrays["Transformer/posembed_input/pos_embedding"], settings),
        ],
        "encoder_normalisation": arrays.several("Transformer/encoder_norm/", "scale", "bias"),
    }
    for block in range(settings.depth):
        prefix, name = f"Transformer/encoderblock_{block}/", f"block_{block}"
        attention = f"{prefix}MultiHeadDotProductAttention_1/"
        projections = [arrays.several(f"{attention}{part}/", "kernel", "bias") for part in ("query", "key", "value")]
        layers[f"{name}_attention"] = _attention(
            projections, arrays.several(f"{attention}out/", "kernel", "bias"), settings
        )
        layers[f"{name}_attention_normalisation"] = arrays.several(f"{prefix}LayerNorm_0/", "scale", "bias")
        layers[f"{name}_dense_normalisation"] = arrays.several(f"{prefix}LayerNorm_2/", "scale", "bias")
        layers[f"{name}_hidden"] = arrays.several(f"{prefix}MlpBlock_3/Dense_0/", "kernel", "bias")
        layers[f"{name}_dense"] = arrays.several(f"{prefix}MlpBlock_3/Dense_1/", "kernel", "bias")
    return layers


def _vit_from_timm(arrays: _Arrays, settings: VitSettings) -> Layers:
    """ViT of timm: dense kernels are transposed, query, key and value stacked in one."""
    blocks = {name.split(".")[1] for name in arrays if name.startswith("blocks.")}
    _require_vit_size(arrays.source, settings, len(blocks), arrays["cls_token"].shape[-1])
    layers: Layers = {
        "embedding": [_convolution(arrays["patch_embed.proj.weight"]), arrays["patch_embed.proj.bias"]],
        "positions": [arrays["cls_token"], resized_positions(arrays["pos_embed"], settings)],
        "encoder_normalisation": arrays.several("norm.", "weight", "bias"),
    }
    for block in range(settings.depth):
        prefix, name = f"blocks.{block}.", f"block_{block}"
        kernel, bias = arrays.several(f"{prefix}attn.qkv.", "weight", "bias")
        projections = [
            [part.T, part_bias] for part, part_bias in zip(np.split(kernel, 3), np.split(bias, 3), strict=True)
        ]
        layers[f"{name}_attention"] = _attention(projections, _dense(arrays, f"{prefix}attn.proj."), settings)
        layers[f"{name}_attention_normalisation"] = arrays.several(f"{prefix}norm1.", "weight", "bias")
        layers[f"{name}_dense_normalisation"] = arrays.several(f"{prefix}norm2.", "weight", "bias")
        layers[f"{name}_hidden"] = _dense(arrays, f"{prefix}mlp.fc1.")
        layers[f"{name}_dense"] = _dense(arrays, f"{prefix}mlp.fc2.")
    return layers


def _require_vit_size(source: str, settings: VitSettings, depth: int, width: int) -> None:
    if (depth, width) != (settings.depth, settings.width):
        raise WeightsError(
            f"{source} holds a Vision Transformer of depth {depth} and width {width}; this network has depth "
            f"{settings.depth} and width {settings.width}"
        )


def _attention(projections: list[list[NDArray]], out: list[NDArray], settings: VitSettings) -> list[NDArray]:
    """Return the arrays of Keras's attention layer: kernels (width, heads, width / heads), the output's reversed."""
    heads, width = settings.heads, settings.width
    split = [
        array.reshape((width, heads, -1) if number == 0 else (heads, -1))
        for projection in projections
        for number, array in enumerate(projection)
    ]
    return [*split, out[0].reshape(heads, -1, width), out[1]]


def resized_positions(positions: NDArray, settings: VitSettings) -> NDArray:
    """Return position embeddings (1, 1 + patches, width) for the settings' grid, bilinear as in the published code."""
    token, grid = positions[:, :1], positions[0, 1:]
    side, new_side = isqrt(len(grid)), settings.input_px // settings.patch_px
    if side == new_side:
        return positions
    if side * side != len(grid):
        raise WeightsError(f"position embeddings of {len(grid)} patches are of no square grid")
    square = grid.reshape(side, side, -1).astype(np.float32)
    resized = ndimage.zoom(square, (new_side / side, new_side / side, 1), order=1)
    return np.concatenate([token, resized.reshape(1, new_side**2, -1)], axis=1)


def _efficientnet_lite(arrays: _Arrays, settings: Any) -> Layers:
    """EfficientNet-Lite of the efficientnet-lite-pytorch packages."""
    layers: Layers = {}

    def add(layer: str, convolution: str, normalisation: str, *, depthwise: bool = False) -> None:
        kernel = arrays[f"{convolution}.weight"]
        layers[f"{layer}_convolution"] = [kernel.transpose(2, 3, 0, 1) if depthwise else _convolution(kernel)]
        layers[f"{layer}_normalisation"] = arrays.several(
            f"{normalisation}.", "weight", "bias", "running_mean", "running_var"
        )

    add("stem", "_conv_stem", "_bn0")
    for number, (group, _) in enumerate(BLOCKS):
        name, prefix = f"block_{number}", f"_blocks.{number}."
        if group.expansion > 1:
            add(f"{name}_expand", f"{prefix}_expand_conv", f"{prefix}_bn0")
        add(f"{name}_depthwise", f"{prefix}_depthwise_conv", f"{prefix}_bn1", depthwise=True)
        add(f"{name}_project", f"{prefix}_project_conv", f"{prefix}_bn2")
    add("top", "_conv_head", "_bn1")
    return layers


def _xception(arrays: _Arrays, settings: XceptionSettings) -> Layers:
    """Xception of ``keras.applications``: the shortcuts have running numbers, all else the names of our layers."""
    by_layer: Layers = {}
    for name in arrays:
        by_layer.setdefault(name.rpartition("/")[0], []).append(arrays[name])
    named = {name: found for name, found in by_layer.items() if name.startswith("block")}
    others = [found for name, found in by_layer.items() if name not in named and name != "predictions"]
    # The shortcuts' convolutions and normalisations alternate or follow each other, each kind in the network's order.
    kinds = {1: [found for found in others if len(found) == 1], 4: [found for found in others if len(found) == 4]}
    blocks = [2, 3, 4, 5 + settings.middle_blocks]
    if any(len(found) != len(blocks) for found in kinds.values()):
        raise WeightsError(f"{arrays.source} has {len(kinds[1])} strided shortcuts, Xception has {len(blocks)}")
    for number, block in enumerate(blocks):
        named[f"block{block}_shortcut"] = kinds[1][number]
        named[f"block{block}_shortcut_bn"] = kinds[4][number]
    return named


def _convolution(kernel: NDArray) -> NDArray:
    """Return a kernel (out, in, y, x) as (y, x, in, out)."""
    return kernel.transpose(2, 3, 1, 0)


def _dense(arrays: _Arrays, prefix: str) -> list[NDArray]:
    kernel, bias = arrays.several(prefix, "weight", "bias")
    return [kernel.T, bias]


LAYOUTS = (
    WeightLayout(
        "a Vision Transformer in JAX's layout (.npz)",
        "vit",
        ("embedding/kernel", "cls", "Transformer/encoder_norm/scale"),
        _vit_from_jax,
        ("head/", "pre_logits/"),
    ),
    WeightLayout(
        "a Vision Transformer in timm's layout (.safetensors)",
        "vit",
        ("patch_embed.proj.weight", "cls_token", "pos_embed"),
        _vit_from_timm,
        ("head.",),
    ),
    WeightLayout(
        "EfficientNet-Lite (torch)",
        "efficientnet-lite0",
        ("_conv_stem.weight", "_conv_head.weight"),
        _efficientnet_lite,
        ("_fc.",),
    ),
    WeightLayout(
        "Xception (Keras .h5)", "xception", ("block1_conv1/0", "block2_sepconv1/0"), _xception, ("predictions/",)
    ),
)
