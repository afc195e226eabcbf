"""Published layouts: a network with converted weights computes what a NumPy reference of the layout computes."""

import math
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import erf

from galaxy.models.efficientnet_lite import BLOCKS
from galaxy.models.network_settings import (
    Backbone,
    EfficientNetLite0Settings,
    GalaxyNetworkSettings,
    GoogLeNetSettings,
    VitSettings,
    XceptionSettings,
)
from galaxy.models.networks import build_network, is_head
from galaxy.models.weights.errors import WeightsError
from galaxy.models.weights.files import read_arrays
from galaxy.models.weights.layouts import body_layers, find_layout, resized_positions
from galaxy.models.weights.transfer import load_layers
from tests.weight_files import tensors, write_legacy_torch, write_safetensors

Arrays = dict[str, NDArray]
WIDTH, DEPTH, HEADS, PATCH, SIDE = 8, 2, 2, 4, 3
VIT = VitSettings(input_px=SIDE * PATCH, patch_px=PATCH, width=WIDTH, depth=DEPTH, heads=HEADS)


def features_of(backbone: Backbone, path: Path, images: NDArray) -> NDArray:
    """The body's features of images (n, input_px, input_px, 3), 0 to 255, with the weights of a file."""
    settings = GalaxyNetworkSettings(architecture="backbone", backbone=backbone, view_fraction=1, average_views=False)
    network = build_network(settings, backbone.input_px, 2, grey=False, precision="float32")
    load_layers(network, body_layers(read_arrays(path), backbone, str(path)), is_head, str(path))
    body = keras.Model(network.inputs, network.get_layer("head_dropout").output)
    return np.asarray(body.predict_on_batch(images))


def images(width: int, count: int = 2) -> NDArray:
    noise = np.random.default_rng(0).integers(0, 256, (count, width, width, 3))
    return (noise * np.linspace(0.2, 1, count)[:, None, None, None]).astype(np.float32)


def jax_vit(rng: np.random.Generator, depth: int = DEPTH, side: int = SIDE) -> Arrays:
    hidden, part = 4 * WIDTH, WIDTH // HEADS
    shapes: dict[str, tuple[int, ...]] = {
        "embedding/kernel": (PATCH, PATCH, 3, WIDTH),
        "embedding/bias": (WIDTH,),
        "cls": (1, 1, WIDTH),
        "Transformer/posembed_input/pos_embedding": (1, 1 + side * side, WIDTH),
        "Transformer/encoder_norm/scale": (WIDTH,),
        "Transformer/encoder_norm/bias": (WIDTH,),
        "head/kernel": (WIDTH, 10),
        "head/bias": (10,),
    }
    for block in range(depth):
        prefix = f"Transformer/encoderblock_{block}/"
        for norm in ("LayerNorm_0", "LayerNorm_2"):
            shapes |= {f"{prefix}{norm}/{name}": (WIDTH,) for name in ("scale", "bias")}
        attention = f"{prefix}MultiHeadDotProductAttention_1/"
        for name in ("query", "key", "value"):
            shapes |= {f"{attention}{name}/kernel": (WIDTH, HEADS, part), f"{attention}{name}/bias": (HEADS, part)}
        shapes |= {f"{attention}out/kernel": (HEADS, part, WIDTH), f"{attention}out/bias": (WIDTH,)}
        mlp = f"{prefix}MlpBlock_3/"
        shapes |= {f"{mlp}Dense_0/kernel": (WIDTH, hidden), f"{mlp}Dense_0/bias": (hidden,)}
        shapes |= {f"{mlp}Dense_1/kernel": (hidden, WIDTH), f"{mlp}Dense_1/bias": (WIDTH,)}
    return {name: rng.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}


