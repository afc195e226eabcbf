"""External FITS images, plain, packed by gzip, bzip2 or xz, or tile-compressed (``.fz``), read within bounds.

A header is checked before memory is allocated for its image. Every error names the file.
"""

import errno
import math
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS

from realbogus.library_faults import name_faults
from realbogus.records import SourceError

MOST_SIDE_PX = 20_000
_MOST_RATIOS = {b"\x1f\x8b": 1032, b"BZh": 2_000_000, b"\xfd7zXZ\x00": 10_000}
"""First bytes of a packed file -> how many times larger its content is at most: deflate's bound, others of zeros."""
_MOST_TILE_RATIO = 10_000  # a row of 20,000 equal pixels of a mask takes about 24 bytes
_MATRIX_CARD = re.compile(r"(CD|PC)\d_\d+")
_OTHER_SYSTEMS = ("FK4", "FK4-NO-E", "GAPPT")
_LARGEST_PRECESSION_Y = 0.01  # half an arcsec
_LATEST_OLD_EQUINOX = 1980.0  # later years of EPOCH are those of the observation
_POSITION_CARD = re.compile(r"(CRVAL|CRPIX|CDELT|CROTA)\d|(CD|PC|PV)\d_\d+")
_LEAST_INDEPENDENT = 1e-6  # determinant of a WCS's matrix over the square of its largest element
_CHECKED_PX = 5  # rows and columns of places of a frame at which its WCS must give positions


class SkyMappingError(SourceError):
    """The WCS of a frame cannot be used."""


@dataclass(frozen=True)
class FitsImage:
    """An image and its headers.

    Attributes
    ----------
    pixels : ndarray of shape (y, x) float32
        Scaled by BSCALE and BZERO; NaN where blank.
    headers : tuple of Header
        The image's own, then the file's first.
    quantum : float
        Step of integer values after scaling, 0 for floating-point values.
    """

    pixels: np.ndarray
    headers: tuple[fits.Header, ...]
    quantum: float


@contextmanager
def _name_fits_faults(path: Path) -> Iterator[None]:
    """Raise whatever astropy raises for the content of a file as `SourceError` with the file's name."""
    with name_faults(SourceError, f"{path} cannot be read as FITS"):
        try:
            yield
        except OSError as error:
            if error.errno == errno.EINVAL:  # an offset beyond any file
                raise SourceError(f"{path} declares an image that no file can hold") from error
            raise


