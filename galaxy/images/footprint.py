"""The footprint of the simulated survey: an SDSS-like northern cap and the equatorial stripe.

Angles are in degrees. Galaxies are drawn in groups; each group has a cell of the sky of its own, so that no two
groups overlap.
"""

from functools import cache

import numpy as np

from galaxy.catalogue.positions import galactic_latitude

CELL_DEG = 0.2
NORTH_RA_DEG = (120.0, 240.0)
NORTH_DEC_DEG = (-2.0, 60.0)
LEAST_LATITUDE_DEG = 30.5
STRIPE_DEC_DEG = 1.2
STRIPE_RA_DEG = (318.0, 57.0)  # through 0
_GROUP_MARGIN_DEG = 0.05  # a group reaches 150 arcsec from its centre at most
_GOLDEN = 0.6180339887498949


def inside_footprint(ra_deg: np.ndarray, dec_deg: np.ndarray) -> np.ndarray:
    """Return which positions are in the footprint: bool, of the positions' shape."""
    ra, dec = np.asarray(ra_deg, float) % 360, np.asarray(dec_deg, float)
    north = (ra >= NORTH_RA_DEG[0]) & (ra <= NORTH_RA_DEG[1])
    north &= (dec >= NORTH_DEC_DEG[0]) & (dec <= NORTH_DEC_DEG[1])
    north &= np.asarray(galactic_latitude(ra, dec)) >= LEAST_LATITUDE_DEG
    stripe = (np.abs(dec) <= STRIPE_DEC_DEG) & ((ra >= STRIPE_RA_DEG[0]) | (ra <= STRIPE_RA_DEG[1]))
    return north | stripe


@cache
def _cells() -> tuple[np.ndarray, np.ndarray]:
    """Return the centres ra_deg, dec_deg, (cells,), of all cells with all corners in the footprint."""
    ras, decs = [], []
    for dec in np.arange(NORTH_DEC_DEG[0], NORTH_DEC_DEG[1], CELL_DEG) + CELL_DEG / 2:
        width = CELL_DEG / np.cos(np.radians(abs(dec) + CELL_DEG / 2))
        ra = np.arange(0, 360 - width, width) + width / 2
        ras.append(ra)
        decs.append(np.full_like(ra, dec))
    ra, dec = np.concatenate(ras), np.concatenate(decs)
    half_width = CELL_DEG / 2 / np.cos(np.radians(np.abs(dec) + CELL_DEG / 2))
    is_inside = np.ones(len(ra), bool)
    for east in (-1, 1):
        for north in (-1, 1):
            is_inside &= inside_footprint(ra + east * half_width, dec + north * CELL_DEG / 2)
    return ra[is_inside], dec[is_inside]


def group_centres(groups: np.ndarray, seed: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the centres of groups of galaxies: each at a random place inside a cell of its own.

    Parameters
    ----------
    groups : ndarray of int, (n,)
        Numbers of the groups, below the number of cells (some 150,000).
    seed : int
        Shifts which cell belongs to which number.

    Returns
    -------
    ra_deg, dec_deg : ndarray, (n,)
    """
    cell_ra, cell_dec = _cells()
    if len(groups) and groups.max() >= len(cell_ra):
        raise ValueError(f"group {groups.max()} has no cell: the footprint holds {len(cell_ra)}")
    # Golden-ratio steps, made coprime to the number of cells, visit every cell once and spread early groups.
    step = int(len(cell_ra) * _GOLDEN)
    while np.gcd(step, len(cell_ra)) > 1:
        step += 1
    cell = (groups.astype(np.int64) + seed * 7919) * step % len(cell_ra)
    reach = CELL_DEG / 2 - _GROUP_MARGIN_DEG
    dec = cell_dec[cell] + rng.uniform(-reach, reach, len(cell))
    ra = cell_ra[cell] + rng.uniform(-reach, reach, len(cell)) / np.cos(np.radians(dec))
    return ra % 360, dec
