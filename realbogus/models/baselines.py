"""Baselines of the networks: S/N alone, and random forests on scalars of the catalogue, the packet or the stamp.

Tables of scalars are (n, columns) float64, NaN for a missing value. A higher score means more probably real.
"""

import json
from collections.abc import Sequence

import numpy as np
from astropy.stats import mad_std
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from realbogus.audits.difficulty import DIFFERENCE_SCALARS, SCALARS

FORESTS: dict[str, tuple[str, ...]] = {
    "forest on ten catalogue scalars": SCALARS,
    "forest on three numbers of the difference": DIFFERENCE_SCALARS,
}
"""Columns of the ledger by name of the forest."""
PACKET_FORESTS: dict[str, tuple[str, ...]] = {
    "date alone": ("jd",),
    "template scalars alone": ("distnr", "magnr", "sgscore1", "distpsnr1", "sgmag1", "srmag1", "chinr", "sharpnr"),
    "numbers of the packet": ("fwhm", "elong", "scorr", "nbad"),
}
"""Fields of an alert packet by name of the forest."""
PACKET_SCORES = ("rb",)
"""Fields of a packet that are the score of a classifier."""
PACKET_NUMBERS = ("scorr", "fwhm", "elong", "sigmapsf", "nbad", "ndethist")
"""Fields of a packet that serve as scores without training."""
CENTRE_SCALARS = ("S/N in the middle", "deepest pixel", "concentration")
SHAPE_SCALARS = ("width of the peak", "stray light")
FOREST_ROWS = 8000
_BORDER_PX = 6
_CORE_PX, _WIDE_PX = 2, 5


def predict_by_forest(
    train: NDArray, train_real: NDArray, table: NDArray, seed: int, least_leaf: int = 3
) -> NDArray[np.float64]:
    """Fit a random forest and return its probabilities of being real.

    Parameters
    ----------
    train : (m, columns)
    train_real : (m,) bool
    table : (n, columns)
        The rows to predict.
    seed : int
    least_leaf : int
        Fewest samples of a leaf.

    Returns
    -------
    (n,)
    """
    forest = RandomForestClassifier(200, min_samples_leaf=least_leaf, random_state=seed)
    forest.fit(_fill(train), train_real)
    return np.asarray(forest.predict_proba(_fill(table))[:, 1])


def _fill(scalars: NDArray) -> NDArray[np.float32]:
    """Return scalars (n, columns) with NaN and infinities replaced by -1e6 or 1e6."""
    return np.nan_to_num(np.asarray(scalars, np.float32), nan=-1e6, posinf=1e6, neginf=-1e6)


def read_packet_fields(parameters: Sequence[str], names: Sequence[str]) -> NDArray[np.float64] | None:
    """Return fields of n alert packets from their JSON, (n, names), NaN if absent; None if no packet has any."""
    packets = [json.loads(text) for text in parameters]
    columns = np.array([[_number(packet.get(name)) for name in names] for packet in packets], float)
    return columns if np.isfinite(columns).any() else None


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else np.nan


def measure_borders(triplets: NDArray) -> NDArray[np.float64]:
    """Return mean, scatter, minimum and maximum of the border of each plane, (n, 12), of triplets (n, y, x, 3).

    The border is 6 px wide; missing pixels count as 0.
    """
    is_border = _border_of(triplets.shape[1:3])
    pixels = np.where(np.isfinite(triplets), triplets, 0.0)[:, is_border]
    statistics = (pixels.mean(axis=1), pixels.std(axis=1), pixels.min(axis=1), pixels.max(axis=1))
    return np.concatenate(statistics, axis=1).astype(float)


def measure_skies(triplets: NDArray) -> NDArray[np.float64]:
    """Return level and noise of the sky of each plane, (n, 6), of triplets (n, y, x, 3).

    They are the median of the border of 6 px, and the standard deviation from the median deviation, over the pixels
    that are not missing; 0 where all are.
    """
    pixels = triplets[:, _border_of(triplets.shape[1:3])].astype(float)
    pixels = np.where(np.isfinite(pixels), pixels, np.nan)
    pixels = np.where(np.isnan(pixels).all(axis=1, keepdims=True), 0.0, pixels)
    levels = np.nanmedian(pixels, axis=1)
    noises = mad_std(pixels, axis=1, ignore_nan=True)
    return np.concatenate([levels, noises], axis=1)


def measure_centres(triplets: NDArray) -> NDArray[np.float64]:
    """Return `CENTRE_SCALARS`, (n, 3), of the differences of triplets (n, y, x, 3).

    They are the S/N of the sum of the central 5 x 5 pixels; the lowest of the central 11 x 11 pixels in units of the
    noise; and that sum over the absolute light of the central 11 x 11 pixels. The noise is the scatter of the border.
    """
    difference = np.nan_to_num(triplets[..., 2].astype(float))
    is_border = _border_of(difference.shape[1:])
    middle = (difference.shape[1] - 1) // 2
    core, wide = (
        difference[:, middle - half : middle + half + 1, middle - half : middle + half + 1]
        for half in (_CORE_PX, _WIDE_PX)
    )
    noise = np.maximum(difference[:, is_border].std(axis=1), 1e-6)
    light = np.maximum(np.abs(wide).sum(axis=(1, 2)), 1e-6)
    core_sum = core.sum(axis=(1, 2))
    snr = core_sum / (noise * (2 * _CORE_PX + 1))
    return np.stack([snr, wide.min(axis=(1, 2)) / noise, core_sum / light], axis=1)


def measure_shapes(triplets: NDArray) -> NDArray[np.float64]:
    """Return `SHAPE_SCALARS`, (n, 2), of the differences of triplets (n, y, x, 3).

    They are the light of the central 3 x 3 pixels in units of the brightest of the central 5 x 5, which is at most 9
    and small for hot pixels and particle hits; and the scatter of the border over that from its median deviation.
    Missing pixels count as 0.
    """
    difference = np.nan_to_num(triplets[..., 2].astype(float))
    middle = (difference.shape[1] - 1) // 2
    core, wide = (difference[:, middle - h : middle + h + 1, middle - h : middle + h + 1] for h in (1, _CORE_PX))
    peak = np.maximum(wide.max(axis=(1, 2)), 1e-6)
    border = difference[:, _border_of(difference.shape[1:])]
    stray = border.std(axis=1) / np.maximum(mad_std(border, axis=1), 1e-6)
    return np.stack([np.clip(core.sum(axis=(1, 2)) / peak, -9, 9), np.minimum(stray, 100)], axis=1)


def _border_of(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return the pixels of a stamp's border, (y, x)."""
    is_border = np.ones(shape, bool)
    is_border[_BORDER_PX:-_BORDER_PX, _BORDER_PX:-_BORDER_PX] = False
    return is_border
