"""Baselines that any network has to beat: the largest class, and forests on a few scalars of catalogue or image.

Images are ``(n, height, width, 3) uint8`` with the galaxy in the middle. Tables of scalars are
``(n, columns) float32``, NaN for a missing value.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

CATALOGUE_SCALARS: dict[str, str] = {
    "redshift": "redshift",
    "r_mag": "r magnitude",
    "petro_r90_arcsec": "Petrosian R90 (arcsec)",
}
"""Columns of the ledger that describe a galaxy without its image -> their axis labels."""

RING_EDGES = (0.05, 0.1, 0.16, 0.24, 0.36, 0.6)
"""Outer radii of the rings, in half widths of the frame; beyond them are sky and neighbours."""

IMAGE_SCALARS = (
    *(f"{what}_ring_{ring}" for what in ("light", "red", "blue") for ring in range(len(RING_EDGES))),
    "axis_ratio",
    "concentration",
    "area",
    "asymmetry",
    "mean_light",
    "peak_light",
)
FOREST_TREES = 200
FOREST_LEAF = 3
FOREST_ROWS = 5000
"""Training rows of a forest; more of them add time but little accuracy."""

LEAST_PX = 64
LEAST_REGION_PX = 5
THRESHOLD_SIGMA = 3.0
_MAD_TO_SIGMA = 1.4826


def majority(train_labels: NDArray, count: int, classes: int) -> NDArray[np.float64]:
    """Return probabilities of shape (count, classes): each row the class fractions of the training labels (m,)."""
    shares = np.bincount(train_labels, minlength=classes) / max(len(train_labels), 1)
    return np.tile(shares, (count, 1))


def forest(
    train_scalars: NDArray, train_labels: NDArray, scalars: NDArray, classes: int, seed: int
) -> NDArray[np.float64]:
    """Return the class probabilities (n, classes) of a random forest fitted on the training rows.

    Parameters
    ----------
    train_scalars, scalars
        (m, columns) and (n, columns), NaN where a value is missing.
    train_labels
        (m,) int.
    """
    from sklearn.ensemble import RandomForestClassifier

    trees = RandomForestClassifier(FOREST_TREES, min_samples_leaf=FOREST_LEAF, random_state=seed)
    trees.fit(train_scalars, train_labels)
    probabilities = np.zeros((len(scalars), classes))
    probabilities[:, trees.classes_] = trees.predict_proba(scalars)
    return probabilities


def without_color(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return images (n, height, width, 3) whose channels are all their rounded mean."""
    gray = np.rint(images.mean(axis=-1, keepdims=True)).astype(np.uint8)
    return np.repeat(gray, images.shape[-1], axis=-1)


ALTERED_VIEWS: dict[str, Callable[[NDArray], NDArray]] = {"shown grey images": without_color}
"""Name -> function that removes information from images (n, height, width, 3), to measure a model's use of it."""