def timm_vit(jax: Arrays) -> Arrays:
    """The same network as `jax_vit`'s, under timm's names and shapes (https://github.com/huggingface/pytorch-image-models)."""
    arrays = {
        "cls_token": jax["cls"],
        "pos_embed": jax["Transformer/posembed_input/pos_embedding"],
        "patch_embed.proj.weight": np.moveaxis(jax["embedding/kernel"], (3, 2), (0, 1)),
        "patch_embed.proj.bias": jax["embedding/bias"],
        "norm.weight": jax["Transformer/encoder_norm/scale"],
        "norm.bias": jax["Transformer/encoder_norm/bias"],
        "head.weight": jax["head/kernel"].T,
        "head.bias": jax["head/bias"],
    }
    for block in range(DEPTH):
        here, there = f"blocks.{block}.", f"Transformer/encoderblock_{block}/"
        attention = f"{there}MultiHeadDotProductAttention_1/"
        parts = [jax[f"{attention}{name}/kernel"].reshape(WIDTH, WIDTH).T for name in ("query", "key", "value")]
        arrays[f"{here}attn.qkv.weight"] = np.concatenate(parts)  # (3 width, width): out, in
        biases = [jax[f"{attention}{name}/bias"].ravel() for name in ("query", "key", "value")]
        arrays[f"{here}attn.qkv.bias"] = np.concatenate(biases)
        arrays[f"{here}attn.proj.weight"] = jax[f"{attention}out/kernel"].reshape(WIDTH, WIDTH).T
        arrays[f"{here}attn.proj.bias"] = jax[f"{attention}out/bias"]
        for ours, theirs in (("norm1", "LayerNorm_0"), ("norm2", "LayerNorm_2")):
            arrays[f"{here}{ours}.weight"] = jax[f"{there}{theirs}/scale"]
            arrays[f"{here}{ours}.bias"] = jax[f"{there}{theirs}/bias"]
        for ours, theirs in (("mlp.fc1", "MlpBlock_3/Dense_0"), ("mlp.fc2", "MlpBlock_3/Dense_1")):
            arrays[f"{here}{ours}.weight"] = jax[f"{there}{theirs}/kernel"].T
            arrays[f"{here}{ours}.bias"] = jax[f"{there}{theirs}/bias"]
    return arrays


def layer_norm(x: NDArray, scale: NDArray, bias: NDArray) -> NDArray:
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6) * scale + bias


