"""Networks for candidates: the network that is fitted, and the model that is saved.

The network maps preprocessed views to logits (n, 2), bogus and real. The saved model has the same weights and all
preprocessing: it maps stored triplets (n, y, x, 3) float32, NaN for missing pixels, to logits. "The logit" of a
candidate is the second minus the first.
"""

import math
from typing import Any

import keras
from keras import layers, ops

from realbogus.models.layers import (
    PACKAGE,
    CentreCut,
    CentrePool,
    ExchangeFainter,
    FillMissing,
    FilterResponse,
    Normalise,
    SqueezeExcitation,
    SymmetryMean,
    SymmetryViews,
    channels_per_plane,
)
from realbogus.models.network_settings import CandidateNetworkSettings
from realbogus.models.preprocessing import PREPROCESSING_VERSION
from realbogus.models.stamp_scalars import StampScalars

__all__ = [
    "CLASSES",
    "NETWORK",
    "PREPROCESSING_VERSION",
    "StampTooSmallError",
    "build_model",
    "build_network",
    "multiply_adds",
    "prepare_views",
]

CLASSES = 2
NETWORK = "network"
"""Name of the fitted network inside the saved model."""
PLANES = 3
_FIRST_PX = 21
_JOINED = 64
"""Units of the dense layer behind the features and the scalars of the stamp."""


class StampTooSmallError(ValueError):
    """Stamps are too small for a network."""


def prepare_views(stamps: Any, settings: CandidateNetworkSettings) -> Any:
    """Return the network's input for stored triplets (n, y, x, 3): filled, fainter sources exchanged if the settings
    say so, and normalised unless the network does so.

    The shape is (n, y, x, 3), or (n, y, x, 6) where the normalisation makes two channels of each plane.
    """
    # Few batches have missing pixels, and filling takes as long as the rest.
    fill = FillMissing()
    filled = ops.cond(ops.any(ops.isnan(stamps)), lambda: fill(stamps), lambda: ops.cast(stamps, fill.compute_dtype))
    if settings.exchange_fainter:
        filled = ExchangeFainter()(filled)
    return filled if settings.inside else Normalise(settings.normalisation)(filled)


def build_network(settings: CandidateNetworkSettings, stamp_px: int, *, precision: str) -> keras.Model:
    """Return the network to fit, from views as in `prepare_views` to logits (n, 2) float32.

    Parameters
    ----------
    settings : CandidateNetworkSettings
    stamp_px : int
        Width of the stored stamps.
    precision : str
        Keras dtype policy of the hidden layers.

    Raises
    ------
    StampTooSmallError
    """
    if stamp_px < _FIRST_PX:
        raise StampTooSmallError(
            f"stamps of {stamp_px} px are too small for a network: build them with {_FIRST_PX} or more"
        )
    channels = PLANES if settings.inside else PLANES * channels_per_plane(settings.normalisation)
    views = keras.Input((stamp_px, stamp_px, channels), name="views")
    maps = Normalise(settings.normalisation, name="normalised")(views) if settings.inside else views
    body = {"simple": _simple, "complex": _complex, "compact": _compact, "first": _first}[settings.network]
    features = body(maps, settings, precision)
    if settings.stamp_scalars:
        scalars = StampScalars(dtype="float32", name="scalars")(maps)
        joined = layers.Concatenate(dtype=precision, name="joined")([features, scalars])
        features = layers.Dense(_JOINED, activation="relu", dtype=precision, name="dense_joined")(joined)
    logits = layers.Dense(CLASSES, dtype="float32", name="logits")(features)
    return keras.Model(views, logits, name=NETWORK)


def build_model(settings: CandidateNetworkSettings, stamp_px: int, weights: list[Any]) -> keras.Model:
    """Return the model to save, from stored triplets (n, y, x, 3) float32 to logits (n, 2) float32.

    It computes in float32 for reproducibility. `weights` are those of the network, as from `get_weights`.
    """
    network = build_network(settings, stamp_px, precision="float32")
    network.set_weights(weights)
    stamps = keras.Input((stamp_px, stamp_px, PLANES), dtype="float32", name="stamps")
    views = FillMissing(name="filled")(stamps)
    if settings.exchange_fainter:
        views = ExchangeFainter(name="exchanged")(views)
    if not settings.inside:
        views = Normalise(settings.normalisation, name="normalised")(views)
    if settings.average_views:
        logits = SymmetryMean(name="mean")(network(SymmetryViews(name="symmetries")(views)))
    else:
        logits = network(views)
    return keras.Model(stamps, logits, name=PACKAGE)


def multiply_adds(model: keras.Model) -> int:
    """Return the number of multiply-add operations of convolutions and dense layers for one stamp."""
    return sum(_multiply_adds(layer) for layer in model.layers)


def _multiply_adds(layer: keras.layers.Layer) -> int:
    if isinstance(layer, keras.Model):
        return multiply_adds(layer)
    if isinstance(layer, layers.Conv2D):
        return _size(layer.kernel) * int(layer.output.shape[1]) * int(layer.output.shape[2])
    if isinstance(layer, layers.Dense):
        return _size(layer.kernel)
    if isinstance(layer, SqueezeExcitation):
        pixels = int(layer.output.shape[1]) * int(layer.output.shape[2])
        return _size(layer.space.kernel) * pixels + _size(layer.inner.kernel) + _size(layer.channel.kernel)
    return 0


def _size(kernel: Any) -> int:
    return math.prod(kernel.shape)


