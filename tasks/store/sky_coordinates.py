"""Sky positions as unit vectors, whose chords measure separations without special cases at RA 0 and the poles.

Angles are degrees, radii and separations arcsec.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def unit_vectors(ra_deg: ArrayLike, dec_deg: ArrayLike) -> NDArray[np.float64]:
    """Return the unit vectors of n positions, shape (n, 3); NaN where a position is."""
    ra, dec = np.radians(np.asarray(ra_deg, float)), np.radians(np.asarray(dec_deg, float))
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)


def chord(separation_arcsec: float) -> float:
    """Return the distance between two unit vectors with this separation on the sphere."""
    return float(2 * np.sin(np.radians(separation_arcsec / 3600) / 2))


def separations_arcsec(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the separations of n pairs of unit vectors, both of shape (n, 3), shape (n,)."""
    half_chords = np.linalg.norm(first - second, axis=-1) / 2
    return np.degrees(2 * np.arcsin(np.clip(half_chords, 0, 1))) * 3600
