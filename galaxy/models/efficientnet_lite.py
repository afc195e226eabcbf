"""EfficientNet-Lite0 (Liu et al. 2020): inverted residual blocks (Sandler et al. 2018) without squeeze-and-excitation.

Layers, ReLU6, TensorFlow's padding and the epsilon of the normalisation are those of the published weights.
"""

import re
from dataclasses import dataclass
from typing import Any

from keras import layers

from galaxy.models.network_settings import EfficientNetLite0Settings

SMALLEST_PX = 32
STEM_FILTERS, HEAD_FILTERS = 32, 1280
EPSILON = 1e-3
_MOMENTUM = 0.9


@dataclass(frozen=True)
class BlockGroup:
    """Blocks of one kind: the first has the stride, the others add their input."""

    count: int
    kernel_px: int
    stride: int
    expansion: int
    filters: int


GROUPS = (
    BlockGroup(1, 3, 1, 1, 16),
    BlockGroup(2, 3, 2, 6, 24),
    BlockGroup(2, 5, 2, 6, 40),
    BlockGroup(3, 3, 2, 6, 80),
    BlockGroup(3, 5, 1, 6, 112),
    BlockGroup(4, 5, 2, 6, 192),
    BlockGroup(1, 3, 1, 6, 320),
)
BLOCKS = tuple((group, position) for group in GROUPS for position in range(group.count))


def body(images: Any, settings: EfficientNetLite0Settings, precision: str) -> Any:
    """Return the features (n, 1280) of images (n, y, x, 3) scaled by (x - 127) / 128."""
    images = _convolution(images, STEM_FILTERS, 3, "stem", precision, stride=2)
    for number, (group, position) in enumerate(BLOCKS):
        images = _block(images, group, f"block_{number}", precision, first=position == 0)
    images = _convolution(images, HEAD_FILTERS, 1, "top", precision)
    return layers.GlobalAveragePooling2D(dtype=precision, name="mean")(images)


def block_of(layer: str) -> str | None:
    """Return the group of blocks of a layer, ``stem`` or ``top``, or None.

    Blocks of one group have one resolution; a rate that falls with each of the 16 blocks would freeze the first ones.
    """
    found = re.match(r"stem|top|block_(\d+)", layer)
    if found is None or found[1] is None:
        return None if found is None else found[0]
    group, _ = BLOCKS[int(found[1])]
    return f"group_{GROUPS.index(group)}"


def _block(images: Any, group: BlockGroup, name: str, precision: str, *, first: bool) -> Any:
    """Return the block's output: expanded, filtered in each channel, and projected, plus its input unless `first`."""
    inner = images
    if group.expansion > 1:
        inner = _convolution(inner, group.expansion * images.shape[-1], 1, f"{name}_expand", precision)
    inner = layers.DepthwiseConv2D(
        group.kernel_px,
        strides=group.stride if first else 1,
        padding="same",
        use_bias=False,
        dtype=precision,
        name=f"{name}_depthwise_convolution",
    )(inner)
    inner = _normalised(inner, f"{name}_depthwise", precision, active=True)
    inner = _convolution(inner, group.filters, 1, f"{name}_project", precision, active=False)
    return inner if first else layers.Add(dtype=precision, name=f"{name}_sum")([images, inner])


def _convolution(
    images: Any, filters: int, width: int, name: str, precision: str, *, stride: int = 1, active: bool = True
) -> Any:
    """Convolution, batch normalisation, optional ReLU6."""
    images = layers.Conv2D(
        filters,
        width,
        strides=stride,
        padding="same",
        use_bias=False,
        dtype=precision,
        name=f"{name}_convolution",
    )(images)
    return _normalised(images, name, precision, active=active)


def _normalised(images: Any, name: str, precision: str, *, active: bool) -> Any:
    images = layers.BatchNormalization(
        momentum=_MOMENTUM, epsilon=EPSILON, dtype=precision, name=f"{name}_normalisation"
    )(images)
    return layers.ReLU(6.0, dtype=precision, name=f"{name}_relu")(images) if active else images