def _simple(maps: Any, settings: CandidateNetworkSettings, precision: str) -> Any:
    """Two convolutions, each pooled, and two dense layers: 25, 12, 10, 5 px, then 128 and 64 (234,242 parameters)."""
    first, second = settings.filters
    maps = layers.Conv2D(first, 5, activation="relu", dtype=precision, name="convolution_1")(maps)
    maps = layers.MaxPooling2D(2, dtype=precision, name="pooling_1")(maps)
    maps = layers.Conv2D(second, 3, activation="relu", dtype=precision, name="convolution_2")(maps)
    maps = layers.MaxPooling2D(2, dtype=precision, name="pooling_2")(maps)
    maps = layers.Dropout(settings.dropout, dtype=precision, name="dropout")(maps)
    flat = layers.Flatten(dtype=precision, name="flat")(maps)
    features = layers.Dense(128, activation="relu", dtype=precision, name="dense_1")(flat)
    return layers.Dense(64, activation="relu", dtype=precision, name="dense_2")(features)


def _complex(maps: Any, settings: CandidateNetworkSettings, precision: str) -> Any:
    """Convolutions at 29 px, then residual blocks at 15, 8 and 4 px, then the mean (full: 2,401,638 parameters)."""
    first, second, third, last = settings.filters
    maps = _convolution(maps, first, 5, precision, "convolution_0")
    for number in range(settings.feature_layers):
        maps = _convolution(maps, first, 3, precision, f"convolution_{number + 1}")
    maps = layers.MaxPooling2D(2, padding="same", dtype=precision, name="pooling_1")(maps)
    maps = _convolution(maps, second, 3, precision, "widened_1")
    maps = _block(maps, second, 1, settings, precision, "block_1")
    maps = layers.MaxPooling2D(2, padding="same", dtype=precision, name="pooling_2")(maps)
    maps = _convolution(maps, third, 3, precision, "widened_2")
    maps = _block(maps, third, 1, settings, precision, "block_2")
    maps = _block(maps, last, 2, settings, precision, "block_3")
    maps = _block(maps, last, 1, settings, precision, "block_4")
    return layers.GlobalAveragePooling2D(dtype=precision, name="mean")(maps)


def _compact(maps: Any, settings: CandidateNetworkSettings, precision: str) -> Any:
    """Strided convolutions, each with a residual block, at 15, 8 and 4 px, then pools of the mean and the centre."""
    for number, filters in enumerate(settings.filters, start=1):
        maps = layers.Conv2D(
            filters, 5 if number == 1 else 3, strides=2, padding="same", dtype=precision, name=f"stride_{number}"
        )(maps)
        maps = _block(maps, filters, 1, settings, precision, f"block_{number}")
    features = CentrePool(dtype=precision, name="pool")(maps)
    features = layers.Dropout(settings.dropout, dtype=precision, name="dropout")(features)
    return layers.Dense(settings.filters[-1], activation="relu", dtype=precision, name="dense")(features)


def _first(maps: Any, settings: CandidateNetworkSettings, precision: str) -> Any:
    """Two strided convolutions on the central 21 px and one dense layer: about 200,000 multiplications per stamp."""
    first, second = settings.filters
    width = _FIRST_PX - (int(maps.shape[1]) - _FIRST_PX) % 2
    maps = CentreCut(width, dtype=precision, name="centre")(maps)
    maps = layers.Conv2D(first, 5, strides=2, activation="relu", dtype=precision, name="convolution_1")(maps)
    maps = layers.Conv2D(second, 3, strides=2, activation="relu", dtype=precision, name="convolution_2")(maps)
    flat = layers.Flatten(dtype=precision, name="flat")(maps)
    flat = layers.Dropout(settings.dropout, dtype=precision, name="dropout")(flat)
    return layers.Dense(64, activation="relu", dtype=precision, name="dense")(flat)


def _convolution(maps: Any, filters: int, width: int, precision: str, name: str) -> Any:
    return layers.Conv2D(filters, width, padding="same", activation="relu", dtype=precision, name=name)(maps)


def _block(maps: Any, filters: int, stride: int, settings: CandidateNetworkSettings, precision: str, name: str) -> Any:
    """Pre-activation residual block: two convolutions, each after a filter response normalisation, then the gates.

    The first convolution keeps the channels and carries the stride, the second changes them.
    """
    channels, summed = int(maps.shape[-1]), settings.profile == "published"
    inner = FilterResponse(summed, dtype=precision, name=f"{name}_response_1")(maps)
    inner = layers.Conv2D(channels, 3, strides=stride, padding="same", dtype=precision, name=f"{name}_a")(inner)
    inner = FilterResponse(summed, dtype=precision, name=f"{name}_response_2")(inner)
    inner = layers.Conv2D(filters, 3, padding="same", dtype=precision, name=f"{name}_b")(inner)
    inner = SqueezeExcitation(dtype=precision, name=f"{name}_gates")(inner)
    return layers.Add(dtype=precision, name=f"{name}_sum")(
        [inner, _skip(maps, filters, stride, settings, precision, name)]
    )


def _skip(maps: Any, filters: int, stride: int, settings: CandidateNetworkSettings, precision: str, name: str) -> Any:
    """Return the skip connection of a block.

    The paper uses a 1x1 convolution if the channels change, a 3x3 one if only the stride does, otherwise the identity.
    The public code compares the channels with the batch size, so it always has a 1x1 convolution.
    """
    changes = int(maps.shape[-1]) != filters
    if settings.profile != "published" and not changes and stride == 1:
        return maps
    width = 3 if settings.profile == "as-written" and not changes else 1
    return layers.Conv2D(filters, width, strides=stride, padding="same", dtype=precision, name=f"{name}_skip")(maps)
