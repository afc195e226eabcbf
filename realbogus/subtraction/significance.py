"""The S/N image of a difference: matched filter over the noise that the filter lets through."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.signal import fftconvolve

from realbogus.frames import Frame
from realbogus.psf.kernels import Tiles, VaryingKernel
from realbogus.psf.model import Psf

_FILTER_FWHM = 2.5  # radius of the matched filter
_KERNEL_MARGIN_PX = 5  # what the squared, kernel-convolved filter may reach beyond it
_SMOOTHING_PX = 5
_LEAST_SEEN = 0.5  # of the filter's power, where the pixel itself is not usable


@dataclass(frozen=True)
class NoiseSource:
    """One of the two images' part in the noise of a difference.

    Attributes
    ----------
    variance : ndarray, (y, x) float32, counts squared
        Of the image's own pixels, 0 where it is unusable.
    kernel : VaryingKernel or None
        That the image was convolved with.
    """

    variance: np.ndarray
    kernel: VaryingKernel | None


def estimate_variance(frame: Frame, signal: np.ndarray, unusable: np.ndarray) -> np.ndarray:
    """Return each pixel's variance from background and sources, (y, x) float32, 0 where unusable.

    The sources' share is read from the image smoothed over 5 pixels: read from single pixels it would follow the noise
    it stands for, which makes the noise of empty sky look larger and its positive peaks lower.
    """
    light = np.maximum(ndimage.uniform_filter(signal, _SMOOTHING_PX), 0)
    variance = np.square(frame.background_rms) + light / np.float32(frame.gain_e_per_count)
    return np.where(unusable, np.float32(0), variance)


def measure_significance(
    pixels: np.ndarray, psf: Psf, fwhm_px: float, sources: list[NoiseSource]
) -> tuple[np.ndarray, np.ndarray]:
    """Filter a difference with its PSF and divide by the standard deviation of the result.

    The variance is ``sum of (P * K)^2 * V`` over the two images, the filter's own kernel combined with the one that
    the image went through and only then squared. P and K are taken at the middle of each tile of 80 to 100 pixels.

    Parameters
    ----------
    pixels : ndarray, (y, x), counts
        NaN where there is no data; such a pixel has no weight.
    psf : Psf
        Of the difference, for a source of unit flux.
    fwhm_px : float
    sources : list of NoiseSource
        Independent parts of the noise.

    Returns
    -------
    snr : ndarray, (y, x) float32
        At a pixel without data it is that of the pixels around, NaN where these hold less than half of the filter's
        power: a source whose peak lies on a defect stays one peak in its place.
    flux_error : ndarray, (y, x) float32, counts
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
    noise = np.sqrt(np.maximum(tiles.assemble(through), np.finfo(np.float32).tiny))
    squares = np.square(filters)
    power = tiles.assemble(tiles.transform(usable) * tiles.transform_kernels(squares))
    least = _LEAST_SEEN * float(squares.sum(axis=(1, 2)).mean())
    shown = usable | (power > least)
    return np.where(shown, filtered / noise, np.float32(np.nan)), noise / np.maximum(power, 1e-3 * least)


def _combine(filters: np.ndarray, kernel: VaryingKernel | None, x: np.ndarray, y: np.ndarray, reach: int) -> np.ndarray:
    """Return the filters convolved with the kernel at each position, (n, k, k), cut at `reach` pixels."""
    if kernel is None:
        return filters
    combined = fftconvolve(filters, kernel.at(x, y), axes=(1, 2))
    middle = combined.shape[-1] // 2
    inside = slice(max(middle - reach, 0), middle + reach + 1)
    return combined[:, inside, inside]