def numpy_vit(w: Arrays, pixels: NDArray) -> NDArray:
    """Features of pixels (n, y, x, 3), 0 to 255, by the arrays of `jax_vit`: the class token after the last norm."""
    x = pixels / 127.5 - 1
    count = len(x)
    patches = x.reshape(count, SIDE, PATCH, SIDE, PATCH, 3).swapaxes(2, 3).reshape(count, SIDE * SIDE, PATCH, PATCH, 3)
    tokens = np.einsum("npyxc,yxcw->npw", patches, w["embedding/kernel"]) + w["embedding/bias"]
    tokens = np.concatenate([np.repeat(w["cls"], count, 0), tokens], axis=1)
    tokens = tokens + w["Transformer/posembed_input/pos_embedding"]
    for block in range(DEPTH):
        p = f"Transformer/encoderblock_{block}/"
        a = f"{p}MultiHeadDotProductAttention_1/"
        inner = layer_norm(tokens, w[f"{p}LayerNorm_0/scale"], w[f"{p}LayerNorm_0/bias"])
        query, key, value = (
            np.einsum("ntw,whd->nhtd", inner, w[f"{a}{name}/kernel"]) + w[f"{a}{name}/bias"][:, None]
            for name in ("query", "key", "value")
        )
        match = np.exp(query @ key.swapaxes(2, 3) / math.sqrt(WIDTH // HEADS))
        seen = match / match.sum(-1, keepdims=True) @ value
        tokens = tokens + np.einsum("nhtd,hdw->ntw", seen, w[f"{a}out/kernel"]) + w[f"{a}out/bias"]
        inner = layer_norm(tokens, w[f"{p}LayerNorm_2/scale"], w[f"{p}LayerNorm_2/bias"])
        inner = inner @ w[f"{p}MlpBlock_3/Dense_0/kernel"] + w[f"{p}MlpBlock_3/Dense_0/bias"]
        inner = inner * (1 + erf(inner / math.sqrt(2))) / 2
        tokens = tokens + inner @ w[f"{p}MlpBlock_3/Dense_1/kernel"] + w[f"{p}MlpBlock_3/Dense_1/bias"]
    return layer_norm(tokens, w["Transformer/encoder_norm/scale"], w["Transformer/encoder_norm/bias"])[:, 0]


def write_jax(path: Path, arrays: Arrays) -> None:
    with path.open("wb") as file:
        np.savez(file, **arrays)


def write_timm(path: Path, arrays: Arrays) -> None:
    write_safetensors(path, timm_vit(arrays))


@pytest.mark.parametrize("write", [write_jax, write_timm])
def test_a_transformer_computes_what_its_layout_says(tmp_path: Path, write: Callable[[Path, Arrays], None]) -> None:
    arrays, seen = jax_vit(np.random.default_rng(1)), images(VIT.input_px)
    write(tmp_path / "vit", arrays)
    found = features_of(VIT, tmp_path / "vit", seen)
    np.testing.assert_allclose(found, numpy_vit(arrays, seen), rtol=1e-3, atol=1e-4)


def test_positions_of_another_grid_are_interpolated() -> None:
    ramp = np.linspace(0, 6, 7)
    plane = np.stack(np.broadcast_arrays(ramp[:, None], 10 * ramp), axis=-1).reshape(1, 49, 2)
    token = np.full((1, 1, 2), -1.0)
    resized = resized_positions(np.concatenate([token, plane], axis=1), VIT)
    np.testing.assert_array_equal(resized[:, :1], token)
    expected = np.stack(np.broadcast_arrays(np.array([0, 3, 6])[:, None], 10 * np.array([0, 3, 6])), axis=-1)
    np.testing.assert_allclose(resized[0, 1:], expected.reshape(9, 2), atol=1e-6)
    same = np.random.default_rng(0).normal(size=(1, 10, 2))
    assert resized_positions(same, VIT) is same


def test_a_transformer_of_another_grid_loads(tmp_path: Path) -> None:
    arrays = jax_vit(np.random.default_rng(1), side=5)
    write_jax(tmp_path / "vit", arrays)
    seen = images(VIT.input_px)
    fitted = arrays | {
        "Transformer/posembed_input/pos_embedding": resized_positions(
            arrays["Transformer/posembed_input/pos_embedding"], VIT
        )
    }
    found = features_of(VIT, tmp_path / "vit", seen)
    np.testing.assert_allclose(found, numpy_vit(fitted, seen), rtol=1e-3, atol=1e-4)


def lite0(rng: np.random.Generator) -> Arrays:
    """Random arrays under the names of the efficientnet-lite packages."""
    arrays: Arrays = {}

    def add(convolution: str, normalisation: str, shape: tuple[int, int, int, int]) -> None:
        fan_in = math.prod(shape[1:])
        arrays[f"{convolution}.weight"] = rng.normal(0, 1.5 / math.sqrt(fan_in), shape).astype(np.float32)
        for name, low, high in (("weight", 0.5, 1.5), ("bias", -0.2, 0.5), ("running_mean", -0.2, 0.2)):
            arrays[f"{normalisation}.{name}"] = rng.uniform(low, high, shape[0]).astype(np.float32)
        arrays[f"{normalisation}.running_var"] = rng.uniform(0.5, 1.5, shape[0]).astype(np.float32)
        arrays[f"{normalisation}.num_batches_tracked"] = np.array(3, np.int64)

    add("_conv_stem", "_bn0", (32, 3, 3, 3))
    fed = 32
    for number, (group, _) in enumerate(BLOCKS):
        prefix, inner = f"_blocks.{number}.", fed * group.expansion
        if group.expansion > 1:
            add(f"{prefix}_expand_conv", f"{prefix}_bn0", (inner, fed, 1, 1))
        add(f"{prefix}_depthwise_conv", f"{prefix}_bn1", (inner, 1, group.kernel_px, group.kernel_px))
        add(f"{prefix}_project_conv", f"{prefix}_bn2", (group.filters, inner, 1, 1))
        fed = group.filters
    add("_conv_head", "_bn1", (1280, fed, 1, 1))
    arrays["_fc.weight"] = rng.normal(size=(1000, 1280)).astype(np.float32)
    arrays["_fc.bias"] = rng.normal(size=1000).astype(np.float32)
    return arrays


def convolve(x: NDArray, kernel: NDArray, stride: int, *, depthwise: bool = False) -> NDArray:
    """Convolve x (n, c, y, x) by a kernel (out, in, k, k) with TensorFlow's padding: the odd pixel at the end."""
    width, size = kernel.shape[-1], x.shape[-1]
    needed = max((-(-size // stride) - 1) * stride + width - size, 0)
    before = needed // 2
    padded = np.pad(x, ((0, 0), (0, 0), (before, needed - before), (before, needed - before)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (width, width), (2, 3))[:, :, ::stride, ::stride]
    if depthwise:
        return np.einsum("ncyxij,cij->ncyx", windows, kernel[:, 0])
    return np.einsum("ncyxij,ocij->noyx", windows, kernel, optimize=True)


def numpy_lite0(w: Arrays, pixels: NDArray) -> NDArray:
    """Features (n, 1280) of pixels (n, y, x, 3), 0 to 255, by the arrays of `lite0`."""

    def normalise(x: NDArray, name: str, *, active: bool = True) -> NDArray:
        scale = w[f"{name}.weight"] / np.sqrt(w[f"{name}.running_var"] + 1e-3)
        x = (x - w[f"{name}.running_mean"][:, None, None]) * scale[:, None, None] + w[f"{name}.bias"][:, None, None]
        return np.clip(x, 0, 6) if active else x

    x = normalise(convolve((np.moveaxis(pixels, 3, 1) - 127) / 128, w["_conv_stem.weight"], 2), "_bn0")
    strides = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)
    for number, stride in enumerate(strides):
        prefix, inner = f"_blocks.{number}.", x
        if number:
            inner = normalise(convolve(inner, w[f"{prefix}_expand_conv.weight"], 1), f"{prefix}_bn0")
        inner = convolve(inner, w[f"{prefix}_depthwise_conv.weight"], stride, depthwise=True)
        inner = normalise(inner, f"{prefix}_bn1")
        inner = normalise(convolve(inner, w[f"{prefix}_project_conv.weight"], 1), f"{prefix}_bn2", active=False)
        x = x + inner if inner.shape == x.shape else inner
    return normalise(convolve(x, w["_conv_head.weight"], 1), "_bn1").mean((2, 3))


def test_efficientnet_lite0_computes_what_its_layout_says(tmp_path: Path) -> None:
    arrays, seen = lite0(np.random.default_rng(2)), images(64)
    write_legacy_torch(tmp_path / "lite0.pth", tensors(arrays))
    found = features_of(EfficientNetLite0Settings(input_px=64), tmp_path / "lite0.pth", seen)
    expected = numpy_lite0(arrays, seen)
    assert np.ptp(expected, axis=0).max() > 0.1
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


@pytest.fixture(scope="module")
def published_xception() -> keras.Model:
    """Keras's own Xception with weights and statistics at random."""
    model = keras.applications.Xception(weights=None, include_top=False, pooling="avg", input_shape=(71, 71, 3))
    rng = np.random.default_rng(3)
    lows = (1.0, 0.1, 0.01, 0.05)  # of scale, shift, mean and variance
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights(
                [rng.uniform(low, 2 * low, weight.shape) for low, weight in zip(lows, layer.weights, strict=True)]
            )
    return model


@pytest.mark.filterwarnings("ignore")
def test_xception_computes_what_keras_s_own_computes(tmp_path: Path, published_xception: keras.Model) -> None:
    published_xception.save(tmp_path / "xception.h5")
    seen = images(71)
    found = features_of(XceptionSettings(input_px=71), tmp_path / "xception.h5", seen)
    expected = np.asarray(published_xception.predict_on_batch(seen / 127.5 - 1))
    assert np.ptp(expected, axis=0).max() > 1e-3
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("backbone", "changes", "message"),
    [
        (XceptionSettings(input_px=71), {}, "weights of a Vision Transformer in JAX's layout .*, not of xception"),
        (GoogLeNetSettings(input_px=64), {}, "a Vision Transformer in JAX's layout .*, not of googlenet"),
        (VIT.model_copy(update={"depth": 3}), {}, "depth 2 and width 8; this network has depth 3 and width 8"),
        (VIT, {"cls": np.zeros((1, 1, 16))}, "depth 2 and width 16; this network has depth 2 and width 8"),
        (VIT, {"embedding/bias": None}, "has no embedding/bias"),
        (
            VIT,
            {"Transformer/encoderblock_0/scale": np.ones(8)},
            "has arrays that vit lacks, such as Transformer/encoderblock_0/scale",
        ),
        (VIT, {"embedding/kernel": np.zeros((2, 2, 3, 8))}, "layer embedding has the shapes"),
        (VIT, {"embedding/bias": np.full(8, np.nan)}, "NaN or infinity in layer embedding"),
        (VIT, {"cls": None}, "in no known layout .the first: embedding/kernel"),
    ],
)
def test_weights_of_another_network_are_refused_by_name(
    tmp_path: Path, backbone: Backbone, changes: dict[str, NDArray | None], message: str
) -> None:
    arrays = jax_vit(np.random.default_rng(1)) | changes
    write_jax(tmp_path / "w.npz", {name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(WeightsError, match=message) as caught:
        features_of(backbone, tmp_path / "w.npz", images(backbone.input_px))
    assert "w.npz" in str(caught.value)


def test_a_larger_member_of_the_family_is_refused() -> None:
    arrays = lite0(np.random.default_rng(2))
    assert find_layout(arrays, "f").kind == "efficientnet-lite0"
    settings = EfficientNetLite0Settings(input_px=64)
    network = build_network(
        GalaxyNetworkSettings(architecture="backbone", backbone=settings, view_fraction=1, average_views=False),
        64,
        2,
        grey=False,
        precision="float32",
    )
    arrays["_blocks.3._project_conv.weight"] = np.zeros((48, 144, 1, 1), np.float32)
    with pytest.raises(WeightsError, match=r"f is of another network: layer block_3_project_convolution"):
        load_layers(network, body_layers(arrays, settings, "f"), is_head, "f")
