"""Frames of other surveys: FITS images and their header keywords, read into `frames.Frame`.

Gain, saturation, zero point and pixel scale come from named header keywords or are given by the caller, never assumed:
a frame without gain or saturation is refused.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_scales

from realbogus.epochs import header_epoch
from realbogus.frames import Frame, FrameError, Mask, measure_background
from realbogus.library_faults import name_faults
from realbogus.readings import Reading
from realbogus.records import SourceError
from realbogus.sources.fits_images import SkyMappingError, card_value, explain_no_wcs, read_sky_image
from realbogus.sources.frame_keywords import FrameKeywords
from realbogus.sources.frame_planes import check_variance, read_mask, read_variance
from realbogus.sources.padding import find_padding

TABLE_OF_PAIRS = "table of pairs"
"""Source, in a `Reading`, of a value that the table of pairs gives."""
MOST_PADDED = 0.75
"""Fraction of a frame that may be padding, as a reference must cover a quarter of the new frame."""
LARGEST_MAG = 90.0
"""A zero point beyond it, such as 99 or -999, stands for none."""
_SAME_GAIN = 0.01
_COUNTS = ("", "adu", "adus", "dn", "du", "ct", "cts", "count", "counts", "raw adu", "data numbers")
_ELECTRONS = (*_COUNTS, "e", "e-", "electron", "electrons", "photon", "photons", "ph")
_TINY_VARIANCE = 1e-6  # of the median, so that no pixel is without noise


class PaddingError(SourceError):
    """A frame is mostly padding."""


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
        Pixels that are not finite, and padding, have no data; masked pixels and those without a positive variance are
        defects.

    Raises
    ------
    SourceError
        The file is corrupt or truncated, or declares too large an image; gain, saturation or pixel scale is missing; no
        pixel is usable, or the background has no noise; mask or variance do not fit the frame (see `frame_planes`).
    SkyMappingError
        The WCS cannot be used.
    PaddingError
        More than `MOST_PADDED` of the frame is padding.
    """
    keywords, values = keywords or FrameKeywords(), values or {}
    image, wcs = read_sky_image(path, hdu)
    facts = _Facts(path, image.headers, keywords, values)
    no_wcs = explain_no_wcs(image.headers[0]) if wcs is None else ""
    facts.add_notes(filter(None, [no_wcs]))
    gain, saturation = facts.gain(), facts.positive("saturation_counts")
    pixels, padded_fraction = _blank_padding(path, image.pixels)
    if padded_fraction > 0:
        facts.add_notes([f"{padded_fraction:.1%} of the frame is padding, which has no data"])
    bits = np.where(np.isnan(pixels), Mask.NO_DATA, 0).astype(np.uint8)
    bits[pixels >= saturation] |= np.uint8(Mask.SATURATED)
    if mask is not None:
        bits[read_mask(mask, pixels)] |= np.uint8(Mask.DEFECT)
    given_variance = None if variance is None else read_variance(variance, pixels.shape)
    if given_variance is not None:
        bits[~(given_variance > 0) | np.isinf(given_variance)] |= np.uint8(Mask.DEFECT)
    background, rms = _measure_noise(path, pixels, bits)
    if variance is not None and given_variance is not None:
        facts.add_notes(check_variance(variance, given_variance, pixels, background, rms, bits))
        rms = _subtract_light(given_variance, pixels - background, rms, bits, gain)
    frame = Frame(
        pixels=pixels,
        mask=bits,
        background=background,
        background_rms=rms,
        gain_e_per_count=gain,
        saturation_counts=saturation,
        zero_point_mag=facts.number("zero_point_mag", -LARGEST_MAG, LARGEST_MAG),
        pixel_arcsec=_pixel_arcsec(facts, wcs, no_wcs),
        quantum_counts=image.quantum,
        wcs=wcs,
        padded_fraction=padded_fraction,
    )
    epoch_mjd, exposure_s, detector = facts.epoch_mjd(), facts.number("exposure_s", 0), facts.text("detector")
    return FrameFile(frame, epoch_mjd, exposure_s, detector, facts.reading())


