"""New candidates of old ones: triplets turned, mirrored, moved by parts of a pixel, with noise of their own.

A simulated night of any length is drawn so from a survey that is too short for one; it tells how fast and how
faithfully a night is scored, not how often a kind of candidate comes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

MOST_SHIFT_PX = 0.5
NOISE_SHARE = 0.3
"""Standard deviation of the added noise, in that of the stamp's border."""
_BORDER_PX = 3
SYMMETRIES = 8


@dataclass(frozen=True)
class Samples:
    """What is drawn from.

    Attributes
    ----------
    ids : (n,) str
    stamps : (n, s, s, 3) float32
    real : (n,) bool
        Whether it is a true transient.
    """

    ids: NDArray[np.str_]
    stamps: NDArray[np.float32]
    real: NDArray[np.bool_]


def draw(
    samples: Samples, count: int, real_share: float, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return which samples are drawn (count,), and their triplets, altered.

    Each is real with the probability `real_share`; if all samples are of one kind, every one is of it.
    """
    wanted = rng.random(count) < real_share
    chosen = np.empty(count, np.int64)
    for kind in (True, False):
        mine = np.flatnonzero(samples.real == kind)
        asked = wanted == kind
        chosen[asked] = rng.choice(mine if len(mine) else len(samples.real), asked.sum())
    return chosen, altered(samples.stamps[chosen], rng)


def altered(stamps: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return triplets turned or mirrored, moved by up to half a pixel each way, with noise added.

    New and difference get the same noise, so that the difference stays one, and the reference none. NaN stays NaN.
    """
    stamps = turned(stamps, rng.integers(SYMMETRIES, size=len(stamps)))
    missing = np.isnan(stamps)
    known = np.where(missing, np.float32(0), stamps)
    means = known.sum(axis=(1, 2), keepdims=True) / np.maximum((~missing).sum(axis=(1, 2), keepdims=True), 1)
    moved = shifted(np.where(missing, means, stamps), rng.uniform(-MOST_SHIFT_PX, MOST_SHIFT_PX, (len(stamps), 2)))
    border = np.ones(moved.shape[1:3], bool)
    border[_BORDER_PX:-_BORDER_PX, _BORDER_PX:-_BORDER_PX] = False
    scale = NOISE_SHARE * moved[:, border, 0].std(axis=1)
    noise = scale[:, None, None] * rng.standard_normal(moved.shape[:3], np.float32)
    moved[..., 0] += noise
    moved[..., 2] += noise
    moved[missing] = np.nan
    return moved


def turned(stamps: NDArray[np.float32], symmetries: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return each triplet by its own symmetry of the square: quarter turns (0 to 3), or of its mirror (4 to 7)."""
    result = np.empty_like(stamps)
    for symmetry in range(SYMMETRIES):
        mine = symmetries == symmetry
        mirrored = stamps[mine][:, :, ::-1] if symmetry >= SYMMETRIES // 2 else stamps[mine]
        result[mine] = np.rot90(mirrored, symmetry % (SYMMETRIES // 2), axes=(1, 2))
    return result


def shifted(stamps: NDArray[np.float32], shifts_px: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return triplets moved by (n, 2) pixels in y and x, by phases of their transforms: the noise keeps its texture."""
    side = stamps.shape[1]
    y = np.exp(-2j * np.pi * np.fft.fftfreq(side) * shifts_px[:, :1])[:, :, None, None]
    x = np.exp(-2j * np.pi * np.fft.rfftfreq(side) * shifts_px[:, 1:])[:, None, :, None]
    return np.asarray(
        fft.irfft2(fft.rfft2(stamps, axes=(1, 2)) * (y * x).astype(np.complex64), (side, side), axes=(1, 2))
    )