@contextmanager
def _open_image(path: Path, number: int | str | None) -> Iterator[tuple[fits.HDUList, FitsImage]]:
    """Open a file and read one of its images; astropy's errors are raised as `SourceError` with the file's name."""
    if not path.is_file():
        raise SourceError(f"frame {path} {'is a folder, not a FITS file' if path.is_dir() else 'does not exist'}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)  # about headers that are not standard
        with _name_fits_faults(path):
            hdus = fits.open(path, memmap=False)
        with hdus:
            yield hdus, _read_hdu(path, hdus, number)


def read_image(path: Path, hdu: int | str | None = None) -> FitsImage:
    """Read an image.

    Parameters
    ----------
    path : Path
    hdu : int or str, optional
        Number or name of the header and data unit; by default the first image of two dimensions.

    Raises
    ------
    SourceError
        The file is absent, corrupt or truncated, has no such image of two dimensions, or declares one wider or higher
        than `MOST_SIDE_PX` or larger than its bytes can hold.
    """
    with _open_image(path, hdu) as (_, image):
        return image


def read_sky_image(path: Path, hdu: int | str | None = None) -> tuple[FitsImage, WCS | None]:
    """Read an image as `read_image` does, and its celestial WCS with the file's distortion tables; None without one.

    Raises
    ------
    SourceError
        As for `read_image`.
    SkyMappingError
        The header has a WCS that cannot be parsed, lacks a table, or gives no position within the frame.
    """
    with _open_image(path, hdu) as (hdus, image):
        return image, _read_wcs(path, image, hdus)


def _read_hdu(path: Path, hdus: fits.HDUList, number: int | str | None) -> FitsImage:
    with _name_fits_faults(path):  # astropy parses headers and data when they are asked for: any line can raise
        unit = _choose_hdu(path, hdus, number)
        shape = _check_declared(path, unit)
        is_integer = unit.header["BITPIX"] > 0
        quantum = abs(float(card_value(unit.header, "BSCALE") or 1)) if is_integer else 0.0
        headers = (unit.header.copy(), hdus[0].header.copy())
        with np.errstate(over="ignore", invalid="ignore"):
            pixels = np.asarray(unit.data).reshape(shape).astype(np.float32)
        return FitsImage(pixels, headers, quantum)


def _choose_hdu(path: Path, hdus: fits.HDUList, number: int | str | None) -> Any:
    if number is not None:
        return hdus[number]
    for hdu in hdus:
        if hdu.is_image and len(hdu.shape) >= 2:
            return hdu
    raise SourceError(f"{path} holds no image of two dimensions")


def _check_declared(path: Path, hdu: Any) -> tuple[int, int]:
    """Return the shape that a header declares, checked against the limits and the size of the file."""
    if not hdu.is_image:
        raise SourceError(f"{path}: {hdu.name or 'the requested part'} is not an image")
    shape = tuple(length for length in hdu.shape if length != 1)
    if len(shape) != 2:
        raise SourceError(f"{path} declares an image of shape {hdu.shape}, expected two dimensions")
    if max(shape) > MOST_SIDE_PX:
        raise SourceError(f"{path} declares {shape[1]} x {shape[0]} pixels, the most is {MOST_SIDE_PX} a side")
    size, place = path.stat().st_size, hdu.fileinfo()
    declared = math.prod(shape) * abs(hdu.header["BITPIX"]) // 8
    if isinstance(hdu, fits.CompImageHDU):
        needed = max(place["datLoc"] + place["datSpan"], declared // _MOST_TILE_RATIO)
    else:
        needed = (place["datLoc"] + declared) // _packing_ratio(path)
    if needed > size:
        raise SourceError(f"{path} declares {declared:,} bytes of image, its {size:,} bytes cannot hold them")
    return shape


def _packing_ratio(path: Path) -> int:
    """Return how many times larger than the file its content is at most: 1 where it is not packed."""
    with path.open("rb") as stream:
        first = stream.read(max(map(len, _MOST_RATIOS)))
    return next((ratio for mark, ratio in _MOST_RATIOS.items() if first.startswith(mark)), 1)


def _read_wcs(path: Path, image: FitsImage, hdus: fits.HDUList) -> WCS | None:
    """Return the celestial WCS of an image of the open file, None if its header has none."""
    header = image.headers[0]
    if not any(str(card_value(header, name) or "").strip() for name in ("CTYPE1", "CTYPE2")):
        return None
    subject = f"{path}: the WCS in its header cannot be used"
    _check_position_cards(header, subject)
    with name_faults(SkyMappingError, subject):
        wcs = _parse_wcs(header, hdus, subject)
        if wcs is None:
            return None
        matrix = wcs.pixel_scale_matrix
        if not abs(np.linalg.det(matrix)) > _LEAST_INDEPENDENT * np.abs(matrix).max() ** 2:
            raise SkyMappingError(f"{subject}: its matrix (CD or PC and CDELT) {matrix.tolist()} is singular")
        y, x = np.meshgrid(*(np.linspace(0, length - 1, _CHECKED_PX) for length in image.pixels.shape))
        places = wcs.all_pix2world(x.ravel(), y.ravel(), 0)
        wcs.all_world2pix(*places, 0, quiet=True)  # what the inverse raises, it raises here
    if not np.isfinite(places).all(axis=0).any():
        raise SkyMappingError(f"{subject}: it gives no position for any part of the frame")
    return wcs


def _check_position_cards(header: fits.Header, subject: str) -> None:
    """Refuse what is no finite number in the place of a WCS's number: wcslib takes 0 or 1 for it."""
    for card in header.cards:
        if not _POSITION_CARD.fullmatch(card.keyword):
            continue
        value = card_value(header, card.keyword)
        if isinstance(value, str) or value is None or not math.isfinite(value):
            written = card.image.partition("=")[2].partition("/")[0].strip(" '")
            raise SkyMappingError(f"{subject}: {card.keyword} is {written!r}, it must be a number")
    matrix = [card.value for card in header.cards if re.fullmatch(r"CD\d_\d+", card.keyword)]
    if matrix and not any(matrix):  # wcslib takes the unit matrix for it
        raise SkyMappingError(f"{subject}: its matrix is singular: all CDi_j are 0")


def _parse_wcs(header: fits.Header, hdus: fits.HDUList, subject: str) -> WCS | None:
    """Return the celestial WCS of a header, longitude first; None without one."""
    try:
        wcs = WCS(header, fobj=hdus)
    except MemoryError as error:  # wcslib's word for a malformed distortion, no matter how much memory is free
        said = str(error).strip().rstrip(":") or "wcslib ran out of memory"
        raise SkyMappingError(f"{subject}: {said}: a table or record that it names is missing or malformed") from error
    if not wcs.has_celestial:
        return None
    wcs = wcs.celestial
    if wcs.wcs.lng != 0:
        raise SkyMappingError(f"{subject}: its first axis is {wcs.wcs.ctype[0]}, it must be the longitude")
    _require_scale(header, subject)
    _require_equatorial(wcs, header, subject)
    return wcs


def _require_scale(header: fits.Header, subject: str) -> None:
    """Refuse a WCS without a reference position or a pixel scale: wcslib takes 0 and 1 degree for them."""
    for name in ("CRVAL1", "CRVAL2"):
        if name not in header:
            raise SkyMappingError(f"{subject}: {name} is missing")
    has_matrix = any(_MATRIX_CARD.fullmatch(name) for name in header)
    if not has_matrix and not {"CDELT1", "CDELT2"} <= set(header):
        raise SkyMappingError(f"{subject}: it has no pixel scale, neither CDi_j nor CDELT1 and CDELT2")


def _require_equatorial(wcs: WCS, header: fits.Header, subject: str) -> None:
    """Refuse positions other than right ascension and declination of J2000: all others here are."""
    system = str(card_value(header, "RADESYS") or card_value(header, "RADECSYS") or "").strip().upper()
    equinox = _equinox(header)
    if wcs.wcs.lngtyp.strip() != "RA":
        said = f"CTYPE1 is {wcs.wcs.ctype[0]}"
    elif system in _OTHER_SYSTEMS:
        said = f"RADESYS is {system}"
    elif system != "ICRS" and equinox is not None and abs(equinox - 2000) > _LARGEST_PRECESSION_Y:
        said = f"its equinox is {equinox:g}"
    else:
        return
    raise SkyMappingError(f"{subject}: {said}, its positions must be ICRS or FK5 of J2000")


def _equinox(header: fits.Header) -> float | None:
    """Return the year of EQUINOX, or of EPOCH where it is no year of observation; None without one."""
    for keyword, latest in (("EQUINOX", math.inf), ("EPOCH", _LATEST_OLD_EQUINOX)):
        text = str(card_value(header, keyword) or "").strip().upper().lstrip("JB")
        try:
            year = float(text)
        except ValueError:
            continue
        if 0 < year <= latest:
            return year
    return None


def explain_no_wcs(header: fits.Header) -> str:
    """Say why a header with a reference position has no celestial WCS; empty where it has no such position."""
    if "CRVAL1" not in header:
        return ""
    types = " and ".join(f"{name} = {card_value(header, name)!r}" for name in ("CTYPE1", "CTYPE2"))
    return f"{types} name no projection of the sky, such as RA---TAN and DEC--TAN: CRVAL1 and CRVAL2 are not read"


def card_value(header: fits.Header, keyword: str) -> Any:
    """Return a card's value; None if it is absent, undefined or cannot be parsed."""
    try:
        value = header.get(keyword)
    except fits.VerifyError:
        return None
    return None if isinstance(value, fits.card.Undefined) or value == "" else value
