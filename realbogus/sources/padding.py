"""Padding of frames: connected areas of one exact value, as pipelines write where a chip or a mosaic has no data.

Noise repeats values too, in integer frames, in photon counts and where a sky was clipped at zero. So an area counts as
padding by how often its value occurs elsewhere: a value that does not belong to the noise needs an area of
`LEAST_AREA_PX` pixels, any other value a solid square so wide that the noise would not fill one in a million frames.
"""

import math

import numpy as np
from astropy.stats import mad_std
from scipy import ndimage

LEAST_AREA_PX = 200
"""Pixels of the smallest area, connected along rows and columns, that is padding."""
RARE_SHARE = 0.01
"""A value that takes a smaller share of the pixels around its areas does not belong to the noise."""
BRIGHT_SIDE_PX = 16
"""Width of the solid squares that padding brighter than the sky consists of: wider than trails of saturated stars."""
_RUN_PX = 8  # areas without as many equal neighbours along a row or a column are not examined
_LAG_PX = 8  # beyond the correlation of resampled noise
_LEAST_SIDE_PX = 8
_SAFETY = 3.0  # of a square's width, for noise that is correlated over a few pixels
_FALSE_SQUARES = 1e-6  # expected of one frame's noise
_MOST_VALUES = 16
_MOST_SAMPLED = 200_000
_SKY_STEP = 4
_BRIGHT_SIGMA = 5.0
_MOST_LIT = 0.5  # of the pixels that surround padding; those around the core of a saturated star are lit by it


def find_padding(pixels: np.ndarray) -> np.ndarray:
    """Find the padding of a frame.

    Parameters
    ----------
    pixels : ndarray of shape (y, x) float32
        NaN is no padding.

    Returns
    -------
    ndarray of bool, shape (y, x)
        The cores and trails of saturated stars are not padding, though all their pixels may have one value: they are
        surrounded by the star's own light, or narrower than `BRIGHT_SIDE_PX`.
    """
    padded = np.zeros(pixels.shape, bool)
    for value in _repeated_values(pixels):
        has_value = pixels == value
        if np.count_nonzero(has_value) >= LEAST_AREA_PX:
            padded |= _find_areas(pixels, has_value, float(value))
    return padded


def _repeated_values(pixels: np.ndarray) -> np.ndarray:
    """Return the values of runs of equal pixels along rows or columns, (n,), the most frequent first."""
    runs = []
    for axis in (0, 1):
        first, second = (np.moveaxis(pixels, axis, 0)[part] for part in (slice(None, -1), slice(1, None)))
        is_run = _and_along(first == second, _RUN_PX - 1, 0)
        runs.append(np.moveaxis(pixels, axis, 0)[: len(is_run)][is_run])
    values = np.concatenate(runs)
    found, counts = np.unique(values[:: len(values) // _MOST_SAMPLED + 1], return_counts=True)
    return found[np.argsort(-counts, kind="stable")][:_MOST_VALUES]


def _find_areas(pixels: np.ndarray, has_value: np.ndarray, value: float) -> np.ndarray:
    """Return the padding of one value, (y, x) bool, among the pixels that have it."""
    share = _share_around(has_value)
    if share <= RARE_SHARE:
        areas = _keep_large(has_value)
    elif share < 1:
        areas = _open(has_value, _safe_side(share, has_value.size))
    else:
        return np.zeros_like(has_value)
    if not areas.any():
        return areas
    sky, sigma = _measure_sky(pixels[::_SKY_STEP, ::_SKY_STEP][~has_value[::_SKY_STEP, ::_SKY_STEP]])
    limit = sky + _BRIGHT_SIGMA * sigma
    if value <= limit:
        return areas
    return _select_touched(areas, _drop_stars(_open(areas, BRIGHT_SIDE_PX), pixels, has_value, limit))


def _share_around(has_value: np.ndarray) -> float:
    """Return how often a pixel has the value where one 8 pixels away has it and the pixel between does not.

    In noise this is the value's share, also where the sky, and with it the frequent value, varies over the frame;
    around padding it is near 0, however large the padding.
    """
    shares = []
    for axis in (0, 1):
        flags = np.moveaxis(has_value, axis, 0)
        between = flags[: -2 * _LAG_PX] & ~flags[_LAG_PX:-_LAG_PX]
        count = np.count_nonzero(between)
        shares.append(np.count_nonzero(between & flags[2 * _LAG_PX :]) / count if count else 0.0)
    return max(shares)


def _safe_side(share: float, count: int) -> int:
    """Return the width of a square that noise with this share of a value does not fill in `count` pixels."""
    area = math.log(count / _FALSE_SQUARES) / -math.log(share)
    return max(_LEAST_SIDE_PX, math.ceil(_SAFETY * math.sqrt(area)))


def _keep_large(flags: np.ndarray) -> np.ndarray:
    """Return the connected areas, (y, x) bool, of at least `LEAST_AREA_PX` pixels."""
    labels, count = ndimage.label(flags)
    is_large = np.bincount(labels.ravel(), minlength=count + 1) >= LEAST_AREA_PX
    is_large[0] = False
    return np.asarray(is_large[labels])


def _select_touched(areas: np.ndarray, touched: np.ndarray) -> np.ndarray:
    """Return the connected areas, (y, x) bool, with at least one pixel in `touched`."""
    labels, count = ndimage.label(areas)
    is_touched = np.zeros(count + 1, bool)
    is_touched[labels[touched]] = True
    return np.asarray(is_touched[labels])


def _drop_stars(areas: np.ndarray, pixels: np.ndarray, has_value: np.ndarray, limit: float) -> np.ndarray:
    """Return the areas, (y, x) bool, without those whose surrounding pixels are mostly brighter than `limit`."""
    labels, _ = ndimage.label(areas)
    kept = np.zeros_like(areas)
    for number, box in enumerate(ndimage.find_objects(labels), 1):
        wide = tuple(slice(max(part.start - 1, 0), part.stop + 1) for part in box)
        area = labels[wide] == number
        around = pixels[wide][ndimage.binary_dilation(area) & ~has_value[wide]]
        if np.count_nonzero(around > limit) <= _MOST_LIT * len(around):
            kept[wide] |= area
    return kept


def _measure_sky(values: np.ndarray) -> tuple[float, float]:
    """Return median and standard deviation, from the median deviation, of the finite values, (n,); else infinite."""
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return np.inf, 0.0
    return float(np.median(values)), float(mad_std(values))


def _open(flags: np.ndarray, side: int) -> np.ndarray:
    """Return the union of the squares of this width that are filled with flags, (y, x) bool."""
    if side > min(flags.shape):
        return np.zeros_like(flags)
    solid = _and_along(_and_along(flags, side, 0), side, 1)
    if not solid.any():
        return np.zeros_like(flags)
    empty = ~np.pad(solid, side - 1)
    return ~_and_along(_and_along(empty, side, 0), side, 1)


def _and_along(flags: np.ndarray, length: int, axis: int) -> np.ndarray:
    """Return whether all of `length` flags from each place on are set; the axis gets shorter by ``length - 1``."""
    flags, reach = np.moveaxis(flags, axis, 0), 1
    while reach < length:
        step = min(reach, length - reach)
        flags = flags[:-step] & flags[step:]
        reach += step
    return np.moveaxis(flags, 0, axis)
