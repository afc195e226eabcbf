"""What a detection truly is in a simulated scene: the origin that holds most of its flux in the difference."""

from collections.abc import Sequence

import numpy as np
from scipy import signal

from realbogus.difference import Difference
from realbogus.origins import Origins

INJECTION, NOISE, BLEND = "injection", "noise", "blend"
REAL_ORIGINS = (INJECTION, "transient", "flare", "variable", "asteroid")
LEAST_SHARE = 0.5


def find_origins(
    difference: Difference, origins: Origins, injected: np.ndarray, x: np.ndarray, y: np.ndarray
) -> list[str]:
    """Name the origin of each detection.

    The light of every origin goes through the subtraction and then through the matched filter at the detection's
    place, as the frames did; what is left of the measured flux is noise. An origin with less than half of it makes the
    detection a blend.

    Parameters
    ----------
    difference : Difference
    origins : Origins
    injected : ndarray, (y, x) float32, counts
        What was injected into the new frame.
    x, y : ndarray, pixels

    Returns
    -------
    list of str
        ``injection``, an origin of `Origins`, ``noise`` or ``blend``.
    """
    return [_find_origin(difference, origins, injected, *place) for place in zip(x.tolist(), y.tolist(), strict=True)]


def judge_truth(origins: Sequence[str], real: Sequence[str] = REAL_ORIGINS) -> list[str]:
    """Return ``real``, ``bogus`` or ``blend`` for each origin."""
    return [BLEND if origin == BLEND else "real" if origin in real else "bogus" for origin in origins]


def _find_origin(difference: Difference, origins: Origins, injected: np.ndarray, x: float, y: float) -> str:
    weights = difference.psf.at(np.array([x]), np.array([y]))[0]
    half = weights.shape[0] // 2
    kernel = difference.kernel_at(x, y) if difference.kernel is not None else np.full((1, 1), difference.scale)
    wide = half + kernel.shape[0] // 2
    light = origins.stamp(x, y, wide)
    light[INJECTION] = (np.nan_to_num(_cut(injected, x, y, wide)), np.zeros((2 * wide + 1,) * 2, np.float32))
    measured = np.nan_to_num(_cut(difference.pixels, x, y, half))
    usable = np.isfinite(_cut(difference.pixels, x, y, half))
    weights = weights * usable
    fluxes = {name: float(np.sum(weights * _through(difference, kernel, *pair))) for name, pair in light.items()}
    total = float(np.sum(weights * measured))
    fluxes[NOISE] = total - sum(fluxes.values())
    name = max(fluxes, key=lambda origin: fluxes[origin])
    return name if fluxes[name] >= LEAST_SHARE * total else BLEND


def _through(difference: Difference, kernel: np.ndarray, new: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Take an origin's light through the subtraction; the stamp shrinks by the kernel's reach."""
    reach = kernel.shape[0] // 2
    inner = slice(reach, new.shape[0] - reach)
    if difference.convolved == "new":
        scale = kernel.sum()
        return np.asarray((signal.convolve(new, kernel, "valid") - reference[inner, inner]) / scale)
    return np.asarray(new[inner, inner] - signal.convolve(reference, kernel, "valid"))


def _cut(image: np.ndarray, x: float, y: float, half: int) -> np.ndarray:
    """Cut a stamp about the pixel that holds (x, y), NaN beyond the frame."""
    column, row = int(np.floor(x + 0.5)), int(np.floor(y + 0.5))
    side = 2 * half + 1
    stamp = np.full((side, side), np.nan, np.float32)
    top, left = max(row - half, 0), max(column - half, 0)
    part = image[top : row + half + 1, left : column + half + 1]
    stamp[
        top - row + half : top - row + half + part.shape[0], left - column + half : left - column + half + part.shape[1]
    ] = part
    return stamp
