"""True origins of detections in a simulated scene: the origin of most of the flux in the difference."""

from collections.abc import Sequence

import numpy as np
from scipy import signal

from realbogus.simulation.light_by_origin import LightByOrigin
from realbogus.stamps import cut_plane
from realbogus.subtraction.difference import Difference

INJECTION, NOISE, BLEND = "injection", "noise", "blend"
REAL_ORIGINS = (INJECTION, "transient", "flare", "variable", "asteroid")
LEAST_SHARE = 0.5


def find_origins(
    difference: Difference, light: LightByOrigin, injected: np.ndarray, x: np.ndarray, y: np.ndarray
) -> list[str]:
    """Return the origin of each detection.

    The light of every origin is subtracted and matched-filtered at the detection's position as the frames were; the
    remainder of the measured flux is noise. The detection has the origin of the largest flux if that is at least half
    of the total, otherwise it is a blend.

    Parameters
    ----------
    difference : Difference
    light : LightByOrigin
    injected : (y, x) float32, counts
        Light injected into the new frame.
    x, y : (n,) pixels
        Positions in the new frame.

    Returns
    -------
    list of str
        ``injection``, an origin of `LightByOrigin`, ``noise`` or ``blend``.
    """
    positions = zip(x.tolist(), y.tolist(), strict=True)
    return [_find_origin(difference, light, injected, *position) for position in positions]


def classify_origins(origins: Sequence[str], real: Sequence[str] = REAL_ORIGINS) -> list[str]:
    """Return the class of each origin: ``real`` if it is in `real`, ``blend`` if it is a blend, else ``bogus``."""
    return [BLEND if origin == BLEND else "real" if origin in real else "bogus" for origin in origins]


def _find_origin(difference: Difference, light: LightByOrigin, injected: np.ndarray, x: float, y: float) -> str:
    position = np.array([x]), np.array([y])
    weights = difference.psf.at(*position)[0]
    half = weights.shape[0] // 2
    kernel = difference.kernel_at(x, y) if difference.kernel is not None else np.full((1, 1), difference.scale)
    half_with_kernel = half + kernel.shape[0] // 2
    stamps = light.stamp(x, y, half_with_kernel)
    injection = np.nan_to_num(cut_plane(injected, *position, 2 * half_with_kernel + 1)[0])
    stamps[INJECTION] = (injection, np.zeros_like(injection))
    measured = cut_plane(difference.pixels, *position, 2 * half + 1)[0]
    weights = weights * np.isfinite(measured)
    fluxes = {name: float(np.sum(weights * _subtract(difference, kernel, *pair))) for name, pair in stamps.items()}
    total = float(np.sum(weights * np.nan_to_num(measured)))
    fluxes[NOISE] = total - sum(fluxes.values())
    name = max(fluxes, key=lambda origin: fluxes[origin])
    return name if fluxes[name] >= LEAST_SHARE * total else BLEND


def _subtract(difference: Difference, kernel: np.ndarray, new: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return the difference of an origin's light (s, s), as (s - k + 1, s - k + 1) for a kernel (k, k)."""
    half = kernel.shape[0] // 2
    inner = slice(half, new.shape[0] - half)
    if difference.convolved == "new":
        scale = kernel.sum()
        return np.asarray((signal.convolve(new, kernel, "valid") - reference[inner, inner]) / scale)
    return np.asarray(new[inner, inner] - signal.convolve(reference, kernel, "valid"))
