"""A survey frame of one chip, and the pair of a new and a reference frame that a subtraction starts from."""

from dataclasses import dataclass, field, replace
from enum import IntFlag

import numpy as np
import sep
from astropy.wcs import WCS

from realbogus.readings import Reading

BACKGROUND_MESH_PX = 64
LEAST_RMS_SHARE = 0.3  # of the median: the spline between crowded meshes can dip below zero, as beside M13


class FrameError(ValueError):
    """A frame without a usable pixel."""


class Mask(IntFlag):
    """Why a pixel is not reliable; bits of `Frame.mask`."""

    NO_DATA = 1
    """Outside of the chip or of all exposures: the pixel is NaN."""
    SATURATED = 2
    """At least one exposure reached the linear well."""
    DEFECT = 4
    """A known defect of the detector."""


@dataclass(frozen=True)
class Frame:
    """One image of one chip, a single exposure or the sum of several.

    Attributes
    ----------
    pixels : ndarray of shape (y, x) float32, counts
        The background included; NaN exactly where `mask` has ``NO_DATA``.
    mask : ndarray of shape (y, x) uint8
        Bits of `Mask`.
    background, background_rms : ndarray of shape (y, x) float32, counts
        Level and standard deviation of a pixel without sources.
    gain_e_per_count : float
    saturation_counts : float
        Value above which a pixel is saturated.
    zero_point_mag : float or None
        Magnitude of a source of one count; None where the survey gives none.
    pixel_arcsec : float
    quantum_counts : float
        Step of the digitised values, 0 where they are not digitised.
    wcs : WCS or None
    padded_fraction : float
        Fraction of the file's pixels that held padding; they have no data.
    """

    pixels: np.ndarray
    mask: np.ndarray
    background: np.ndarray
    background_rms: np.ndarray
    gain_e_per_count: float
    saturation_counts: float
    zero_point_mag: float | None
    pixel_arcsec: float
    quantum_counts: float = 0.0
    wcs: WCS | None = None
    padded_fraction: float = 0.0

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.pixels.shape
        return height, width

    def variance(self) -> np.ndarray:
        """Return the variance of each pixel, shape (y, x) float32, counts squared, sources' photon noise included.

        A pixel without data has an infinite variance.
        """
        source = np.maximum(self.pixels - self.background, 0) / self.gain_e_per_count
        variance = self.background_rms**2 + source
        return np.where(np.isfinite(variance), variance, np.inf).astype(np.float32)

    def signal(self) -> np.ndarray:
        """Return the background-subtracted pixels, shape (y, x) float32, counts, 0 where there is no data."""
        return np.where(self.mask & Mask.NO_DATA, 0, self.pixels - self.background).astype(np.float32)

    def with_pixels(self, pixels: np.ndarray, mask: np.ndarray) -> "Frame":
        """Return the frame with other pixels and mask, of the same shape; the background is unchanged."""
        return replace(self, pixels=pixels, mask=mask)


@dataclass(frozen=True)
class Pair:
    """A new and a reference frame of the same sky.

    Attributes
    ----------
    new, reference : Frame
        Of equal shape when `aligned`.
    aligned : bool
        The two share their pixel grid; otherwise the reference has to be resampled by the WCS of both.
    detector, night, visit : str, str, int
        Names of the observation.
    sky_cell : str
        Name of the group: the footprint of one chip at one pointing, with all its visits.
    epoch_mjd : float or None
        UTC, of the new frame.
    reading : Reading
        Header keywords that the quantities of both frames were taken from.
    """

    new: Frame
    reference: Frame
    aligned: bool
    detector: str
    night: str
    visit: int
    sky_cell: str
    epoch_mjd: float | None = None
    reading: Reading = field(default_factory=Reading)


def measure_background(pixels: np.ndarray, unusable: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Measure level and standard deviation of the background over a mesh of 64 pixels.

    Parameters
    ----------
    pixels : ndarray of shape (y, x), counts
    unusable : ndarray of bool, shape (y, x)
        Pixels to leave out.

    Returns
    -------
    level, rms : ndarray of shape (y, x) float32

    Raises
    ------
    FrameError
        No pixel is usable.
    """
    if unusable.all():
        raise FrameError("the frame has no usable pixel: all are masked or NaN")
    clean = np.ascontiguousarray(np.where(unusable, 0, pixels), np.float32)
    measured = sep.Background(clean, mask=unusable, bw=BACKGROUND_MESH_PX, bh=BACKGROUND_MESH_PX)
    rms = measured.rms(dtype=np.float32)
    return measured.back(dtype=np.float32), np.maximum(rms, LEAST_RMS_SHARE * np.median(rms))