def image_scalars(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return ``IMAGE_SCALARS`` of each image: colour and light in rings about the centre, shape, concentration.

    All values are measured above the median of the frame's border. Light is the mean over the ring of all channels
    in units of the brightest ring; red and blue are that ring's shares of the light. Axis ratio (of the
    second moments), concentration (5 log10 of the radii with 80 and 20 % of the light, Bershady et al.
    2000) and area (share of the frame) are of the connected region nearest to the centre that lies 3 sigma
    above the border: NaN, NaN and 0 where there is none. Asymmetry compares that region with itself turned
    by 180 degrees about the frame's centre; mean and peak light are in units of the pixels.
    """
    small = _shrink(images)
    small -= np.median(_border(small), axis=1)[:, None, None, :]
    light = small.mean(axis=-1)
    noise = _MAD_TO_SIGMA * np.median(np.abs(_border(light)), axis=1)
    galaxy = np.where(_central_regions(light, noise), np.maximum(light, 0), 0)
    total = np.maximum(galaxy.sum(axis=(1, 2)), 1)
    asymmetry = np.abs(galaxy - galaxy[:, ::-1, ::-1]).sum(axis=(1, 2)) / total
    mean = total / np.maximum(np.count_nonzero(galaxy, axis=(1, 2)), 1)
    scalars = [_ring_profile(small), _shape(galaxy), asymmetry, mean, galaxy.max(axis=(1, 2))]
    return np.column_stack(scalars).astype(np.float32)


def _shrink(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return images averaged over whole blocks to between 64 and 127 px, cut about the centre to fit."""
    count, height, width, channels = images.shape
    block = max(1, min(height, width) // LEAST_PX)
    rows, columns = height // block, width // block
    first_row, first_column = (height - rows * block) // 2, (width - columns * block) // 2
    cropped = images[:, first_row : first_row + rows * block, first_column : first_column + columns * block]
    blocks = cropped.reshape(count, rows, block, columns, block, channels)
    return blocks.mean(axis=(2, 4), dtype=np.float32)  # (n, rows, columns, channels)


def _border(images: NDArray) -> NDArray:
    """Return the pixels of the outermost tenth of the frame, (n, pixels, ...)."""
    height, width = images.shape[1:3]
    inside = np.zeros((height, width), bool)
    edge_y, edge_x = max(1, height // 10), max(1, width // 10)
    inside[edge_y:-edge_y, edge_x:-edge_x] = True
    return images[:, ~inside]


def _radius(height: int, width: int) -> NDArray[np.float64]:
    y, x = np.indices((height, width), float)
    return np.hypot(y - (height - 1) / 2, x - (width - 1) / 2)


def _ring_profile(images: NDArray[np.float32]) -> NDArray:
    """Return (n, 3 * rings): light of each ring from the centre outwards, then its red, then its blue share."""
    count, height, width, channels = images.shape
    ring = np.searchsorted(RING_EDGES, _radius(height, width).ravel() / (min(height, width) / 2), side="right")
    weights = np.stack([ring == number for number in range(len(RING_EDGES))]).astype(np.float32)
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1)
    means = np.einsum("rp,npc->nrc", weights, images.reshape(count, -1, channels), optimize=True)
    light = means.mean(axis=2)
    colors = means[:, :, [0, -1]] / np.maximum(means.sum(axis=2, keepdims=True), 1)
    return np.hstack([light / np.maximum(light.max(axis=1, keepdims=True), 1), colors[..., 0], colors[..., 1]])


def _central_regions(light: NDArray, noise: NDArray) -> NDArray[np.bool_]:
    """Return masks (n, y, x) of the bright connected region nearest to each image's centre, empty without one."""
    smooth = ndimage.gaussian_filter(light, (0, 1, 1))
    bright = smooth > np.maximum(THRESHOLD_SIGMA * noise, 1)[:, None, None]
    within_image = np.zeros((3, 3, 3), int)
    within_image[1] = [[0, 1, 0], [1, 1, 1], [0, 1, 0]]
    numbered, _ = ndimage.label(bright, structure=within_image)
    distance = np.where(bright, _radius(*light.shape[1:]), np.inf).reshape(len(light), -1)
    nearest = np.take_along_axis(numbered.reshape(len(light), -1), distance.argmin(axis=1)[:, None], axis=1)
    return bright & (numbered == nearest[:, :, None])


def _shape(light: NDArray) -> NDArray:
    """Return (n, 3): axis ratio, concentration and area of light (n, y, x) that is 0 outside its region."""
    count, height, width = light.shape
    total = light.sum(axis=(1, 2))
    measurable = np.count_nonzero(light, axis=(1, 2)) >= LEAST_REGION_PX
    share = light / np.where(measurable, total, 1)[:, None, None]
    y, x = np.indices((height, width), float)
    y = y - np.einsum("nyx,yx->n", share, y)[:, None, None]
    x = x - np.einsum("nyx,yx->n", share, x)[:, None, None]
    yy, xx, xy = (np.einsum("nyx,nyx->n", share, product) for product in (y * y, x * x, x * y))
    half_gap = np.hypot((yy - xx) / 2, xy)
    middle = (yy + xx) / 2
    axis_ratio = np.sqrt(np.maximum(middle - half_gap, 0) / np.maximum(middle + half_gap, 1e-9))
    radius = np.hypot(x, y).reshape(count, -1)
    order = radius.argsort(axis=1)
    grown = np.take_along_axis(share.reshape(count, -1), order, axis=1).cumsum(axis=1)
    inner, outer = (_radius_holding(level, radius, order, grown) for level in (0.2, 0.8))
    concentration = 5 * np.log10(np.maximum(outer, 0.5) / np.maximum(inner, 0.5))
    area = np.count_nonzero(light, axis=(1, 2)) / (height * width)
    measured = [np.where(measurable, value, np.nan) for value in (axis_ratio, concentration)]
    return np.column_stack([*measured, area])


def _radius_holding(level: float, radius: NDArray, order: NDArray, grown: NDArray) -> NDArray:
    """Return (n,): the radius at which the light summed in ``order`` reaches ``level``."""
    reached = np.minimum((grown < level).sum(axis=1, keepdims=True), grown.shape[1] - 1)
    return np.take_along_axis(radius, np.take_along_axis(order, reached, axis=1), axis=1)[:, 0]
