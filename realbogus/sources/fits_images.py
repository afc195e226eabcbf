"""External FITS images, plain, gzipped or tile-compressed (``.fz``), read within bounds.

A header is checked before memory is allocated for its image. Every error names the file.
"""

import errno
import math
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS

from realbogus.records import SourceError

MOST_SIDE_PX = 20_000
_MOST_GZIP_RATIO = 1032  # of deflate
_MOST_TILE_RATIO = 10_000  # a row of 20,000 equal pixels of a mask takes about 24 bytes
_READING_FAULTS = (OSError, EOFError, ValueError, TypeError, KeyError, IndexError, zlib.error, fits.VerifyError)


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
def _name_faults(path: Path) -> Iterator[None]:
    """Raise astropy's errors as `SourceError` with the file's name; silence its warnings about non-standard headers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        try:
            yield
        except SourceError:
            raise
        except _READING_FAULTS as error:
            if isinstance(error, OSError) and error.errno == errno.EINVAL:  # an offset beyond any file
                raise SourceError(f"{path} declares an image that no file can hold") from error
            raise SourceError(f"{path} cannot be read as FITS: {error or type(error).__name__}") from error


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
    if not path.is_file():
        raise SourceError(f"frame {path} does not exist")
    with _name_faults(path), fits.open(path, memmap=False) as hdus:
        unit = _choose_hdu(path, hdus, hdu)
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
    elif _is_gzipped(path):
        needed = (place["datLoc"] + declared) // _MOST_GZIP_RATIO
    else:
        needed = place["datLoc"] + declared
    if needed > size:
        raise SourceError(f"{path} declares {declared:,} bytes of image, its {size:,} bytes cannot hold them")
    return shape


def _is_gzipped(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(2) == b"\x1f\x8b"


def read_wcs(path: Path, header: fits.Header) -> WCS | None:
    """Return the celestial WCS, None if the header has none."""
    if not any(str(card_value(header, name) or "").strip() for name in ("CTYPE1", "CTYPE2")):
        return None
    with _name_faults(path):
        wcs = WCS(header)
        return wcs.celestial if wcs.has_celestial else None


def card_value(header: fits.Header, keyword: str) -> Any:
    """Return a card's value; None if it is absent, undefined or cannot be parsed."""
    try:
        value = header.get(keyword)
    except fits.VerifyError:
        return None
    return None if isinstance(value, fits.card.Undefined) or value == "" else value
