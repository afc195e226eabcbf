"""FITS images of others, plain, gzipped or tile-compressed (``.fz``), read within bounds.

A header is judged before memory is taken for its image. Every fault names the file.
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
    """An image as its file has it.

    Attributes
    ----------
    pixels : ndarray, (y, x) float32
        Scaled as the header says; NaN where blank.
    headers : tuple of Header
        Its own and the file's first.
    quantum : float
        Step between whole-number values, 0 for floating-point ones.
    """

    pixels: np.ndarray
    headers: tuple[fits.Header, ...]
    quantum: float


@contextmanager
def _faults_named(path: Path) -> Iterator[None]:
    """Give the file's name to whatever astropy raises at it, and keep its warnings about foreign headers silent."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        try:
            yield
        except SourceError:
            raise
        except _READING_FAULTS as error:
            if isinstance(error, OSError) and error.errno == errno.EINVAL:  # a place in the file beyond all files
                raise SourceError(f"{path} declares an image that no file can hold") from error
            raise SourceError(f"{path} cannot be read as FITS: {error or type(error).__name__}") from error


def read_image(path: Path, wanted: int | str | None = None) -> FitsImage:
    """Read an image.

    Parameters
    ----------
    path : Path
    wanted : int or str, optional
        Number or name of the header and data unit; the first that is an image otherwise.

    Raises
    ------
    SourceError
        The file is absent, corrupt or cut short, holds no such image of two dimensions, or declares one of more than
        `MOST_SIDE_PX` a side or than its bytes can hold.
    """
    if not path.is_file():
        raise SourceError(f"frame {path} does not exist")
    with _faults_named(path), fits.open(path, memmap=False) as hdus:
        hdu = _choose_hdu(path, hdus, wanted)
        shape = _check_declared(path, hdu)
        whole = hdu.header["BITPIX"] > 0
        quantum = abs(float(card_value(hdu.header, "BSCALE") or 1)) if whole else 0.0
        headers = (hdu.header.copy(), hdus[0].header.copy())
        with np.errstate(over="ignore", invalid="ignore"):
            pixels = np.asarray(hdu.data).reshape(shape).astype(np.float32)
        return FitsImage(pixels, headers, quantum)


def _choose_hdu(path: Path, hdus: fits.HDUList, wanted: int | str | None) -> Any:
    if wanted is not None:
        return hdus[wanted]
    for hdu in hdus:
        if hdu.is_image and len(hdu.shape) >= 2:
            return hdu
    raise SourceError(f"{path} holds no image of two dimensions")


def _check_declared(path: Path, hdu: Any) -> tuple[int, int]:
    """Return the shape that a header declares, checked against what may be and against the size of the file."""
    if not hdu.is_image:
        raise SourceError(f"{path}: {hdu.name or 'the part asked for'} is no image")
    shape = tuple(side for side in hdu.shape if side != 1)
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
    """Return the celestial WCS, None where the header has none."""
    if not any(str(card_value(header, name) or "").strip() for name in ("CTYPE1", "CTYPE2")):
        return None
    with _faults_named(path):
        wcs = WCS(header)
        return wcs.celestial if wcs.has_celestial else None


def card_value(header: fits.Header, keyword: str) -> Any:
    """Return a card's value; None where it is absent, undefined or cannot be parsed."""
    try:
        value = header.get(keyword)
    except fits.VerifyError:
        return None
    return None if isinstance(value, fits.card.Undefined) or value == "" else value
