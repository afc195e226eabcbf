"""Weights into a network: layer by layer, by name, all or nothing."""

from collections.abc import Callable, Mapping

import keras
import numpy as np
from numpy.typing import NDArray

from galaxy.models.networks import NETWORK
from galaxy.models.weights.errors import WeightsError


def saved_layers(model: keras.Model) -> dict[str, list[NDArray]]:
    """Return the arrays of a saved galaxy model's network by the name of the layer."""
    return {layer.name: layer.get_weights() for layer in model.get_layer(NETWORK).layers if layer.weights}


def load_layers(
    network: keras.Model, arrays: Mapping[str, list[NDArray]], is_new: Callable[[str], bool], source: str
) -> None:
    """Copy arrays into the layers of a network; a layer whose name `is_new` accepts keeps its random weights.

    Parameters
    ----------
    network : keras.Model
        As `galaxy.models.networks.build_network` gives it; it is changed only if all fits.
    arrays : dict of layer to list of array
    is_new : callable
    source : str
        Named in messages.

    Raises
    ------
    WeightsError
        A layer is missing on either side, has another shape, or the arrays hold NaN or infinity.
    """
    wanted = {layer.name: layer for layer in network.layers if layer.weights and not is_new(layer.name)}
    given = {name: found for name, found in arrays.items() if not is_new(name)}
    for what, names in (("lacks", wanted.keys() - given.keys()), ("has too", given.keys() - wanted.keys())):
        if names:
            raise WeightsError(f"{source} is of another network: it {what} {len(names)} layers, such as {min(names)}")
    for name, layer in wanted.items():
        _require_fit(name, [weight.shape for weight in layer.weights], given[name], source)
    for name, layer in wanted.items():
        layer.set_weights([array.astype(np.float32) for array in given[name]])


def _require_fit(name: str, shapes: list[tuple[int, ...]], arrays: list[NDArray], source: str) -> None:
    found, needed = [tuple(array.shape) for array in arrays], [tuple(shape) for shape in shapes]
    if found != needed:
        raise WeightsError(f"{source} is of another network: layer {name} has the shapes {found} there, {needed} here")
    if not all(np.isfinite(array).all() for array in arrays):
        raise WeightsError(f"{source} holds NaN or infinity in layer {name}")
