"""Xception (Chollet 2017, arXiv:1610.02357): residual blocks of depthwise separable convolutions.

With the default settings it is ``keras.applications.Xception`` without its top, layer for layer; the layers of the
blocks have the same names. `XceptionSettings` narrows and shortens it for small machines.
"""

import re
from typing import Any

from keras import layers

from galaxy.models.network_settings import XceptionSettings

SMALLEST_PX = 71
ENTRY_FILTERS = (128, 256, 728)
_MOMENTUM = 0.9  # the published 0.99 needs more steps than a small training has


def scaled(filters: int, settings: XceptionSettings) -> int:
    """Return a published number of filters times the settings' width; exact at width 1, else a multiple of 8."""
    return filters if settings.width == 1 else max(8, 8 * round(filters * settings.width / 8))


def body(images: Any, settings: XceptionSettings, precision: str) -> Any:
    """Return the features (n, 2048 at width 1) of images (n, y, x, 3) scaled to -1 to 1."""
    for number, (filters, stride) in enumerate(((32, 2), (64, 1)), start=1):
        name = f"block1_conv{number}"
        images = layers.Conv2D(
            scaled(filters, settings), 3, strides=stride, use_bias=False, dtype=precision, name=name
        )(images)
        images = _relu(_normalised(images, f"{name}_bn", precision), precision, f"{name}_act")
    for block, filters in enumerate(ENTRY_FILTERS, start=2):
        kept = scaled(filters, settings)
        images = _halved(images, (kept, kept), block, precision, active_first=block > 2)
    for block in range(5, 5 + settings.middle_blocks):
        inner, kept = images, scaled(ENTRY_FILTERS[-1], settings)
        for number in (1, 2, 3):
            inner = _separable(inner, kept, f"block{block}_sepconv{number}", precision, active_first=True)
        images = layers.Add(dtype=precision, name=f"block{block}_sum")([inner, images])
    last = 5 + settings.middle_blocks
    images = _halved(images, (scaled(728, settings), scaled(1024, settings)), last, precision, active_first=True)
    for number, filters in enumerate((1536, 2048), start=1):
        name = f"block{last + 1}_sepconv{number}"
        images = _relu(
            _separable(images, scaled(filters, settings), name, precision, active_first=False),
            precision,
            f"{name}_act",
        )
    return layers.GlobalAveragePooling2D(dtype=precision, name="mean")(images)


def block_of(layer: str) -> str | None:
    """Return the block of a layer, or None."""
    found = re.match(r"block\d+", layer)
    return None if found is None else found[0]


def _halved(images: Any, filters: tuple[int, int], block: int, precision: str, *, active_first: bool) -> Any:
    """Return two separable convolutions and a pooling to half the size, plus a strided convolution of the input."""
    shortcut = layers.Conv2D(
        filters[1],
        1,
        strides=2,
        padding="same",
        use_bias=False,
        dtype=precision,
        name=f"block{block}_shortcut",
    )(images)
    shortcut = _normalised(shortcut, f"block{block}_shortcut_bn", precision)
    for number, kept in enumerate(filters, start=1):
        images = _separable(
            images, kept, f"block{block}_sepconv{number}", precision, active_first=active_first or number > 1
        )
    images = layers.MaxPooling2D(3, strides=2, padding="same", dtype=precision, name=f"block{block}_pool")(images)
    return layers.Add(dtype=precision, name=f"block{block}_sum")([images, shortcut])


def _separable(images: Any, filters: int, name: str, precision: str, *, active_first: bool) -> Any:
    """Optional ReLU, separable convolution 3x3, batch normalisation."""
    if active_first:
        images = _relu(images, precision, f"{name}_act")
    images = layers.SeparableConv2D(filters, 3, padding="same", use_bias=False, dtype=precision, name=name)(images)
    return _normalised(images, f"{name}_bn", precision)


def _normalised(images: Any, name: str, precision: str) -> Any:
    return layers.BatchNormalization(momentum=_MOMENTUM, dtype=precision, name=name)(images)


def _relu(images: Any, precision: str, name: str) -> Any:
    return layers.ReLU(dtype=precision, name=name)(images)
