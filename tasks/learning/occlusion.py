"""Occlusion maps: which parts of an image a model's answer depends on (Zeiler & Fergus 2014, 1311.2901, section 4.2).

A square patch covers one place of the image after another; where it covers what the answer rests on, the probability
falls. Only the model's outputs are needed, so that any saved model can be asked.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tasks.learning.scoring import IMAGE_BATCH, Scorer

PLACES = 11
"""Patches along each side; with the whole image 122, which fill two steps of `IMAGE_BATCH` images."""
PATCH_OF_SIDE = 0.15


def occlusion_maps(model: Scorer, images: NDArray[np.uint8], positions: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return how much a class's probability falls when a patch is laid over the image, by the patch's centre.

    The patch has the median colour of the image's border, so that on a picture of the sky it is sky. Between the places
    of the patch the fall is interpolated.

    Parameters
    ----------
    model : Scorer
        Gives probabilities (n, classes).
    images : (n, height, width, channel) uint8
    positions : (n,)
        The class whose probability is asked for in each image.

    Returns
    -------
    (n, height, width) float64
        Positive where covering lowers the probability, negative where it raises it.
    """
    (rows, across), (columns, along) = (_places(side) for side in images.shape[1:3])
    covers = (rows[:, None, :, None] & columns[None, :, None, :]).reshape(-1, *images.shape[1:3])
    where = np.meshgrid(across, along, indexing="ij")
    maps = np.empty(images.shape[:3])
    for number, (image, position) in enumerate(zip(images, positions, strict=True)):
        covered = np.where(covers[..., None], _border_color(image), image)
        probability = _probabilities(model, np.concatenate([image[None], covered]))[:, position].astype(float)
        falls = (probability[0] - probability[1:]).reshape(PLACES, PLACES)
        maps[number] = ndimage.map_coordinates(falls, where, order=1, mode="nearest")
    return maps


def _places(side: int) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return the pixels that the patch covers at each of its places along a side, and each pixel's place.

    Returns
    -------
    covered : (PLACES, side)
        Together they are all pixels.
    place : (side,)
        From 0 to PLACES - 1; between two places for a pixel between their centres.
    """
    size = max(1, -(-side // PLACES), round(PATCH_OF_SIDE * side))
    starts = np.rint(np.linspace(0, side - size, PLACES)).astype(int)
    pixels = np.arange(side)
    covered = (pixels >= starts[:, None]) & (pixels < starts[:, None] + size)
    return covered, np.interp(pixels, starts + (size - 1) / 2, np.arange(PLACES))


def _border_color(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the median (channel,) of an image's outermost pixels."""
    edges = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    return np.median(edges, axis=0).astype(np.uint8)


def _probabilities(model: Scorer, images: NDArray[np.uint8]) -> NDArray:
    """Return the outputs (n, classes), asked for in padded steps, so that a compiled model sees a single shape."""
    missing = -len(images) % IMAGE_BATCH
    full = np.concatenate([images, np.repeat(images[-1:], missing, axis=0)])
    steps = [model.predict_on_batch(full[start : start + IMAGE_BATCH]) for start in range(0, len(full), IMAGE_BATCH)]
    return np.concatenate([np.asarray(step) for step in steps])[: len(images)]
