"""Networks for galaxy images: what is fitted, and what is saved.

The network that is fitted maps views (n, view, view, 3), 0 to 255, to logits. The model that is saved holds the same
weights and all preprocessing: it takes the stored images (n, size, size, 3) uint8, cuts the centre, averages the
logits over the eight symmetries of the square where its preset says so, and gives class probabilities.
"""

from typing import Any

import keras
from keras import layers

from galaxy.models.layers import CentreCrop, DihedralViews, Luminance, ViewMean
from galaxy.models.presets import GalaxyPreset

PREPROCESSING_VERSION = "galaxy-1"
PROBLEM = "galaxy"

_NETWORK = "network"
_DECK_HALVINGS = 5


class ImageTooSmallError(ValueError):
    """Images are too small for a network."""


def view_px(preset: GalaxyPreset, size_px: int) -> int:
    """Return the width of the view that a preset takes from images of `size_px`; it has the parity of `size_px`."""
    return size_px - 2 * round(size_px * (1 - preset.view_fraction) / 2)


def build_network(preset: GalaxyPreset, size_px: int, classes: int, *, grey: bool, precision: str) -> keras.Model:
    """Return the network to fit: views (n, view, view, 3), 0 to 255, to logits (n, classes) float32.

    Parameters
    ----------
    preset : GalaxyPreset
    size_px : int
        Width of the stored images.
    classes : int
    grey : bool
        Colour is replaced by luminance first.
    precision : str
        Keras dtype policy of the hidden layers.
    """
    width = view_px(preset, size_px)
    smallest = 2 ** (_DECK_HALVINGS if preset.architecture == "deck" else len(preset.filters))
    if width < smallest:
        raise ImageTooSmallError(
            f"images of {size_px} px leave a view of {width} px, the {preset.architecture} network needs {smallest}: "
            "build the dataset with a larger size_px"
        )
    views = keras.Input((width, width, 3), name="views")
    images = Luminance(dtype=precision, name="luminance")(views) if grey else views
    images = layers.Rescaling(1 / 255, dtype=precision, name="rescaling")(images)
    body = _deck if preset.architecture == "deck" else _residual
    features = body(images, preset, precision)
    logits = layers.Dense(classes, dtype="float32", name="logits")(features)
    return keras.Model(views, logits, name=_NETWORK)


def build_model(preset: GalaxyPreset, size_px: int, classes: int, *, grey: bool, weights: list[Any]) -> keras.Model:
    """Return the model to save: stored images (n, size, size, 3) uint8 to probabilities (n, classes) float32.

    It computes in float32, so that it gives the same on every machine. `weights` are those of the network.
    """
    network = build_network(preset, size_px, classes, grey=grey, precision="float32")
    network.set_weights(weights)
    images = keras.Input((size_px, size_px, 3), dtype="uint8", name="images")
    views = CentreCrop(view_px(preset, size_px), name="centre")(images)
    if preset.average_views:
        logits = ViewMean(name="mean")(network(DihedralViews(name="symmetries")(views)))
    else:
        logits = network(views)
    return keras.Model(images, layers.Softmax(name="probabilities")(logits), name=PROBLEM)


def _deck(images: Any, preset: GalaxyPreset, precision: str) -> Any:
    """Five convolutions, each halved by max-pooling, and a dense layer: 128, 64, 32, 16, 8, 4 px."""
    for at, filters in enumerate(preset.filters, start=1):
        images = layers.Conv2D(
            filters,
            3,
            padding="same",
            activation="relu",
            kernel_initializer="he_normal",
            dtype=precision,
            name=f"convolution_{at}",
        )(images)
        images = layers.MaxPooling2D(2, dtype=precision, name=f"pooling_{at}")(images)
    flat = layers.Flatten(dtype=precision, name="flat")(images)
    return layers.Dense(256, activation="relu", kernel_initializer="he_normal", dtype=precision, name="dense")(flat)


def _residual(images: Any, preset: GalaxyPreset, precision: str) -> Any:
    """Stages of convolution and max-pooling, each but the first followed by a residual block; then the mean."""
    for at, filters in enumerate(preset.filters, start=1):
        images = _convolution(images, filters, precision, f"stage_{at}", pooled=True)
        if at > 1:
            inner = _convolution(images, filters, precision, f"block_{at}a")
            inner = _convolution(inner, filters, precision, f"block_{at}b", active=False)
            images = layers.Add(dtype=precision, name=f"sum_{at}")([images, inner])
            images = layers.ReLU(dtype=precision, name=f"sum_{at}_relu")(images)
    features = layers.GlobalAveragePooling2D(dtype=precision, name="mean")(images)
    return layers.Dropout(preset.dropout, dtype=precision, name="dropout")(features)


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