def _blank_padding(path: Path, pixels: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the pixels, (y, x), with NaN for padding and what is not finite, and the fraction that is padding."""
    padded = find_padding(pixels)
    fraction = float(padded.mean())
    if fraction > MOST_PADDED:
        value = np.quantile(pixels[padded], 0.5, method="nearest")
        raise PaddingError(
            f"{path}: {fraction:.1%} of the frame is padding, connected areas of one value such as {value:g}; the most "
            f"is {MOST_PADDED:.0%}: give a frame that covers more of the chip"
        )
    return np.where(padded | ~np.isfinite(pixels), np.float32(np.nan), pixels), fraction


def _measure_noise(path: Path, pixels: np.ndarray, bits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return level and noise of the background, measured on the pixels without a bit."""
    try:
        background, rms = measure_background(pixels, bits != 0)
    except FrameError as error:
        raise SourceError(f"{path}: {error}") from error
    if not np.median(rms) > 0:
        raise SourceError(f"{path}: the background's noise is {np.median(rms)}: the frame is constant or all masked")
    return background, rms


def _subtract_light(
    variance: np.ndarray, light: np.ndarray, rms: np.ndarray, bits: np.ndarray, gain: float
) -> np.ndarray:
    """Return the sky's noise, (y, x) counts: what a variance plane leaves beside the light's own noise, so that
    `Frame.variance` gives the plane back; `rms` where a pixel is not usable."""
    is_usable = (bits & (Mask.NO_DATA | Mask.DEFECT)) == 0
    sky = variance - np.maximum(light, 0) / gain
    least = _TINY_VARIANCE * np.median(variance[is_usable])
    return np.where(is_usable, np.sqrt(np.maximum(sky, least, where=is_usable, out=rms**2)), rms)


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

    def add_notes(self, notes: Iterable[str]) -> None:
        """Add sentences to the notes of the reading."""
        self._notes += notes

    def number(self, name: str, low: float = -math.inf, high: float = math.inf) -> float | None:
        """Return a number between two limits, exclusive; None if no keyword has one.

        A keyword without such a number is noted and left out: optional keywords often hold words or stand-ins.

        Raises
        ------
        SourceError
            The table of pairs gives something else.
        """
        given = self.values.get(name)
        if given is not None:
            self._taken[name] = TABLE_OF_PAIRS
            return self._given_number(name, given, low, high)
        for keyword in getattr(self.keywords, name):
            value = self._card(keyword)
            if value is None:
                continue
            number = _to_number(value)
            if low < number < high:
                self._taken[name] = keyword
                return number
            self._notes.append(f"{keyword} = {value!r} is no {name} and is not used")
        self._taken[name] = None
        return None

    def _given_number(self, name: str, given: Any, low: float, high: float) -> float:
        number = _to_number(given)
        if not math.isfinite(number):
            raise SourceError(f"{self.path}: {name} is {given!r}, it must be a number")
        if not low < number < high:
            limits = f"above {low:g}" if high == math.inf else f"between {low:g} and {high:g}"
            raise SourceError(f"{self.path}: {name} is {number}, it must be {limits}")
        return number

    def positive(self, name: str, why: str = "") -> float:
        """Return a number above zero.

        Raises
        ------
        SourceError
            There is none; `why` tells more of that.
        """
        number = self.number(name, 0)
        if number is None:
            tried = getattr(self.keywords, name)
            found = [f"{keyword} = {self._card(keyword)!r}" for keyword in tried if self._card(keyword) is not None]
            seen = f"{', '.join(found)} must be above 0" if found else f"none of {', '.join(tried)} is in its header"
            raise SourceError(
                f"{self.path} has no {name}: {'; '.join(filter(None, (seen, why)))}; give it in the table"
            )
        return number

    def gain(self) -> float:
        """Return electrons per count: of ``EGAIN``, if ``GAIN`` beside it is another number; note other pixel units.

        The software of CMOS cameras writes the camera's setting, which has no unit, into ``GAIN``.

        Raises
        ------
        SourceError
            There is none.
        """
        name = "gain_e_per_count"
        gain = self.positive(name)
        electrons = _to_number(self._card("EGAIN")) if "EGAIN" in self.keywords.gain_e_per_count else math.nan
        if self._taken[name] == "GAIN" and electrons > 0 and not math.isclose(gain, electrons, rel_tol=_SAME_GAIN):
            self._notes.append(f"GAIN = {gain:g} and EGAIN = {electrons:g} electrons per count: EGAIN is used")
            gain, self._taken[name] = electrons, "EGAIN"
        unit = str(self._card("BUNIT") or "").strip()
        if unit.lower() not in (_ELECTRONS if gain == 1 else _COUNTS):
            self._notes.append(f"BUNIT = {unit!r}: pixels are taken as counts of {gain:g} electrons")
        return gain

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


def _to_number(value: Any) -> float:
    """Return a card's value as a number; NaN for words, truth values, and what is not finite."""
    try:
        number = math.nan if isinstance(value, bool | np.bool_) else float(value)
    except (TypeError, ValueError):
        return math.nan
    return number if math.isfinite(number) else math.nan


def _pixel_arcsec(facts: _Facts, wcs: WCS | None, no_wcs: str) -> float:
    """Return the scale that the table gives, else that of the WCS or, without one, of the header; `no_wcs` says why."""
    if wcs is None or facts.values.get("pixel_arcsec") is not None:
        return facts.positive("pixel_arcsec", no_wcs)
    with name_faults(SkyMappingError, f"{facts.path}: the WCS in its header has no pixel scale"):
        scale_arcsec = float(np.mean(proj_plane_pixel_scales(wcs)) * 3600)
    if not 0 < scale_arcsec < math.inf:
        raise SkyMappingError(f"{facts.path}: the WCS in its header has a pixel scale of {scale_arcsec} arcsec")
    return scale_arcsec
