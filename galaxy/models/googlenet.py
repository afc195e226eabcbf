"""GoogLeNet (Szegedy et al. 2015, arXiv:1409.4842): nine inception modules of parallel convolutions.

Filters are those of the paper's table 1. Batch normalisation takes the place of its local response normalisation and of
the two auxiliary outputs, which were there to train a network without it.
"""

import re
from typing import Any

from keras import layers

from galaxy.models.network_settings import GoogLeNetSettings

SMALLEST_PX = 32
_MOMENTUM = 0.9

MODULES: tuple[tuple[str, tuple[int, int, int, int, int, int]], ...] = (
    ("3a", (64, 96, 128, 16, 32, 32)),
    ("3b", (128, 128, 192, 32, 96, 64)),
    ("4a", (192, 96, 208, 16, 48, 64)),
    ("4b", (160, 112, 224, 24, 64, 64)),
    ("4c", (128, 128, 256, 24, 64, 64)),
    ("4d", (112, 144, 288, 32, 64, 64)),
    ("4e", (256, 160, 320, 32, 128, 128)),
    ("5a", (256, 160, 320, 32, 128, 128)),
    ("5b", (384, 192, 384, 48, 128, 128)),
)
"""Module -> filters of 1x1; of the reduction before 3x3 and of 3x3; the same for 5x5; of 1x1 after pooling."""


def body(images: Any, settings: GoogLeNetSettings, precision: str) -> Any:
    """Return the features (n, 1024) of images (n, y, x, 3) scaled to -1 to 1."""
    images = _convolution(images, 64, 7, "stem_1", precision, stride=2)
    images = _pooled(images, "stem_1_pooling", precision)
    images = _convolution(images, 64, 1, "stem_2_reduction", precision)
    images = _convolution(images, 192, 3, "stem_2", precision)
    images = _pooled(images, "stem_2_pooling", precision)
    stage = MODULES[0][0][0]
    for name, filters in MODULES:
        if name[0] != stage:
            stage = name[0]
            images = _pooled(images, f"pooling_{stage}", precision)
        images = _inception(images, filters, f"inception_{name}", precision)
    return layers.GlobalAveragePooling2D(dtype=precision, name="mean")(images)


def block_of(layer: str) -> str | None:
    """Return the convolution of the stem or the inception module of a layer, or None."""
    found = re.match(r"stem_\d|inception_\d[a-e]", layer)
    return None if found is None else found[0]


def _inception(images: Any, filters: tuple[int, ...], name: str, precision: str) -> Any:
    one, before_three, three, before_five, five, pooled = filters
    reduced_three = _convolution(images, before_three, 1, f"{name}_3_reduction", precision)
    reduced_five = _convolution(images, before_five, 1, f"{name}_5_reduction", precision)
    largest = layers.MaxPooling2D(3, strides=1, padding="same", dtype=precision, name=f"{name}_pooling")(images)
    branches = [
        _convolution(images, one, 1, f"{name}_1", precision),
        _convolution(reduced_three, three, 3, f"{name}_3", precision),
        _convolution(reduced_five, five, 5, f"{name}_5", precision),
        _convolution(largest, pooled, 1, f"{name}_pooled", precision),
    ]
    return layers.Concatenate(dtype=precision, name=name)(branches)


def _convolution(images: Any, filters: int, width: int, name: str, precision: str, *, stride: int = 1) -> Any:
    """Convolution, batch normalisation, ReLU."""
    images = layers.Conv2D(
        filters,
        width,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        dtype=precision,
        name=f"{name}_convolution",
    )(images)
    images = layers.BatchNormalization(momentum=_MOMENTUM, dtype=precision, name=f"{name}_normalisation")(images)
    return layers.ReLU(dtype=precision, name=f"{name}_relu")(images)


def _pooled(images: Any, name: str, precision: str) -> Any:
    return layers.MaxPooling2D(3, strides=2, padding="same", dtype=precision, name=name)(images)
