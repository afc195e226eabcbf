"""Frames of other surveys: FITS images and their header keywords, read into `frames.Frame`.

Gain, saturation, zero point and pixel scale come from named header keywords or are given by the caller, never assumed:
a frame without gain or saturation is refused.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_scales
from pydantic import BaseModel, ConfigDict

from realbogus.epochs import DATE_KEYWORDS, header_epoch
from realbogus.frames import Frame, Mask, measure_background
from realbogus.readings import Reading
from realbogus.records import SourceError
from realbogus.sources.fits_images import card_value, read_image, read_wcs

TABLE_OF_PAIRS = "table of pairs"
"""Source, in a `Reading`, of a value that the table of pairs gives."""
_TINY_VARIANCE = 1e-6  # of the median, so that no pixel is without noise


class FrameKeywords(BaseModel):
    """Header keywords of each quantity, tried in order in the image's header, then in the file's first.

    A table of pairs may have columns of the same names, which take precedence over the header.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    gain_e_per_count: tuple[str, ...] = ("GAIN", "EGAIN", "GAINEFF", "CCDGAIN", "ATODGAIN", "ESO DET OUT1 CONAD")
    """Electrons per count."""
    saturation_counts: tuple[str, ...] = ("SATURATE", "SATURAT", "SATLEVEL", "SATURATION", "MAXLIN", "LINMAX")
    """Counts, background included."""
    zero_point_mag: tuple[str, ...] = ("MAGZP", "MAGZPT", "MAGZERO", "ZEROPT", "PHOTZP", "ZP")
    """Magnitude of a source of one count in this frame (not one count per second)."""
    pixel_arcsec: tuple[str, ...] = ("PIXSCALE", "SECPIX", "PIXSCAL1", "PIXSIZE")
    """Arcsec; the WCS takes precedence."""
    exposure_s: tuple[str, ...] = ("EXPTIME", "EXPOSURE", "TEXPTIME")
    """Seconds."""
    epoch_mjd: tuple[str, ...] = DATE_KEYWORDS
    """Days, UTC, as `epochs.header_epoch` reads them; a date takes its time from `epochs.TIME_KEYWORDS`."""
    detector: tuple[str, ...] = ("CCDID", "CCDNUM", "DETID", "IMAGEID", "DETECTOR")
    """No unit."""
    site_longitude_deg: float = 0.0
    """Degrees, east positive: nights are counted from the site's noon."""


@dataclass(frozen=True)
class FrameFile:
    """A frame and further quantities from its header.

    Attributes
    ----------
    frame : Frame
    epoch_mjd, exposure_s : float or None
    detector : str or None
    reading : Reading
        The keyword of each quantity, those that the frame lacks, and notes on its epoch.
    """

    frame: Frame
    epoch_mjd: float | None
    exposure_s: float | None
    detector: str | None
    reading: Reading = field(default_factory=Reading)


def read_frame(path: Path, keywords: FrameKeywords | None = None, values: Mapping[str, Any] | None = None) -> Frame:
    """Return the frame of a FITS file; see `read_frame_file`."""
    return read_frame_file(path, keywords, values).frame


def read_frame_file(
    path: Path,
    keywords: FrameKeywords | None = None,
    values: Mapping[str, Any] | None = None,
    hdu: int | str | None = None,
    mask: Path | None = None,
    variance: Path | None = None,
) -> FrameFile:
    """Read a FITS image as a frame.

    Parameters
    ----------
    path : Path
    keywords : FrameKeywords, optional
    values : mapping, optional
        Values by the names of `FrameKeywords`; they take precedence over the header.
    hdu : int or str, optional
        Number or name of the image; by default the first of two dimensions.
    mask : Path, optional
        Image of the same shape, zero where a pixel is good.
    variance : Path, optional
        Image of the same shape, counts squared, the sources' own noise included.

    Returns
    -------
    FrameFile
        Pixels that are not finite have no data; masked pixels and those without a positive variance are defects.

    Raises
    ------
    SourceError
        The file is corrupt or truncated, or declares too large an image; gain, saturation or pixel scale is missing; no
        pixel is usable, or the background has no noise.
    """
    keywords, values = keywords or FrameKeywords(), values or {}
    image = read_image(path, hdu)
    facts = _Facts(path, image.headers, keywords, values)
    wcs = read_wcs(path, image.headers[0])
    gain, saturation = facts.positive("gain_e_per_count"), facts.positive("saturation_counts")
    unusable = ~np.isfinite(image.pixels)
    pixels = np.where(unusable, np.float32(np.nan), image.pixels)
    bits = np.where(unusable, Mask.NO_DATA, 0).astype(np.uint8)
    bits[pixels >= saturation] |= np.uint8(Mask.SATURATED)
    if mask is not None:
        bits[_read_beside(mask, pixels.shape) != 0] |= np.uint8(Mask.DEFECT)
    given_variance = None if variance is None else _read_beside(variance, pixels.shape)
    if given_variance is not None:
        bits[~(given_variance > 0) | np.isinf(given_variance)] |= np.uint8(Mask.DEFECT)
    background, rms = _measure_noise(path, pixels, bits, gain, given_variance)
    frame = Frame(
        pixels=pixels,
        mask=bits,
        background=background,
        background_rms=rms,
        gain_e_per_count=gain,
        saturation_counts=saturation,
        zero_point_mag=facts.number("zero_point_mag"),
        pixel_arcsec=_pixel_arcsec(facts, wcs),
        quantum_counts=image.quantum,
        wcs=wcs,
    )
    epoch_mjd, exposure_s, detector = facts.epoch_mjd(), facts.number("exposure_s"), facts.text("detector")
    return FrameFile(frame, epoch_mjd, exposure_s, detector, facts.reading())


