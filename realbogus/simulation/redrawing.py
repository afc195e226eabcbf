"""Candidates redrawn from a sample: triplets rotated, mirrored, shifted by fractions of a pixel, with added noise.

It extends a short simulated survey to a night of any length. Such a night measures the speed and the reproducibility
of scoring, not the frequency of each kind of candidate.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

MOST_SHIFT_PX = 0.5
NOISE_SHARE = 0.3
"""Standard deviation of the added noise, in units of that of the stamp's border."""
_BORDER_PX = 3
SYMMETRIES = 8


@dataclass(frozen=True)
class LabelledStamps:
    """Candidates to draw from.

    Attributes
    ----------
    ids : (n,) str
    stamps : (n, y, x, 3) float32
        Triplets: new, reference, difference.
    real : (n,) bool
        Whether the candidate is a true transient.
    """

    ids: NDArray[np.str_]
    stamps: NDArray[np.float32]
    real: NDArray[np.bool_]


def redraw_candidates(
    samples: LabelledStamps, count: int, real_share: float, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Draw candidates with replacement and alter their triplets.

    Parameters
    ----------
    samples : LabelledStamps
    count : int
        Number of candidates.
    real_share : float
        Probability that a candidate is real; without effect if all samples are of one class.
    rng : numpy.random.Generator

    Returns
    -------
    rows : int64 of shape (count,)
        Row of the sample behind each candidate.
    stamps : float32 of shape (count, y, x, 3)
        Altered by `alter_stamps`.
    """
    drawn_real = rng.random(count) < real_share
    rows = np.empty(count, np.int64)
    for is_real in (True, False):
        pool = np.flatnonzero(samples.real == is_real)
        of_class = drawn_real == is_real
        rows[of_class] = rng.choice(pool if len(pool) else len(samples.real), of_class.sum())
    return rows, alter_stamps(samples.stamps[rows], rng)


def alter_stamps(stamps: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Rotate or mirror triplets (n, y, x, 3), shift them by up to half a pixel along each axis, and add noise.

    New and difference get the same noise, so that the difference remains consistent; the reference gets none. NaN
    stays NaN.
    """
    stamps = apply_symmetries(stamps, rng.integers(SYMMETRIES, size=len(stamps)))
    missing = np.isnan(stamps)
    zero_filled = np.where(missing, np.float32(0), stamps)
    means = zero_filled.sum(axis=(1, 2), keepdims=True) / np.maximum((~missing).sum(axis=(1, 2), keepdims=True), 1)
    moved = shift_stamps(np.where(missing, means, stamps), rng.uniform(-MOST_SHIFT_PX, MOST_SHIFT_PX, (len(stamps), 2)))
    border = np.ones(moved.shape[1:3], bool)
    border[_BORDER_PX:-_BORDER_PX, _BORDER_PX:-_BORDER_PX] = False
    scale = NOISE_SHARE * moved[:, border, 0].std(axis=1)
    noise = scale[:, None, None] * rng.standard_normal(moved.shape[:3], np.float32)
    moved[..., 0] += noise
    moved[..., 2] += noise
    moved[missing] = np.nan
    return moved


def apply_symmetries(stamps: NDArray[np.float32], symmetries: NDArray[np.int64]) -> NDArray[np.float32]:
    """Apply to each triplet (n, y, x, 3) its own symmetry of the square (n,).

    Symmetries 0 to 3 are quarter turns, 4 to 7 the same turns after mirroring in x.
    """
    result = np.empty_like(stamps)
    for symmetry in range(SYMMETRIES):
        rows = symmetries == symmetry
        mirrored = stamps[rows][:, :, ::-1] if symmetry >= SYMMETRIES // 2 else stamps[rows]
        result[rows] = np.rot90(mirrored, symmetry % (SYMMETRIES // 2), axes=(1, 2))
    return result


def shift_stamps(stamps: NDArray[np.float32], shifts_px: NDArray[np.float64]) -> NDArray[np.float32]:
    """Shift triplets (n, y, x, 3) by (n, 2) pixels in y and x.

    The shift multiplies their Fourier transforms by phases, which preserves the power spectrum of the noise.
    """
    size = stamps.shape[1]
    y = np.exp(-2j * np.pi * np.fft.fftfreq(size) * shifts_px[:, :1])[:, :, None, None]
    x = np.exp(-2j * np.pi * np.fft.rfftfreq(size) * shifts_px[:, 1:])[:, None, :, None]
    return np.asarray(
        fft.irfft2(fft.rfft2(stamps, axes=(1, 2)) * (y * x).astype(np.complex64), (size, size), axes=(1, 2))
    )
