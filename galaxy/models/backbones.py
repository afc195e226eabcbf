"""Published kinds of networks as the body of a galaxy network: resizing, scaling, body, and a head of its own.

Layers of the head have the prefix ``head_``; all others but the output belong to the body.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from keras import layers

from galaxy.models import efficientnet_lite, googlenet, vit, xception
from galaxy.models.layers import Resized
from galaxy.models.network_settings import Backbone, BackboneSettings

HEAD_PREFIX = "head_"


@dataclass(frozen=True)
class Body:
    """How one kind of network turns images into features.

    Attributes
    ----------
    build : callable
        Scaled images, settings and Keras dtype policy to features (n, f).
    mean, scale : float
        The network takes (pixel - mean) / scale, as its published weights do.
    smallest_px : int
        Smallest width that it takes.
    block_of : callable
        Name of a layer to that of its block; None where it is of no block.
    """

    build: Callable[[Any, Any, str], Any]
    mean: float
    scale: float
    smallest_px: int
    block_of: Callable[[str], str | None]


BODIES = {
    "xception": Body(xception.body, 127.5, 127.5, xception.SMALLEST_PX, xception.block_of),
    "vit": Body(vit.body, 127.5, 127.5, 1, vit.block_of),
    "googlenet": Body(googlenet.body, 127.5, 127.5, googlenet.SMALLEST_PX, googlenet.block_of),
    "efficientnet-lite0": Body(
        efficientnet_lite.body, 127.0, 128.0, efficientnet_lite.SMALLEST_PX, efficientnet_lite.block_of
    ),
}


def features(images: Any, settings: Backbone, dropout: float, precision: str) -> Any:
    """Return the features (n, f) of images (n, width, width, 3), 0 to 255, of any width."""
    kind = BODIES[settings.kind]
    images = Resized(settings.input_px, dtype="float32", name="resized")(images)
    images = layers.Rescaling(1 / kind.scale, -kind.mean / kind.scale, dtype="float32", name="rescaling")(images)
    found = kind.build(images, settings, precision)
    return _head(found, settings, dropout, precision)


def _head(found: Any, settings: BackboneSettings, dropout: float, precision: str) -> Any:
    """Return the body's features through the head's dense layer, where the settings have one."""
    if settings.dense is not None:
        if settings.dense_normalised:
            found = _normalised(found, "before", precision)
        found = layers.Dense(
            settings.dense,
            activation="relu",
            kernel_initializer="he_normal",
            dtype=precision,
            name=f"{HEAD_PREFIX}dense",
        )(found)
        if settings.dense_normalised:
            found = _normalised(found, "after", precision)
    return layers.Dropout(dropout, dtype=precision, name=f"{HEAD_PREFIX}dropout")(found)


def _normalised(found: Any, where: str, precision: str) -> Any:
    return layers.BatchNormalization(momentum=0.9, dtype=precision, name=f"{HEAD_PREFIX}normalisation_{where}")(found)
