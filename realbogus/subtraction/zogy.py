"""Proper image subtraction of two frames whose PSFs are known and constant (Zackay, Ofek & Gal-Yam 2016, ApJ 830, 27).

The flux scale of the new frame is 1, that of the reference ``1 / scale``; equations are the paper's.
"""

from dataclasses import dataclass

import numpy as np
from scipy import fft

_FLOOR = 1e-7  # of the largest denominator, for frequencies that both PSFs suppress


@dataclass(frozen=True)
class ProperDifference:
    """The result of the proper subtraction; arrays of shape (y, x) float32, counts of the new frame.

    Attributes
    ----------
    pixels : ndarray
        D of equation 13, divided by its flux scale.
    new_part, reference_part : ndarray
        `pixels` is the first minus the second.
    snr : ndarray
        S_corr of equation 25, with the photon noise of sources, without registration noise.
    flux_error : ndarray
        Standard deviation of the flux of a point source at each pixel.
    stamp : ndarray of shape (k, k)
        PSF of `pixels`, equation 14.
    """

    pixels: np.ndarray
    new_part: np.ndarray
    reference_part: np.ndarray
    snr: np.ndarray
    flux_error: np.ndarray
    stamp: np.ndarray


@dataclass(frozen=True)
class KnownImage:
    """A frame of known PSF.

    Attributes
    ----------
    signal, variance : ndarray of shape (y, x) float32
        0 where unusable.
    stamp : ndarray of shape (k, k), k odd
        The PSF, of sum 1.
    sky_rms : float
        Standard deviation of a pixel without sources.
    """

    signal: np.ndarray
    variance: np.ndarray
    stamp: np.ndarray
    sky_rms: float


def subtract_properly(new: KnownImage, reference: KnownImage, scale: float) -> ProperDifference:
    """Subtract two images.

    Parameters
    ----------
    new, reference : KnownImage
        Stamps are odd squares of one size and of sum 1.
    scale : float
        Flux scale, new over reference counts.
    """
    shape, size = new.signal.shape, new.stamp.shape[0]
    padded = tuple(fft.next_fast_len(length + size, real=True) for length in shape)

    def forward(image: np.ndarray) -> np.ndarray:
        """Transform an image of the frames' shape."""
        return fft.rfft2(image.astype(np.float32, copy=False), s=padded)

    def back(transform: np.ndarray) -> np.ndarray:
        """Return the image of the frames' shape that has this transform."""
        return fft.irfft2(transform, s=padded)[: shape[0], : shape[1]]

    flux_r = 1 / scale
    new_psf, reference_psf = (_transform_psf(image.stamp, padded) for image in (new, reference))
    power_n, power_r = np.abs(new_psf) ** 2, np.abs(reference_psf) ** 2
    denominator = (new.sky_rms * flux_r) ** 2 * power_r + reference.sky_rms**2 * power_n
    denominator += _FLOOR * denominator.max()
    flux_d = flux_r / np.hypot(new.sky_rms * flux_r, reference.sky_rms)
    whitener = 1 / (flux_d * np.sqrt(denominator))
    new_hat, reference_hat = forward(new.signal), forward(reference.signal)
    new_part = back(flux_r * reference_psf * whitener * new_hat)
    reference_part = back(new_psf * whitener * reference_hat)
    filter_n = flux_r**2 * new_psf.conj() * power_r / denominator
    filter_r = flux_r * reference_psf.conj() * power_n / denominator
    score = back(filter_n * new_hat - filter_r * reference_hat)
    noise = sum(
        back(forward(image.variance) * _square(part, padded))
        for image, part in ((new, filter_n), (reference, filter_r))
    )
    noise = np.sqrt(np.maximum(noise, np.finfo(np.float32).tiny))
    response = fft.irfft2(filter_n * new_psf, s=padded)[0, 0]
    stamp = np.roll(fft.irfft2(flux_r * reference_psf * new_psf * whitener, s=padded), (size // 2, size // 2), (0, 1))
    return ProperDifference(
        pixels=new_part - reference_part,
        new_part=new_part,
        reference_part=reference_part,
        snr=score / noise,
        flux_error=noise / response,
        stamp=stamp[:size, :size],
    )


def _transform_psf(stamp: np.ndarray, padded: tuple[int, ...]) -> np.ndarray:
    """Return the transform of a PSF centred on the first pixel."""
    spread = np.zeros(padded, np.float32)
    spread[: stamp.shape[0], : stamp.shape[1]] = stamp
    return fft.rfft2(np.roll(spread, (-(stamp.shape[0] // 2), -(stamp.shape[1] // 2)), axis=(0, 1)))


def _square(transform: np.ndarray, padded: tuple[int, ...]) -> np.ndarray:
    """Return the transform of a filter's square in real space."""
    return fft.rfft2(np.square(fft.irfft2(transform, s=padded)))
