"""What a detection truly is in a simulated scene: the origin that holds most of its flux in the difference."""

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
    difference: Difference, origins: LightByOrigin, injected: np.ndarray, x: np.ndarray, y: np.ndarray
) -> list[str]:
    """Name the origin of each detection.

    The light of every origin goes through the subtraction and then through the matched filter at the detection's
    place, as the frames did; what is left of the measured flux is noise. An origin with less than half of it makes the
    detection a blend.

    Parameters
    ----------
    difference : Difference
    origins : LightByOrigin
    injected : ndarray, (y, x) float32, counts
        What was injected into the new frame.
    x, y : ndarray, pixels

    Returns
    -------
    list of str
        ``injection``, an origin of `LightByOrigin`, ``noise`` or ``blend``.
    """
    return [_find_origin(difference, origins, injected, *place) for place in zip(x.tolist(), y.tolist(), strict=True)]


def classify_origins(origins: Sequence[str], real: Sequence[str] = REAL_ORIGINS) -> list[str]:
    """Return ``real``, ``bogus`` or ``blend`` for each origin."""
    return [BLEND if origin == BLEND else "real" if origin in real else "bogus" for origin in origins]


def _find_origin(difference: Difference, origins: LightByOrigin, injected: np.ndarray, x: float, y: float) -> str:
    place = np.array([x]), np.array([y])
    weights = difference.psf.at(*place)[0]
    half = weights.shape[0] // 2
    kernel = difference.kernel_at(x, y) if difference.kernel is not None else np.full((1, 1), difference.scale)
    wide = half + kernel.shape[0] // 2
    light = origins.stamp(x, y, wide)
    added = np.nan_to_num(cut_plane(injected, *place, 2 * wide + 1)[0])
    light[INJECTION] = (added, np.zeros_like(added))
    measured = cut_plane(difference.pixels, *place, 2 * half + 1)[0]
    weights = weights * np.isfinite(measured)
    fluxes = {name: float(np.sum(weights * _through(difference, kernel, *pair))) for name, pair in light.items()}
    total = float(np.sum(weights * np.nan_to_num(measured)))
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
