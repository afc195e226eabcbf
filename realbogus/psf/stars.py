"""Detection of a frame's sources and selection of stars: point-like, unsaturated, isolated."""

from dataclasses import dataclass, fields

import numpy as np
import sep
from scipy.spatial import cKDTree

from realbogus.frames import Frame, Mask
from realbogus.psf.extraction import extract_sources
from realbogus.psf.kernels import polynomial_terms

_LOCUS_SNR = 30.0
_LOCUS_WIDTH = 0.15  # relative, of the half-light radius; galaxies and particle hits are outside
_BLEND_FWHM = 3.0
_BLEND_SHARE = 0.05  # of a star's flux, in another source within `_BLEND_FWHM`
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
        A pixel within 2 rows and columns is saturated, or the peak is above 0.9 of the frame's saturation.
    isolated : bool
        No other source with more than a twentieth of the flux within 3 FWHM.
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
        """Return the stars at `rows`: indices, or flags of shape (n,)."""
        return Stars(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


def find_stars(frame: Frame) -> Stars:
    """Detect the sources above 5 sigma per pixel and classify them as stars or others.

    Returns
    -------
    Stars
        All sources; those that are not stars have ``star_like`` false. Empty if nothing is detected.

    Raises
    ------
    ExtractionError
        The frame is too crowded.
    """
    unusable = (frame.mask & (Mask.NO_DATA | Mask.DEFECT)) > 0
    signal = np.ascontiguousarray(frame.signal())
    rms = np.ascontiguousarray(frame.background_rms, np.float32)
    sources = extract_sources(signal, rms, unusable)
    column, row = (
        np.clip(np.rint(sources["x"]), 0, None).astype(int),
        np.clip(np.rint(sources["y"]), 0, None).astype(int),
    )
    noise = np.sqrt(sources["npix"]) * rms[row, column]
    flux = sources["flux"].astype(np.float64)
    snr = flux / np.sqrt(noise**2 + np.maximum(flux, 0) / frame.gain_e_per_count)
    saturated = _touches_saturation(frame, column, row, sources["peak"])
    guess = _guess_fwhm(sources, snr, saturated)
    half_light, _ = sep.flux_radius(
        signal, sources["x"], sources["y"], np.full(len(sources), 2.5 * guess), 0.5, mask=unusable, subpix=3
    )
    x, y = _centre(signal, unusable, sources, guess)
    return Stars(
        x=x,
        y=y,
        flux=flux,
        snr=snr,
        peak=sources["peak"].astype(np.float64),
        fwhm=2 * half_light,
        saturated=saturated,
        isolated=_flag_isolated(x, y, flux, guess),
        star_like=_flag_locus(x, y, half_light, (snr > _LOCUS_SNR) & ~saturated, frame.shape),
    )


def _centre(
    signal: np.ndarray, unusable: np.ndarray, sources: np.ndarray, fwhm: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return windowed centroids, all within the frame; barycentres where the centroid diverges.

    The centroid can diverge, even out of the frame, on a source smaller than the window (a particle hit) or cut by the
    frame's edge; more than one FWHM from the barycentre, or beyond the frame, it is not used.
    """
    height, width = signal.shape
    x, y, _ = sep.winpos(signal, sources["x"], sources["y"], np.full(len(sources), fwhm / 2.355), mask=unusable)
    is_stable = np.hypot(x - sources["x"], y - sources["y"]) < fwhm
    is_stable &= (x > -0.5) & (y > -0.5) & (x < width - 0.5) & (y < height - 0.5)
    return np.where(is_stable, x, sources["x"]), np.where(is_stable, y, sources["y"])


def _touches_saturation(frame: Frame, column: np.ndarray, row: np.ndarray, peak: np.ndarray) -> np.ndarray:
    height, width = frame.shape
    touched = peak + frame.background[row, column] > _SATURATION_SHARE * frame.saturation_counts
    for up in range(-2, 3):
        for across in range(-2, 3):
            near = frame.mask[np.clip(row + up, 0, height - 1), np.clip(column + across, 0, width - 1)]
            touched |= (near & Mask.SATURATED) > 0
    return touched


def _guess_fwhm(sources: np.ndarray, snr: np.ndarray, saturated: np.ndarray) -> float:
    """Return the FWHM in pixels from the moments of bright sources; isophotes bias it somewhat low."""
    bright = (snr > _LOCUS_SNR) & ~saturated
    if not bright.any():
        return 3.0
    return float(np.clip(2.6 * np.median(np.sqrt(sources["a"] * sources["b"])[bright]), 1.5, 15.0))


def _flag_isolated(x: np.ndarray, y: np.ndarray, flux: np.ndarray, fwhm: float) -> np.ndarray:
    isolated = np.ones(len(x), bool)
    if len(x) < 2:
        return isolated
    pairs = cKDTree(np.column_stack([x, y])).query_pairs(_BLEND_FWHM * fwhm, output_type="ndarray")
    for first, second in (pairs.T, pairs.T[::-1]):
        isolated[first[flux[second] > _BLEND_SHARE * flux[first]]] = False
    return isolated


def _flag_locus(
    x: np.ndarray, y: np.ndarray, size: np.ndarray, bright: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
    """Return which sources have the half-light radius of stars, (n,) bool; it may vary over the chip."""
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
    """Return the median of the shortest interval that holds a third of the values."""
    ordered = np.sort(values)
    count = max(len(ordered) // 3, 1)
    widths = ordered[count:] - ordered[: len(ordered) - count]
    start = int(np.argmin(widths)) if len(widths) else 0
    return float(np.median(ordered[start : start + count + 1]))
