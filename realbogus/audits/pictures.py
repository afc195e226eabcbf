"""Triplets as images for visual inspection: new, reference and difference next to each other."""

import numpy as np
from astropy.stats import mad_std

_GAP_PX = 1
_PAPER = 16
_FAINTEST, _BRIGHTEST = -2.0, 8.0  # in robust standard deviations of the plane, before the stretch
_SOFTENING = 2.0
_MISSING = (60, 20, 20)


def draw_triplet(triplet: np.ndarray, enlarge: int = 2) -> np.ndarray:
    """Draw a triplet with each plane stretched by its own background and scatter.

    Parameters
    ----------
    triplet : (y, x, 3) float
        New, reference, difference; NaN and infinite pixels are drawn in dark red.
    enlarge : int
        Width in image pixels of one pixel of the stamp.

    Returns
    -------
    (height, width, 3) uint8
    """
    images = [_draw_plane(triplet[..., channel]) for channel in range(triplet.shape[-1])]
    gap = np.full((triplet.shape[0], _GAP_PX, 3), _PAPER, np.uint8)
    strip = [piece for image in images for piece in (image, gap)][:-1]
    return np.concatenate(strip, axis=1).repeat(enlarge, axis=0).repeat(enlarge, axis=1)


def _draw_plane(plane: np.ndarray) -> np.ndarray:
    """Stretch a plane (y, x) by the arcsinh of its distance from the background, (y, x, 3) uint8."""
    finite = np.isfinite(plane)
    picture = np.zeros((*plane.shape, 3), np.uint8)
    picture[~finite] = _MISSING
    if not finite.any():
        return picture
    values = plane[finite].astype(float)
    middle = np.median(values)
    scatter = mad_std(values) or 1.0
    brightest = max(_BRIGHTEST, float((values.max() - middle) / scatter))
    low, high = np.arcsinh(_FAINTEST / _SOFTENING), np.arcsinh(brightest / _SOFTENING)
    height = (np.arcsinh((values - middle) / scatter / _SOFTENING) - low) / (high - low)
    picture[finite] = (255 * np.clip(height, 0, 1)).astype(np.uint8)[:, None]
    return picture
