"""Networks for galaxy images, as they are fitted and as they are saved.

A fitted network maps views (n, view, view, 3), 0 to 255, to logits. The saved model has the same weights and all
preprocessing: it takes stored images (n, size, size, 3) uint8, crops the centre, averages the logits over the eight
symmetries of the square where its settings ask for it, and returns class probabilities.
"""

from typing import Any

import keras
from keras import layers

from galaxy.models.layers import PACKAGE, CentreCrop, DihedralViews, Luminance, ViewMean
from galaxy.models.network_settings import GalaxyNetworkSettings

_NETWORK = "network"
_DECK_HALVINGS = 5


class ImageTooSmallError(ValueError):
    """Images are too small for a network."""


def view_px(settings: GalaxyNetworkSettings, size_px: int) -> int:
    """Return the width in pixels of a network's view of `size_px` images; it has the parity of `size_px`."""
    return size_px - 2 * round(size_px * (1 - settings.view_fraction) / 2)


def build_network(
    settings: GalaxyNetworkSettings, size_px: int, classes: int, *, grey: bool, precision: str
) -> keras.Model:
    """Return the network to fit: views (n, view, view, 3), 0 to 255, to logits (n, classes) float32.

    Parameters
    ----------
    settings : GalaxyNetworkSettings
    size_px : int
        Width of the stored images.
    classes : int
    grey : bool
        Colour is replaced by luminance first.
    precision : str
        Keras dtype policy of the hidden layers.
    """
    width = view_px(settings, size_px)
    smallest = 2 ** (_DECK_HALVINGS if settings.architecture == "deck" else len(settings.filters))
    if width < smallest:
        raise ImageTooSmallError(
            f"images of {size_px} px leave a view of {width} px, the {settings.architecture} network needs {smallest}: "
            "build the dataset with a larger size_px"
        )
    views = keras.Input((width, width, 3), name="views")
    images = Luminance(dtype=precision, name="luminance")(views) if grey else views
    images = layers.Rescaling(1 / 255, dtype=precision, name="rescaling")(images)
    body = _deck if settings.architecture == "deck" else _residual
    features = body(images, settings, precision)
    logits = layers.Dense(classes, dtype="float32", name="logits")(features)
    return keras.Model(views, logits, name=_NETWORK)


def build_model(
    settings: GalaxyNetworkSettings, size_px: int, classes: int, *, grey: bool, weights: list[Any]
) -> keras.Model:
    """Return the model to save: stored images (n, size, size, 3) uint8 to probabilities (n, classes) float32.

    It computes in float32, so that it gives the same result on every machine. `weights` are the fitted network's.
    """
    network = build_network(settings, size_px, classes, grey=grey, precision="float32")
    network.set_weights(weights)
    images = keras.Input((size_px, size_px, 3), dtype="uint8", name="images")
    views = CentreCrop(view_px(settings, size_px), name="centre")(images)
    if settings.average_views:
        logits = ViewMean(name="mean")(network(DihedralViews(name="symmetries")(views)))
    else:
        logits = network(views)
    return keras.Model(images, layers.Softmax(name="probabilities")(logits), name=PACKAGE)


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
