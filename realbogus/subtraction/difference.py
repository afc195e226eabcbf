"""The difference of a new and a reference frame, with its noise and its PSF: the result of every engine."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import signal

from realbogus.frames import Pair
from realbogus.psf.kernels import VaryingKernel
from realbogus.psf.model import Psf
from realbogus.subtraction.kernel_fit import KernelFit

Convolved = Literal["reference", "new", "both", "unknown"]


class SubtractionError(ValueError):
    """A pair cannot be subtracted."""


@dataclass(frozen=True)
class ConvolvedPsf:
    """A PSF convolved with a kernel, normalised to unit flux."""

    psf: Psf
    kernel: VaryingKernel

    @property
    def size(self) -> int:
        """Width of a stamp in pixels, odd."""
        return self.psf.size

    def at(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return stamps, (n, size, size) float32, centred on the pixels that hold (x, y), (n,) each."""
        kernels = self.kernel.at(np.atleast_1d(x), np.atleast_1d(y))
        stamps = signal.fftconvolve(self.psf.at(x, y), kernels / kernels.sum(axis=(1, 2), keepdims=True), axes=(1, 2))
        radius = self.kernel.radius_px
        return stamps[:, radius : radius + self.size, radius : radius + self.size].astype(np.float32)


@dataclass(frozen=True)
class Difference:
    """New minus reference, in the new frame's counts.

    Attributes
    ----------
    pixels : ndarray of shape (y, x) float32, counts
        NaN where either frame has no data.
    snr : ndarray of shape (y, x) float32
        Matched filter over its noise; NaN where `pixels` is, and within defects more than a few pixels wide.
    flux_error : ndarray of shape (y, x) float32, counts
        Standard deviation of the PSF flux of a source at each pixel.
    mask : ndarray of shape (y, x) uint8
        Bits of `Mask`, from either frame.
    psf : Psf
        Of the difference.
    fwhm_px : float
        Of that PSF at the chip's middle.
    matched_new, matched_reference : ndarray of shape (y, x) float32, counts
        The two frames as they enter the difference, convolved and scaled.
    background : ndarray of shape (y, x) float32, counts
        Subtracted besides them.
    convolved : ``reference``, ``new``, ``both`` (zogy) or ``unknown`` (sfft, precomputed)
    scale : float
        Flux scale, new over reference counts, at the chip's middle.
    kernel : VaryingKernel or None
        With which the sharper frame was convolved.
    fit : KernelFit or None
    pair : Pair
        Aligned.
    """

    pixels: np.ndarray
    snr: np.ndarray
    flux_error: np.ndarray
    mask: np.ndarray
    psf: Psf
    fwhm_px: float
    matched_new: np.ndarray
    matched_reference: np.ndarray
    background: np.ndarray
    convolved: Convolved
    scale: float
    kernel: VaryingKernel | None
    fit: KernelFit | None
    pair: Pair

    def kernel_at(self, x: float, y: float) -> np.ndarray:
        """Return the kernel at a position, shape (k, k) float64.

        Raises
        ------
        SubtractionError
            The engine has no kernel.
        """
        if self.kernel is None:
            raise SubtractionError("this engine convolves with no single kernel: engine alard-lupton has one")
        return self.kernel.at(np.array([x]), np.array([y]))[0]