def _measure_noise(
    path: Path, pixels: np.ndarray, bits: np.ndarray, gain: float, variance: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return level and noise of the background; with a variance image the noise is what that leaves beside the
    sources' own, so that `Frame.variance` gives the image back."""
    try:
        background, rms = measure_background(pixels, bits != 0)
    except ValueError as error:
        raise SourceError(f"{path}: {error}") from error
    if not np.median(rms) > 0:
        raise SourceError(f"{path}: the background's noise is {np.median(rms)}: the frame is constant or all masked")
    if variance is None:
        return background, rms
    is_usable = (bits & (Mask.NO_DATA | Mask.DEFECT)) == 0
    sky = variance - np.maximum(pixels - background, 0) / gain
    least = _TINY_VARIANCE * np.median(variance[is_usable])
    return background, np.where(is_usable, np.sqrt(np.maximum(sky, least, where=is_usable, out=rms**2)), rms)


class _Facts:
    """Values by the names of `FrameKeywords`: the given ones, else from the headers in order."""

    def __init__(
        self, path: Path, headers: tuple[fits.Header, ...], keywords: FrameKeywords, values: Mapping[str, Any]
    ) -> None:
        self.path, self.headers, self.keywords, self.values = path, headers, keywords, values
        self._taken: dict[str, str | None] = {}
        self._notes: list[str] = []

    def reading(self) -> Reading:
        """Return where each quantity asked for so far was taken from, and those that are missing."""
        understood = {name: source for name, source in self._taken.items() if source is not None}
        missing = {name: 1 for name, source in self._taken.items() if source is None}
        return Reading(understood, (), missing, tuple(f"{self.path}: {note}" for note in self._notes))

    def _value(self, name: str) -> Any:
        if self.values.get(name) is not None:
            self._taken[name] = TABLE_OF_PAIRS
            return self.values[name]
        for keyword in getattr(self.keywords, name):
            value = self._card(keyword)
            if value is not None:
                self._taken[name] = keyword
                return value
        self._taken[name] = None
        return None

    def _card(self, keyword: str) -> Any:
        """Return a keyword's value in the first header that has it, None if none has."""
        values = (card_value(header, keyword) for header in self.headers)
        return next((value for value in values if value is not None), None)

    def number(self, name: str) -> float | None:
        """Return a number, None if it is missing."""
        value = self._value(name)
        if value is None:
            return None
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise SourceError(f"{self.path}: {name} is {value!r}, it must be a number")
        return number

    def positive(self, name: str) -> float:
        """Return a number above zero."""
        number = self.number(name)
        if number is None:
            tried = ", ".join(getattr(self.keywords, name))
            raise SourceError(f"{self.path} has no {name}: none of {tried} is in its header; give it in the table")
        if number <= 0:
            raise SourceError(f"{self.path}: {name} is {number}, it must be above 0")
        return number

    def text(self, name: str) -> str | None:
        """Return a text, None if it is missing."""
        value = self._value(name)
        return None if value is None else str(value).strip() or None

    def epoch_mjd(self) -> float | None:
        """Return the epoch of the frame, UTC; None, and notes where there is something to say, without one."""
        given = self.values.get("epoch_mjd")
        if given is None:
            epoch = header_epoch(self._card, self.keywords.epoch_mjd)
        else:
            epoch = header_epoch({TABLE_OF_PAIRS: given}.get, (TABLE_OF_PAIRS,))
        self._taken["epoch_mjd"] = epoch.source
        self._notes += epoch.notes
        return epoch.mjd


def _pixel_arcsec(facts: _Facts, wcs: WCS | None) -> float:
    if wcs is None or facts.values.get("pixel_arcsec") is not None:
        return facts.positive("pixel_arcsec")
    return float(np.mean(proj_plane_pixel_scales(wcs)) * 3600)


def _read_beside(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    pixels = read_image(path).pixels
    if pixels.shape != shape:
        raise SourceError(f"{path} is {pixels.shape}, its frame is {shape}: they must cover the same pixels")
    return pixels
