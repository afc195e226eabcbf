"""The stars of a frame: which sources are point-like, unsaturated and alone."""

from dataclasses import dataclass, fields

import numpy as np
import sep
from scipy.spatial import cKDTree

from realbogus.frames import Frame, Mask
from realbogus.psf.kernels import polynomial_terms

_THRESHOLD_SIGMA = 5.0
_LEAST_AREA_PX = 5
_LOCUS_SNR = 30.0
_LOCUS_WIDTH = 0.15  # of the half-light radius; galaxies and particle hits lie beyond
_BLEND_FWHM = 3.0
_BLEND_SHARE = 0.05  # of a star's light, in another source within `_BLEND_FWHM`
_SATURATION_SHARE = 0.9
_LEAST_LOCUS = 12


@dataclass(frozen=True)
class Stars:
    """Sources of a frame; all arrays are (n,).

    Attributes
    ----------
    x, y : float64, pixels
        Windowed centroids, within the frame.
    flux : float64, counts
        Within the source's isophote.
    snr : float64
        Of that flux.
    peak : float64, counts
        Above the background.
    fwhm : float64, pixels
        Twice the half-light radius.
    saturated : bool
        A pixel within 2 pixels is saturated or above 0.9 of the frame's saturation.
    isolated : bool
        No source with a twentieth of the light within 3 FWHM.
    star_like : bool
        On the locus of stars in half-light radius.
    """

    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray
    snr: np.ndarray
    peak: np.ndarray
    fwhm: np.ndarray
    saturated: np.ndarray
    isolated: np.ndarray
    star_like: np.ndarray

    def __len__(self) -> int:
        return len(self.x)

    def take(self, rows: np.ndarray) -> "Stars":
        """Return some of the stars, by index or flag."""
        return Stars(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


def find_stars(frame: Frame) -> Stars:
    """Find the sources above 5 sigma a pixel and tell which of them are stars.

    Returns
    -------
    Stars
        All sources, the others with ``star_like`` false. Empty where nothing is found.
    """
    unusable = (frame.mask & (Mask.NO_DATA | Mask.DEFECT)) > 0
    signal = np.ascontiguousarray(frame.signal())
    rms = np.ascontiguousarray(frame.background_rms, np.float32)
    found = sep.extract(signal, _THRESHOLD_SIGMA, err=rms, mask=unusable, minarea=_LEAST_AREA_PX)
    column, row = np.clip(np.rint(found["x"]), 0, None).astype(int), np.clip(np.rint(found["y"]), 0, None).astype(int)
    noise = np.sqrt(found["npix"]) * rms[row, column]
    flux = found["flux"].astype(np.float64)
    snr = flux / np.sqrt(noise**2 + np.maximum(flux, 0) / frame.gain_e_per_count)
    saturated = _touches_saturation(frame, column, row, found["peak"])
    guess = _guess_fwhm(found, snr, saturated)
    half_light, _ = sep.flux_radius(
        signal, found["x"], found["y"], np.full(len(found), 2.5 * guess), 0.5, mask=unusable, subpix=3
    )
    x, y = _centre(signal, unusable, found, guess)
    return Stars(
        x=x,
        y=y,
        flux=flux,
        snr=snr,
        peak=found["peak"].astype(np.float64),
        fwhm=2 * half_light,
        saturated=saturated,
        isolated=_flag_isolated(x, y, flux, guess),
        star_like=_flag_locus(x, y, half_light, (snr > _LOCUS_SNR) & ~saturated, frame.shape),
    )


def _centre(signal: np.ndarray, unusable: np.ndarray, found: np.ndarray, fwhm: float) -> tuple[np.ndarray, np.ndarray]:
    """Return windowed centroids, all within the frame.

    On a source that is smaller than the window, as a particle hit, or cut by the frame's edge the centroid can run
    away, even out of the frame: more than one FWHM from its barycentre a source stays there.
    """
    height, width = signal.shape
    x, y, _ = sep.winpos(signal, found["x"], found["y"], np.full(len(found), fwhm / 2.355), mask=unusable)
    kept = np.hypot(x - found["x"], y - found["y"]) < fwhm
    kept &= (x > -0.5) & (y > -0.5) & (x < width - 0.5) & (y < height - 0.5)
    return np.where(kept, x, found["x"]), np.where(kept, y, found["y"])


def _touches_saturation(frame: Frame, column: np.ndarray, row: np.ndarray, peak: np.ndarray) -> np.ndarray:
    height, width = frame.shape
    touched = peak + frame.background[row, column] > _SATURATION_SHARE * frame.saturation_counts
    for up in range(-2, 3):
        for across in range(-2, 3):
            near = frame.mask[np.clip(row + up, 0, height - 1), np.clip(column + across, 0, width - 1)]
            touched |= (near & Mask.SATURATED) > 0
    return touched


def _guess_fwhm(found: np.ndarray, snr: np.ndarray, saturated: np.ndarray) -> float:
    """Return the FWHM in pixels from the moments of bright sources; isophotes make it somewhat low."""
    bright = (snr > _LOCUS_SNR) & ~saturated
    if not bright.any():
        return 3.0
    return float(np.clip(2.6 * np.median(np.sqrt(found["a"] * found["b"])[bright]), 1.5, 15.0))


def _flag_isolated(x: np.ndarray, y: np.ndarray, flux: np.ndarray, fwhm: float) -> np.ndarray:
    alone = np.ones(len(x), bool)
    if len(x) < 2:
        return alone
    pairs = cKDTree(np.column_stack([x, y])).query_pairs(_BLEND_FWHM * fwhm, output_type="ndarray")
    for one, other in (pairs.T, pairs.T[::-1]):
        alone[one[flux[other] > _BLEND_SHARE * flux[one]]] = False
    return alone


def _flag_locus(
    x: np.ndarray, y: np.ndarray, size: np.ndarray, bright: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
    """Return which sources have the half-light radius of stars, which may vary over the chip."""
    if not bright.any():
        return np.zeros(len(x), bool)
    expected = np.full(len(x), _find_mode(size[bright]))
    for order in (0, 1, 2):
        near = bright & (np.abs(size / expected - 1) < _LOCUS_WIDTH)
        if near.sum() < _LEAST_LOCUS * (order + 1):
            break
        terms = polynomial_terms(x, y, shape, order)
        expected = terms @ np.linalg.lstsq(terms[near], size[near], rcond=None)[0]
        expected = np.maximum(expected, 0.2 * np.median(size[near]))
    return np.abs(size / expected - 1) < _LOCUS_WIDTH


def _find_mode(values: np.ndarray) -> float:
    """Return the middle of the shortest interval that holds a third of the values."""
    ordered = np.sort(values)
    count = max(len(ordered) // 3, 1)
    widths = ordered[count:] - ordered[: len(ordered) - count]
    start = int(np.argmin(widths)) if len(widths) else 0
    return float(np.median(ordered[start : start + count + 1]))
