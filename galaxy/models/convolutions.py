"""The deck's convolutional network and a compact residual one, layer by layer.

Each maps images (n, width, width, 3), 0 to 255, to features (n, f).
"""

import re
from typing import Any

from keras import layers

from galaxy.models.network_settings import GalaxyNetworkSettings

DECK_HALVINGS = 5


def smallest_px(settings: GalaxyNetworkSettings) -> int:
    """Return the width of the smallest images that the network's halvings leave a pixel of."""
    return 2 ** (DECK_HALVINGS if settings.architecture == "deck" else len(settings.filters))


def features(images: Any, settings: GalaxyNetworkSettings, precision: str) -> Any:
    """Return the features of images by the settings' architecture."""
    images = layers.Rescaling(1 / 255, dtype=precision, name="rescaling")(images)
    return (_deck if settings.architecture == "deck" else _residual)(images, settings, precision)


def block_of(layer: str) -> str | None:
    """Return the stage of a layer, a number, or None."""
    found = re.match(r"(?:convolution|stage|block)_(\d+)", layer)
    return None if found is None else found[1]


def _deck(images: Any, settings: GalaxyNetworkSettings, precision: str) -> Any:
    """Five convolutions, each halved by max-pooling, and a dense layer: 128, 64, 32, 16, 8, 4 px."""
    for stage, filters in enumerate(settings.filters, start=1):
        images = layers.Conv2D(
            filters,
            3,
            padding="same",
            activation="relu",
            kernel_initializer="he_normal",
            dtype=precision,
            name=f"convolution_{stage}",
        )(images)
        images = layers.MaxPooling2D(2, dtype=precision, name=f"pooling_{stage}")(images)
    flat = layers.Flatten(dtype=precision, name="flat")(images)
    return layers.Dense(256, activation="relu", kernel_initializer="he_normal", dtype=precision, name="dense")(flat)


def _residual(images: Any, settings: GalaxyNetworkSettings, precision: str) -> Any:
    """Stages of convolution and max-pooling, each but the first followed by a residual block; then the mean."""
    for stage, filters in enumerate(settings.filters, start=1):
        images = _convolution(images, filters, precision, f"stage_{stage}", pooled=True)
        if stage > 1:
            inner = _convolution(images, filters, precision, f"block_{stage}a")
            inner = _convolution(inner, filters, precision, f"block_{stage}b", active=False)
            images = layers.Add(dtype=precision, name=f"sum_{stage}")([images, inner])
            images = layers.ReLU(dtype=precision, name=f"sum_{stage}_relu")(images)
    features = layers.GlobalAveragePooling2D(dtype=precision, name="mean")(images)
    return layers.Dropout(settings.dropout, dtype=precision, name="dropout")(features)


def _convolution(
    images: Any, filters: int, precision: str, name: str, *, pooled: bool = False, active: bool = True
) -> Any:
    """Convolution, optional max-pooling, batch normalisation, optional ReLU."""
    images = layers.Conv2D(
        filters,
        3,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        dtype=precision,
        name=f"{name}_convolution",
    )(images)
    if pooled:
        images = layers.MaxPooling2D(2, dtype=precision, name=f"{name}_pooling")(images)
    images = layers.BatchNormalization(momentum=0.9, dtype=precision, name=f"{name}_normalisation")(images)
    return layers.ReLU(dtype=precision, name=f"{name}_relu")(images) if active else images
