"""Recurrence of detections over visits: at one place of the sky, or at one pixel of a chip.

What recurs at one place of the sky with the shape of a point source may be a transient or a variable that nobody
injected. What recurs at one pixel while the sky moved on is a fault of the detector. Injections are drawn anew for each
visit, so recurrence would give them away: it is no input of a classifier and serves the search for wrong labels alone.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

PLACE_ARCSEC = 2.0
"""Detections of two visits within it are at one place of the sky."""
PIXEL_PX = 1.0
"""Detections of two visits within it are at one pixel of a chip."""
LEAST_AXIS_RATIO = 0.6
WIDTH_RATIO = 1.4
"""Largest ratio of the FWHM of a point source to the typical one of its visit, or the inverse."""
LEAST_FAULT_VISITS = 2
"""Fewest other visits with a detection at the same pixel of a fault; one alone happens by chance."""
_RADIANS_AN_ARCSEC = np.pi / 180 / 3600


@dataclass(frozen=True)
class Detected:
    """n detections of several visits.

    Attributes
    ----------
    visit, cell, detector : (n,) str
        The chip-visit, the sky cell that its visits share, and the chip.
    ra_deg, dec_deg : (n,) float64
        NaN where unknown.
    x_px, y_px : (n,) float64
        Position on the chip; NaN where unknown.
    injected : (n,) bool
        Injections; they are no recurrence of anything.
    """

    visit: NDArray[np.str_]
    cell: NDArray[np.str_]
    detector: NDArray[np.str_]
    ra_deg: NDArray[np.float64]
    dec_deg: NDArray[np.float64]
    x_px: NDArray[np.float64]
    y_px: NDArray[np.float64]
    injected: NDArray[np.bool_]


@dataclass(frozen=True)
class Recurrence:
    """In how many other visits each of n detections recurs, (n,) int64 each.

    Attributes
    ----------
    at_place : ndarray
        Visits with a detection at the same place of the sky.
    missed : ndarray
        Visits of the same sky cell without one. A cell's visits count as covering all of it; dithers are ignored.
    at_pixel : ndarray
        Visits with a detection at the same pixel of the same chip, more than two radii away on the sky.
    """

    at_place: NDArray[np.int64]
    missed: NDArray[np.int64]
    at_pixel: NDArray[np.int64]

    @property
    def is_fault(self) -> NDArray[np.bool_]:
        """Which are a fault of the detector, (n,)."""
        return self.at_pixel >= LEAST_FAULT_VISITS


def count_recurrences(detected: Detected) -> Recurrence:
    """Count the other visits in which each detection recurs; 0 without a position."""
    places = _to_vectors(detected)
    sources = ~detected.injected
    visits, cells, detectors = (
        np.unique(names, return_inverse=True)[1] for names in (detected.visit, detected.cell, detected.detector)
    )
    chord = _chord_of(PLACE_ARCSEC)
    row, other = _pairs_within(places, sources, chord)
    apart = visits[row] != visits[other]
    at_place = _count_visits(row[apart], visits[other[apart]], len(visits))
    of_cell = apart & (cells[row] == cells[other])
    found = _count_visits(row[of_cell], visits[other[of_cell]], len(visits))
    visits_of_cell = np.bincount(np.unique(np.stack([cells, visits]), axis=1)[0], minlength=cells.max(initial=0) + 1)
    has_place = np.isfinite(places).all(axis=1)
    missed = np.where(has_place, visits_of_cell[cells] - 1 - found, 0)
    # chips lie side by side in a third coordinate, further apart than the radius
    pixels = np.stack([detected.x_px, detected.y_px, 2 * PIXEL_PX * detectors], axis=1)
    row, other = _pairs_within(pixels, sources, PIXEL_PX)
    moved = np.linalg.norm(places[row] - places[other], axis=1) > _chord_of(2 * PLACE_ARCSEC)
    elsewhere = moved & (visits[row] != visits[other])
    return Recurrence(at_place, missed, _count_visits(row[elsewhere], visits[other[elsewhere]], len(visits)))


def are_point_like(
    fwhm_px: NDArray[np.float64], axis_ratio: NDArray[np.float64], visit: NDArray[np.str_], injected: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return which detections have the shape of a point source, (n,): that of their visit's recovered injections.

    The typical FWHM of a visit is the median of its injections, or of all visits' where it has none.

    Parameters
    ----------
    fwhm_px, axis_ratio : (n,)
        NaN where they could not be measured: then the shape is none of a point source.
    visit : (n,) str
    injected : (n,) bool
    """
    measured = injected & np.isfinite(fwhm_px)
    typical = np.full(len(fwhm_px), np.median(fwhm_px[measured]) if measured.any() else np.nan)
    for name in np.unique(visit[measured]):
        typical[visit == name] = np.median(fwhm_px[measured & (visit == name)])
    with np.errstate(invalid="ignore", divide="ignore"):
        wide = np.maximum(fwhm_px / typical, typical / fwhm_px)
    return np.asarray((wide <= WIDTH_RATIO) & (axis_ratio >= LEAST_AXIS_RATIO))


def _to_vectors(detected: Detected) -> NDArray[np.float64]:
    """Return unit vectors of the sky positions, (n, 3)."""
    ra, dec = np.radians(detected.ra_deg), np.radians(detected.dec_deg)
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)


def _chord_of(angle_arcsec: float) -> float:
    return float(2 * np.sin(angle_arcsec * _RADIANS_AN_ARCSEC / 2))


def _pairs_within(
    points: NDArray[np.float64], sources: NDArray[np.bool_], radius: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rows, and the other rows that are sources within a radius of each, (pairs,) both; points are (n, 3)."""
    usable = np.isfinite(points).all(axis=1)
    rows, others = np.flatnonzero(usable), np.flatnonzero(usable & sources)
    if not len(others):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    near = cKDTree(points[rows]).sparse_distance_matrix(cKDTree(points[others]), radius, output_type="ndarray")
    return rows[near["i"]], others[near["j"]]


def _count_visits(row: NDArray[np.int64], visit: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return the number of different visits that are paired with each row, (count,)."""
    pairs = np.unique(np.stack([row, visit]), axis=1)
    return np.bincount(pairs[0], minlength=count)
