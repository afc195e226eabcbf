"""Detection of sources on the S/N image of a difference: position, flux, shape, masked pixels nearby."""

from dataclasses import dataclass, fields

import numpy as np
from scipy.spatial import cKDTree

from realbogus.frames import Mask
from realbogus.psf.model import cut_stamps
from realbogus.subtraction.difference import Difference

_SEPARATION_FWHM = 1.0
_CORE_FWHM = 1.0  # radius in which masked pixels are counted
_WINDOW_FWHM = 1.0  # standard deviation of the moments' window, over that of the PSF


@dataclass(frozen=True)
class Detections:
    """Peaks of the S/N image beyond a threshold, in order of decreasing significance; all arrays are (n,).

    Attributes
    ----------
    x, y : float64, pixels
        Sub-pixel position of the peak of the filtered difference.
    snr : float32
        At the peak's pixel, negative for a negative detection.
    flux_counts, flux_error_counts : float64, counts of the new frame
        PSF flux at (x, y), and its standard deviation.
    fwhm_px : float64, pixels
        From second moments under a window of the PSF's width; NaN where they are not those of a peak.
    axis_ratio : float64
        Minor over major axis, from the same moments; NaN likewise.
    positive : bool
        Brighter in the new frame.
    edge_distance_px : float64, pixels
        To the nearest edge of the frame.
    masked_fraction : float64
        Fraction of the pixels within one FWHM that have no data or a defect in either frame.
    saturated : bool
        A saturated pixel within one FWHM, in either frame.
    """

    x: np.ndarray
    y: np.ndarray
    snr: np.ndarray
    flux_counts: np.ndarray
    flux_error_counts: np.ndarray
    fwhm_px: np.ndarray
    axis_ratio: np.ndarray
    positive: np.ndarray
    edge_distance_px: np.ndarray
    masked_fraction: np.ndarray
    saturated: np.ndarray

    def __len__(self) -> int:
        return len(self.x)

    def take(self, rows: np.ndarray) -> "Detections":
        """Return the detections at `rows`: indices, or flags of shape (n,)."""
        return Detections(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


def detect(difference: Difference, threshold_sigma: float = 5.0) -> Detections:
    """Find the peaks of the S/N image, of both signs.

    Among peaks of one sign within one FWHM of each other only the most significant is kept.

    Parameters
    ----------
    difference : Difference
    threshold_sigma : float
        Least absolute S/N.

    Raises
    ------
    ValueError
        The threshold is not positive.
    """
    if not threshold_sigma > 0:
        raise ValueError(f"threshold_sigma is {threshold_sigma}, expected more than 0")
    row, column = _find_peaks(difference.snr, threshold_sigma, _SEPARATION_FWHM * difference.fwhm_px)
    snr = difference.snr[row, column]
    x, y = _locate(difference, row, column)
    flux, error = _fit_flux(difference, x, y, row, column)
    fwhm, axis_ratio = _measure_shape(difference, x, y, np.sign(snr))
    height, width = difference.pixels.shape
    reach = _core_radius(difference)
    masked = _cut_core(np.pad(difference.mask, reach, constant_values=int(Mask.NO_DATA)), column, row, reach)
    return Detections(
        x=x,
        y=y,
        snr=snr,
        flux_counts=flux,
        flux_error_counts=error,
        fwhm_px=fwhm,
        axis_ratio=axis_ratio,
        positive=snr > 0,
        edge_distance_px=np.minimum(np.minimum(x, width - 1 - x), np.minimum(y, height - 1 - y)),
        masked_fraction=((masked & (Mask.NO_DATA | Mask.DEFECT)) > 0).mean(axis=1),
        saturated=np.any((masked & Mask.SATURATED) > 0, axis=1),
    )


def _find_peaks(snr: np.ndarray, threshold: float, separation_px: float) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns, (n,) each, of local extrema beyond the threshold, the most significant first."""
    with np.errstate(invalid="ignore"):
        row, column = np.nonzero(np.abs(snr) > threshold)
    value = snr[row, column]
    sign = np.sign(value)
    padded = np.pad(snr, 1, constant_values=np.nan)
    peak = np.ones(len(row), bool)
    for up in (-1, 0, 1):
        for across in (-1, 0, 1):
            near = padded[row + 1 + up, column + 1 + across] * sign
            # of two equal pixels the first in reading order is the peak
            is_lower = near >= value * sign if (up, across) < (0, 0) else near > value * sign
            peak &= ~is_lower
    row, column, value, sign = row[peak], column[peak], value[peak], sign[peak]
    order = np.argsort(-np.abs(value), kind="stable")
    row, column, value, sign = row[order], column[order], value[order], sign[order]
    is_separate = np.ones(len(row), bool)
    if len(row) > 1:
        pairs = cKDTree(np.column_stack([row, column])).query_pairs(separation_px, output_type="ndarray")
        pairs = np.sort(pairs, axis=1)
        for first, second in pairs[np.lexsort(pairs.T[::-1])]:
            if is_separate[first] and sign[first] == sign[second]:
                is_separate[second] = False
    return row[is_separate], column[is_separate]


def _locate(difference: Difference, row: np.ndarray, column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y of the peaks, (n,) each: vertices of parabolas in log flux along each axis, exact for a Gaussian.

    The peak is that of the likelihood for uniform noise, flux times the root of the filter's power, since the source's
    own noise is poorly known and masked pixels would shift the filtered peak. A neighbour of the other sign, or without
    data, counts as a thousandth of the peak. Where the flux overflows, the position is that of the pixel.
    """
    flux = np.pad(difference.snr * difference.flux_error, 1, constant_values=np.nan)
    near = cut_stamps(flux, column + 1, row + 1, 3) * np.sqrt(_measure_power(difference, row, column))
    middle = near[:, 1, 1]

    def vertex(before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """Return the offset of each parabola's vertex from the middle pixel, (n,)."""
        log_before, log_after = (np.log(np.fmax(part / middle, 1e-3)) for part in (before, after))
        bend = log_before + log_after
        offset = np.where(bend < -1e-6, (log_before - log_after) / np.minimum(2 * bend, -1e-6), 0)
        return np.where(np.isfinite(offset), np.clip(offset, -0.5, 0.5), 0)

    return column + vertex(near[:, 1, 0], near[:, 1, 2]), row + vertex(near[:, 0, 1], near[:, 2, 1])


def _measure_power(difference: Difference, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Return the filter's power within usable pixels at the 3 x 3 pixels around each position, (n, 3, 3)."""
    squares = np.square(difference.psf.at(column, row))
    size = difference.psf.size
    reach = size // 2 + 1
    usable = np.pad(_find_usable(difference), reach)
    wide = cut_stamps(usable, column + reach, row + reach, size + 2)
    power = np.empty((len(row), 3, 3))
    for up in range(3):
        for across in range(3):
            power[:, up, across] = (squares * wide[:, up : up + size, across : across + size]).sum(axis=(1, 2))
    return power


def _find_usable(difference: Difference) -> np.ndarray:
    """Return the pixels with data and without defect, (y, x) bool."""
    return np.isfinite(difference.pixels) & ((difference.mask & Mask.DEFECT) == 0)


def _fit_flux(
    difference: Difference, x: np.ndarray, y: np.ndarray, row: np.ndarray, column: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the PSF flux at each position and its standard deviation, (n,) each.

    Pixels without data, and defects, have no weight.
    """
    profile = difference.psf.at(x, y)
    radius = difference.psf.size // 2
    padded = np.pad(difference.pixels, radius, constant_values=np.nan)
    counts = cut_stamps(padded, x + radius, y + radius, profile.shape[-1])
    usable = cut_stamps(np.pad(_find_usable(difference), radius), x + radius, y + radius, profile.shape[-1])
    power = (np.square(profile) * usable).sum(axis=(1, 2), dtype=float)
    total = (profile * np.where(usable, counts, 0)).sum(axis=(1, 2), dtype=float)
    return total / np.maximum(power, 1e-12), difference.flux_error[row, column].astype(float)


def _core_radius(difference: Difference) -> int:
    return int(np.ceil(_CORE_FWHM * difference.fwhm_px))


def _cut_core(padded: np.ndarray, x: np.ndarray, y: np.ndarray, reach: int) -> np.ndarray:
    """Return the pixels within `reach` of each position, (n, pixels), of an image padded by `reach`."""
    offsets = np.arange(-reach, reach + 1)
    disc = np.hypot(offsets[:, None], offsets) <= reach
    return cut_stamps(padded, x + reach, y + reach, 2 * reach + 1)[:, disc]


def _measure_shape(
    difference: Difference, x: np.ndarray, y: np.ndarray, sign: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return FWHM and axis ratio, (n,) each, from second moments corrected for their Gaussian window."""
    window = _WINDOW_FWHM * difference.fwhm_px / 2.355
    reach = int(np.ceil(3 * window))
    counts = cut_stamps(np.pad(difference.pixels, reach), x + reach, y + reach, 2 * reach + 1)
    counts = np.nan_to_num(counts * sign[:, None, None], nan=0.0).astype(float)
    offsets = np.arange(-reach, reach + 1)
    across = offsets - (x - np.floor(x + 0.5))[:, None, None]
    up = offsets[:, None] - (y - np.floor(y + 0.5))[:, None, None]
    weighted = counts * np.exp(-(across**2 + up**2) / (2 * window**2))
    total = weighted.sum(axis=(1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        xx, yy, xy = ((weighted * part).sum(axis=(1, 2)) / total for part in (across**2, up**2, across * up))
        mean, half = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
        # a Gaussian of variance v under a window of variance w has 1 / (1 / v + 1 / w)
        major, minor = (1 / (1 / moment - 1 / window**2) for moment in (mean + half, mean - half))
        valid = (total > 0) & (mean - half > 0) & (mean + half < window**2)
        fwhm = np.where(valid, 2.355 * np.sqrt(np.sqrt(np.abs(major * minor))), np.nan)
        ratio = np.where(valid, np.sqrt(np.abs(minor / major)), np.nan)
    return fwhm, ratio
