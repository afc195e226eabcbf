"""FITS files of small frames, for tests of what reads them."""

from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

RNG = np.random.default_rng(2)
HEADER = {"GAIN": 1.7, "SATURATE": 50000.0, "MAGZP": 24.5, "MJD-OBS": 59000.75, "EXPTIME": 9.0, "CCDID": 12}


def draw_sky(shape=(150, 200), level=300.0, sigma=12.0) -> np.ndarray:
    """Return an image of noise about a level, float32."""
    return RNG.normal(level, sigma, shape).astype(np.float32)


def wcs_header(x: float = 0.0, y: float = 0.0, scale_arcsec: float = 1.2, ra: float = 150.0) -> fits.Header:
    """Return a tangent plane whose pixels lie (x, y) off those of the default one."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], [ra, 20.0], [100.0 - x, 75.0 - y]
    wcs.wcs.cdelt = [-scale_arcsec / 3600, scale_arcsec / 3600]
    return wcs.to_header()


def write_image(path: Path, image: np.ndarray, header: dict | None = None, wcs: fits.Header | None = None) -> Path:
    """Write an image with these cards, by default those of `HEADER`, and return its path."""
    hdu = fits.PrimaryHDU(image)
    for cards in (HEADER if header is None else header, wcs or {}):
        hdu.header.update(cards)
    hdu.writeto(path)
    return path
