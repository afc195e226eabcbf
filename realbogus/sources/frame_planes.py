"""Mask and variance planes beside a frame: read, and compared with the frame's own pixels.

Conventions differ between pipelines: masks that count good pixels, weights and standard deviations in the place of
variances. Such a plane would be used without any error, so each is compared with what the pixels show.
"""

from pathlib import Path

import numpy as np

from realbogus.records import SourceError
from realbogus.sources.fits_images import read_image

MOST_BAD = 0.5
"""Share of a frame's pixels that a mask may call bad when their scatter is that of the sky."""
FACTOR = 2.5
"""A plane's median agrees with a measured quantity within this factor; resampled noise alone gives up to 2."""
MOST_APART = 10.0
"""Factor between a variance plane and the measured noise above which a note says so."""
_LEAST_PX = 100  # to measure a scatter
_SKY_SIGMA = 3.0
_LIKE_SKY = (0.2, 5.0)  # scatter of masked over that of good pixels


def read_mask(path: Path, pixels: np.ndarray) -> np.ndarray:
    """Read a mask plane.

    Parameters
    ----------
    path : Path
    pixels : ndarray of shape (y, x)
        Of its frame, NaN where there is no data.

    Returns
    -------
    ndarray of bool, shape (y, x)
        The bad pixels: whatever is not zero.

    Raises
    ------
    SourceError
        The plane cannot be read, has another shape, or calls more than `MOST_BAD` of the pixels bad that scatter like
        sky.
    """
    is_bad = _read_plane(path, pixels.shape) != 0
    has_data = np.isfinite(pixels)
    bad = pixels[has_data & is_bad]
    share = len(bad) / max(int(np.count_nonzero(has_data)), 1)
    if share > MOST_BAD and _scatter_like_sky(bad, pixels[has_data & ~is_bad]):
        raise SourceError(
            f"{path} calls {share:.1%} of its frame's pixels bad, though they scatter like sky: zero must mean good, "
            f"any other value bad; are the two exchanged, is it a weight map, or do its bits mark sources?"
        )
    return is_bad


def _scatter_like_sky(bad: np.ndarray, good: np.ndarray) -> bool:
    """Return whether the masked pixels, (n,), scatter at all, and like the good ones, (m,), where these are enough."""
    scatter = _measure_scatter(bad)
    if len(good) < _LEAST_PX:
        return scatter > 0
    of_good = _measure_scatter(good)
    return of_good == 0 or _LIKE_SKY[0] < scatter / of_good < _LIKE_SKY[1]


def _measure_scatter(values: np.ndarray) -> float:
    """Return the standard deviation of values, (n,), from their quartiles."""
    low, high = np.percentile(values, [25, 75])
    return float(high - low) / 1.349


def read_variance(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Read a variance plane, shape (y, x) float32, counts squared.

    Raises
    ------
    SourceError
        The plane cannot be read or has another shape.
    """
    return _read_plane(path, shape)


def check_variance(
    path: Path, variance: np.ndarray, pixels: np.ndarray, background: np.ndarray, rms: np.ndarray, bits: np.ndarray
) -> tuple[str, ...]:
    """Compare a variance plane with the measured noise of the sky.

    Parameters
    ----------
    path : Path
        Of the plane.
    variance, pixels, background, rms : ndarray of shape (y, x)
        The plane; the frame, its measured level and noise.
    bits : ndarray of shape (y, x) uint8
        Bits of `Mask`; masked pixels are left out.

    Returns
    -------
    tuple of str
        A note where the two differ by more than `MOST_APART`.

    Raises
    ------
    SourceError
        The plane is the standard deviation of the noise, or the inverse of it or of its variance.
    """
    is_sky = (bits == 0) & (np.abs(pixels - background) < _SKY_SIGMA * rms)
    if np.count_nonzero(is_sky) < _LEAST_PX:
        return ()
    given, noise = float(np.median(variance[is_sky])), float(np.median(rms[is_sky]))
    powers = {"variance": 2, "standard deviation": 1, "inverse standard deviation": -1, "inverse variance": -2}
    kinds = {kind: noise**power for kind, power in powers.items()}
    apart = {kind: abs(float(np.log(given / value))) for kind, value in kinds.items()}
    nearest = min(apart, key=lambda kind: apart[kind])
    if apart["variance"] > np.log(FACTOR) and apart[nearest] < min(np.log(FACTOR), apart["variance"] / 2):
        raise SourceError(
            f"{path} has the median {given:.4g} on the sky, where the frame's noise is {noise:.4g} counts: it holds "
            f"the {nearest}, not the variance in counts squared ({noise**2:.4g}); give the variance"
        )
    if apart["variance"] > np.log(MOST_APART):
        return (f"{path} has the median {given:.4g} on the sky, the square of the frame's noise is {noise**2:.4g}",)
    return ()


def _read_plane(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    pixels = read_image(path).pixels
    if pixels.shape != shape:
        raise SourceError(f"{path} is {pixels.shape}, its frame is {shape}: they must cover the same pixels")
    return pixels
