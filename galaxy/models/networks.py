"""Networks for galaxy images, as they are fitted and as they are saved.

A fitted network maps views (n, view, view, 3), 0 to 255, to logits. The saved model has the same weights and all
preprocessing: it takes stored images (n, size, size, 3) uint8, crops the centre, averages the logits over the eight
symmetries of the square where its settings ask for it, and returns class probabilities.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from galaxy.models import backbones, convolutions
from galaxy.models.layers import PACKAGE, CentreCrop, DihedralViews, Luminance, ViewMean
from galaxy.models.network_settings import GalaxyNetworkSettings

NETWORK = "network"
"""Name of the fitted network, which is one layer of the saved model."""
OUTPUT = "logits"
"""Name of the output layer."""


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

    Raises
    ------
    ImageTooSmallError
        The view, or the width to which a backbone resizes it, is smaller than the network can take.
    """
    width = view_px(settings, size_px)
    _require_size(settings, size_px, width)
    views = keras.Input((width, width, 3), name="views")
    images = Luminance(dtype=precision, name="luminance")(views) if grey else views
    if settings.backbone is None:
        features = convolutions.features(images, settings, precision)
    else:
        features = backbones.features(images, settings.backbone, settings.dropout, precision)
    logits = layers.Dense(classes, dtype="float32", name=OUTPUT)(features)
    network = keras.Model(views, logits, name=NETWORK)
    if settings.backbone is not None and settings.backbone.frozen_normalisation:
        _freeze_normalisation(network)
    return network


def build_model(
    settings: GalaxyNetworkSettings,
    size_px: int,
    classes: int,
    *,
    grey: bool,
    weights: list[Any],
    mirrored: Sequence[int] | None = None,
) -> keras.Model:
    """Return the model to save: stored images (n, size, size, 3) uint8 to probabilities (n, classes) float32.

    It computes in float32, so that it gives the same result on every machine. `weights` are the fitted network's,
    `mirrored` is of `mirrored_positions`.
    """
    network = build_network(settings, size_px, classes, grey=grey, precision="float32")
    network.set_weights(weights)
    images = keras.Input((size_px, size_px, 3), dtype="uint8", name="images")
    views = CentreCrop(view_px(settings, size_px), name="centre")(images)
    if settings.average_views:
        logits = ViewMean(mirrored, name="mean")(network(DihedralViews(name="symmetries")(views)))
    else:
        logits = network(views)
    return keras.Model(images, layers.Softmax(name="probabilities")(logits), name=PACKAGE)


def build_feature_model(network: keras.Model, settings: GalaxyNetworkSettings, size_px: int) -> keras.Model:
    """Return the model of a network's features: stored images (n, size, size, 3) uint8 to (8 n, f) float32.

    The features are what the first layer of the head takes, of the eight symmetries of the centred view: blocks of n,
    the mirrored ones last.
    """
    head = next(layer for layer in network.layers if is_head(layer.name))
    body = keras.Model(network.input, head.input)
    images = keras.Input((size_px, size_px, 3), dtype="uint8", name="images")
    views = CentreCrop(view_px(settings, size_px), name="centre")(images)
    return keras.Model(images, body(DihedralViews(name="symmetries")(views)))


def mirrored_positions(classes: Sequence[str], pairs: Sequence[Sequence[str]]) -> list[int] | None:
    """Return, for each class, the position of its mirror image's class; None where there are no pairs."""
    image = {name: other for pair in pairs for name, other in (pair, reversed(pair))}
    return [classes.index(image.get(name, name)) for name in classes] if image else None


def block_depths(network: keras.Model, settings: GalaxyNetworkSettings) -> dict[str, int]:
    """Return the depth of a network's layers below its head, in blocks, by name: 0 of the head, 1 of the last block.

    A layer that is of no block belongs to the block before it; those before the first block are a block of their own.
    """
    block_of = convolutions.block_of if settings.backbone is None else backbones.BODIES[settings.backbone.kind].block_of
    numbers: dict[str, int] = {}
    block, found = "input", {}
    for layer in network.layers:
        if layer.weights and not is_head(layer.name):
            block = block_of(layer.name) or block
            found[layer.name] = numbers.setdefault(block, len(numbers))
    heads = {layer.name: 0 for layer in network.layers if is_head(layer.name)}
    return {name: len(numbers) - number for name, number in found.items()} | heads


def is_head(layer: str) -> bool:
    """Return whether a layer of this name is put on a body of published weights: its head and the output."""
    return layer == OUTPUT or layer.startswith(backbones.HEAD_PREFIX)


def _require_size(settings: GalaxyNetworkSettings, size_px: int, width: int) -> None:
    if settings.backbone is None:
        smallest = convolutions.smallest_px(settings)
        if width < smallest:
            raise ImageTooSmallError(
                f"images of {size_px} px leave a view of {width} px, the {settings.architecture} network needs "
                f"{smallest}: build the dataset with a larger size_px"
            )
        return
    kind, input_px = settings.backbone.kind, settings.backbone.input_px
    smallest = backbones.BODIES[kind].smallest_px
    if input_px < smallest:
        raise ImageTooSmallError(f"input_px={input_px} is too small for {kind}, which needs {smallest}")


def _freeze_normalisation(network: keras.Model) -> None:
    """Make the body's batch normalisation use and keep its statistics, also while fitting."""
    for layer in network.layers:
        if isinstance(layer, layers.BatchNormalization) and not is_head(layer.name):
            layer.trainable = False
