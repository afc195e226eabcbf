"""The S/N image of a difference: the matched filter over the standard deviation of its result."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.signal import fftconvolve

from realbogus.frames import Frame
from realbogus.psf.kernels import Tiles, VaryingKernel
from realbogus.psf.model import Psf

_FILTER_FWHM = 2.5  # radius of the matched filter
_KERNEL_MARGIN_PX = 5  # by which the filter convolved with the kernel is wider
SMOOTHING_PX = 5
LEAST_POWER = 0.5  # of the filter, within usable pixels, where the pixel itself is not usable


@dataclass(frozen=True)
class NoiseSource:
    """The noise of one of the two images of a difference.

    Attributes
    ----------
    variance : ndarray of shape (y, x) float32, counts squared
        Of the image's own pixels, 0 where it is unusable.
    kernel : VaryingKernel or None
        With which the image was convolved.
    """

    variance: np.ndarray
    kernel: VaryingKernel | None


def estimate_variance(frame: Frame, signal: np.ndarray, unusable: np.ndarray) -> np.ndarray:
    """Return each pixel's variance from background and sources, shape (y, x) float32, 0 where unusable.

    The sources' photon noise is computed from the image smoothed over 5 pixels: from single pixels it would be
    correlated with the noise itself, which overestimates the noise of empty sky and lowers its positive peaks.
    """
    light = np.maximum(ndimage.uniform_filter(signal, SMOOTHING_PX), 0)
    variance = np.square(frame.background_rms) + light / np.float32(frame.gain_e_per_count)
    return np.where(unusable, np.float32(0), variance)


def measure_significance(
    pixels: np.ndarray, psf: Psf, fwhm_px: float, sources: list[NoiseSource]
) -> tuple[np.ndarray, np.ndarray]:
    """Filter a difference with its PSF and divide by the standard deviation of the result.

    The variance is ``sum of (P * K)^2 * V`` over the two images: the filter P is convolved with the kernel K of the
    image, the result squared. P and K are evaluated at the middle of each tile of 80 to 100 pixels.

    Parameters
    ----------
    pixels : ndarray of shape (y, x), counts
        NaN where there is no data; such pixels have no weight.
    psf : Psf
        Of the difference, for a source of unit flux.
    fwhm_px : float
    sources : list of NoiseSource
        Independent parts of the noise.

    Returns
    -------
    snr : ndarray of shape (y, x) float32
        At a pixel without data it is computed from the pixels around, NaN where these hold less than half of the
        filter's power; so a source centred on a defect remains one peak at its position.
    flux_error : ndarray of shape (y, x) float32, counts
        One standard deviation of the PSF flux of a source at each pixel.
    """
    radius = min(int(np.ceil(_FILTER_FWHM * fwhm_px)), psf.size // 2)
    reach = radius + (_KERNEL_MARGIN_PX if any(source.kernel for source in sources) else 0)
    tiles = Tiles(pixels.shape, reach)
    x, y = tiles.centres()
    cut = slice(psf.size // 2 - radius, psf.size // 2 + radius + 1)
    filters = psf.at(x, y)[:, cut, cut][:, ::-1, ::-1]
    usable = np.isfinite(pixels)
    filtered = tiles.assemble(tiles.transform(np.where(usable, pixels, 0)) * tiles.transform_kernels(filters))
    through = sum(
        tiles.transform(source.variance) * tiles.transform_kernels(_combine(filters, source.kernel, x, y, reach) ** 2)
        for source in sources
    )
    squares = np.square(filters)
    power = tiles.assemble(tiles.transform(usable) * tiles.transform_kernels(squares))
    lowest = np.maximum(_lowest_variance(sources) * power, np.finfo(np.float32).tiny)
    noise = np.sqrt(np.maximum(tiles.assemble(through), lowest))
    least = LEAST_POWER * float(squares.sum(axis=(1, 2)).mean())
    is_measured = usable | (power > least)
    return np.where(is_measured, filtered / noise, np.float32(np.nan)), noise / np.maximum(power, 1e-3 * least)


def _lowest_variance(sources: list[NoiseSource]) -> float:
    """Return the lowest variance of a usable pixel of the images that were not convolved, counts squared.

    The filter's power times it bounds the variance of the filtered difference from below. Near very bright pixels the
    Fourier transforms' rounding is larger than the variance of the sky, and their result could be zero.
    """
    own = [source.variance[source.variance > 0] for source in sources if source.kernel is None]
    return float(sum(variance.min() for variance in own if variance.size))


def _combine(filters: np.ndarray, kernel: VaryingKernel | None, x: np.ndarray, y: np.ndarray, reach: int) -> np.ndarray:
    """Return filters, (n, k, k), convolved with the kernel at each position, cut to `reach` pixels from the centre."""
    if kernel is None:
        return filters
    combined = fftconvolve(filters, kernel.at(x, y), axes=(1, 2))
    middle = combined.shape[-1] // 2
    inside = slice(max(middle - reach, 0), middle + reach + 1)
    return combined[:, inside, inside]
