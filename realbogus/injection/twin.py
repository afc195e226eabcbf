"""The twin of a difference: what would be detected at the places of its injections without them.

An injection whose place is detected without it too is no certain real: the detection may be that of an artefact.
"""

import numpy as np
from scipy import ndimage

from realbogus.frames import Pair
from realbogus.records import MATCH_RADIUS_PX
from realbogus.stamps import cut_plane
from realbogus.subtraction.difference import Difference
from realbogus.subtraction.fit_inputs import find_unusable
from realbogus.subtraction.significance import LEAST_POWER, SMOOTHING_PX

_REACH = int(MATCH_RADIUS_PX)


def detected_without(
    difference: Difference, pair: Pair, injected: np.ndarray, x: np.ndarray, y: np.ndarray, threshold_sigma: float
) -> np.ndarray:
    """Return whether a pixel within 2 px of each injection exceeds the threshold without the injections, (n,) bool.

    The injected light is subtracted from the difference, and its photon noise from the variance of the matched filter;
    the kernel stays that which was fitted with the injections. It costs next to nothing beside a second subtraction.

    Parameters
    ----------
    difference : Difference
        With the injections; the new frame must not have been convolved.
    pair : Pair
        Without the injections.
    injected : ndarray of shape (y, x), counts
        The light that was added to the new frame.
    x, y : ndarray of shape (n,), pixels
    threshold_sigma : float
        Least S/N of a detection.
    """
    profile = difference.psf.at(x, y).astype(float)
    width, full_power = profile.shape[-1], np.square(profile).sum(axis=(1, 2))
    gone = find_unusable(pair.new) | find_unusable(pair.reference)
    light = np.maximum(ndimage.uniform_filter(injected, SMOOTHING_PX), 0) / np.float32(pair.new.gain_e_per_count)
    counts = cut_plane(np.where(gone, np.float32(np.nan), difference.pixels - injected), x, y, width + 2 * _REACH)
    usable = np.isfinite(counts)
    counts = np.where(usable, counts, 0)
    added = np.nan_to_num(cut_plane(light, x, y, width + 2 * _REACH))
    errors, skies = (
        cut_plane(plane, x, y, 2 * _REACH + 1).astype(float)
        for plane in (difference.flux_error, np.broadcast_to(pair.new.background_rms, injected.shape))
    )
    found = np.zeros(len(x), bool)
    for up, across in np.argwhere(np.hypot(*np.mgrid[-_REACH : _REACH + 1, -_REACH : _REACH + 1]) <= MATCH_RADIUS_PX):
        here = np.s_[:, up : up + width, across : across + width]
        power = np.maximum((np.square(profile) * usable[here]).sum(axis=(1, 2)), 1e-12)
        flux = (profile * counts[here]).sum(axis=(1, 2)) / power
        of_light = (np.square(profile) * usable[here] * added[here]).sum(axis=(1, 2)) / np.square(power)
        of_sky = np.square(skies[:, up, across]) / power
        error = np.sqrt(np.maximum(np.square(errors[:, up, across]) - of_light, of_sky))
        is_measured = usable[:, up + width // 2, across + width // 2] | (power > LEAST_POWER * full_power)
        found |= is_measured & (flux > threshold_sigma * error)
    return found
