"""Which detections are one candidate: those within 2 arcsec of its first, and those that move along a line.

`group_detections` looks at detections in the order in which they arrived, so later ones never change the group of
earlier ones. `find_tracks` looks for what moves.

Limits of the tracks: an object is found if it is detected in three visits of different epochs, moves by more than
2 arcsec between them (a slower one is taken for one that stays, in one or several candidates), by at most
`MOST_ARCSEC_PER_H`, and deviates by less than 2 arcsec from a great circle at a constant rate, over at most
`MOST_HOURS`. By chance a detection begins a track over two further visits with the probability (d pi R^2) (d pi r^2):
d is the density of detections, R the reach from the first to the last visit, r is 2 arcsec. It is 5e-6 for 10
detections a visit on 0.25 deg2, and an hour.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tasks.store.sky_coordinates import chord, unit_vectors

RADIUS_ARCSEC = 2.0
MOST_ARCSEC_PER_H = 120.0
MOST_HOURS = 4.0
LEAST_VISITS = 3
_ARCSEC = np.pi / 180 / 3600


@dataclass(frozen=True)
class Track:
    """Detections of a moving object.

    Attributes
    ----------
    rows : ndarray of int64, shape (m,)
        By epoch.
    rate_arcsec_per_h : float
    position_angle_deg : float
        Direction of motion, from north through east.
    rms_arcsec : float
        Of the positions about the line.
    """

    rows: NDArray[np.int64]
    rate_arcsec_per_h: float
    position_angle_deg: float
    rms_arcsec: float


def to_degrees(vectors: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return right ascension in [0, 360) and declination, (n,) each, of vectors (n, 3) of any length."""
    x, y, z = np.moveaxis(vectors, -1, 0)
    return np.degrees(np.arctan2(y, x)) % 360, np.degrees(np.arctan2(z, np.hypot(x, y)))


def group_detections(ra_deg: NDArray, dec_deg: NDArray, radius_arcsec: float = RADIUS_ARCSEC) -> NDArray[np.int64]:
    """Return the group of each detection: the row of its founder, (n,).

    In their order, each detection joins the nearest founder within the radius, or becomes one. One without a position
    is a group of its own.

    Parameters
    ----------
    ra_deg, dec_deg : ndarray of shape (n,)
        NaN where there is no position.
    radius_arcsec : float
    """
    count = len(ra_deg)
    groups = np.arange(count)
    placed = np.flatnonzero(np.isfinite(ra_deg) & np.isfinite(dec_deg))
    if len(placed) < 2:
        return groups
    near = _close_pairs(unit_vectors(ra_deg[placed], dec_deg[placed]), radius_arcsec)
    neighbours: dict[int, list[tuple[float, int]]] = {}
    for distance, first, second in near:
        neighbours.setdefault(int(placed[second]), []).append((distance, int(placed[first])))
    for row in sorted(neighbours):
        founders = [(distance, other) for distance, other in neighbours[row] if groups[other] == other]
        if founders:
            groups[row] = min(founders)[1]
    return groups


def _close_pairs(vectors: NDArray, radius_arcsec: float) -> Iterator[tuple[float, int, int]]:
    """Yield distance (chord) and rows, the earlier one first, of all pairs within a radius."""
    pairs = cKDTree(vectors).query_pairs(chord(radius_arcsec), output_type="ndarray")
    distances = np.linalg.norm(vectors[pairs[:, 0]] - vectors[pairs[:, 1]], axis=1)
    for distance, (one, other) in zip(distances.tolist(), pairs.tolist(), strict=True):
        yield distance, min(one, other), max(one, other)


def find_tracks(
    ra_deg: NDArray,
    dec_deg: NDArray,
    epoch_mjd: NDArray,
    visit: NDArray,
    radius_arcsec: float = RADIUS_ARCSEC,
    most_arcsec_per_h: float = MOST_ARCSEC_PER_H,
) -> list[Track]:
    """Return the tracks among detections of which each was made in one visit only; no detection is in two tracks.

    Longer tracks come before shorter ones, and narrower before wider ones.

    Parameters
    ----------
    ra_deg, dec_deg, epoch_mjd : ndarray of shape (n,)
        Detections with a NaN in one of them are in no track.
    visit : ndarray of shape (n,)
        Number of the visit of each.
    radius_arcsec : float
        Most distance from the line, and least motion between two detections.
    most_arcsec_per_h : float
    """
    usable = np.flatnonzero(np.isfinite(ra_deg) & np.isfinite(dec_deg) & np.isfinite(epoch_mjd))
    if len(usable) < LEAST_VISITS:
        return []
    field = _Detections(unit_vectors(ra_deg[usable], dec_deg[usable]), 24 * epoch_mjd[usable], visit[usable])
    found = [field.fit(rows) for rows in field.lines(radius_arcsec, most_arcsec_per_h)]
    found.sort(key=lambda track: (-len(track.rows), track.rms_arcsec, track.rows.tolist()))
    used, tracks = np.zeros(len(usable), bool), []
    for track in found:
        rest = track.rows[~used[track.rows]]
        if len(rest) == len(track.rows):
            used[rest] = True
            tracks.append(Track(usable[rest], track.rate_arcsec_per_h, track.position_angle_deg, track.rms_arcsec))
    return tracks


@dataclass(frozen=True)
class _Detections:
    """Unit vectors (n, 3), epochs in hours (n,), visits (n,)."""

    vectors: NDArray
    hours: NDArray
    visit: NDArray

    def lines(self, radius_arcsec: float, rate: float) -> list[NDArray[np.int64]]:
        """Return the rows, by epoch, of each line of three visits or more through two detections."""
        reach = 2 * np.sin(min(rate * MOST_HOURS * _ARCSEC, np.pi) / 2)
        tree = cKDTree(self.vectors)
        lines: dict[tuple[int, ...], None] = {}
        for one, other in tree.query_pairs(reach, output_type="ndarray"):
            first, last = (one, other) if self.hours[one] <= self.hours[other] else (other, one)
            gap_h = self.hours[last] - self.hours[first]
            moved = np.linalg.norm(self.vectors[last] - self.vectors[first]) / _ARCSEC
            if self.visit[first] == self.visit[last] or not radius_arcsec < moved <= rate * gap_h:
                continue
            rows = self._along(first, last, np.array(tree.query_ball_point(self.vectors[first], reach)), radius_arcsec)
            if len(rows) >= LEAST_VISITS:
                lines[tuple(rows)] = None
        return [np.array(rows, np.int64) for rows in lines]

    def _along(self, first: int, last: int, near: NDArray, radius_arcsec: float) -> list[int]:
        """Return the detections between two others in time that lie on their line, one for each epoch and visit."""
        gap_h = self.hours[last] - self.hours[first]
        near = near[(self.hours[near] > self.hours[first]) & (self.hours[near] < self.hours[last])]
        share = ((self.hours[near] - self.hours[first]) / gap_h)[:, None]
        off = np.linalg.norm(
            self.vectors[first] + share * (self.vectors[last] - self.vectors[first]) - self.vectors[near], axis=1
        )
        rows, visits, hours = [first, last], {self.visit[first], self.visit[last]}, set()
        for place in np.argsort(off, kind="stable"):
            row = int(near[place])
            if off[place] > radius_arcsec * _ARCSEC:
                break
            if self.visit[row] not in visits and self.hours[row] not in hours:
                rows.append(row)
                visits.add(self.visit[row])
                hours.add(self.hours[row])
        return sorted((int(row) for row in rows), key=lambda row: self.hours[row])

    def fit(self, rows: NDArray[np.int64]) -> Track:
        """Fit positions that are linear in time, in the plane that touches the sphere at their middle."""
        middle = self.vectors[rows].mean(axis=0)
        middle /= np.linalg.norm(middle)
        east = np.cross([0.0, 0.0, 1.0], middle)
        east /= np.linalg.norm(east) or 1.0
        north = np.cross(middle, east)
        plane = np.stack([self.vectors[rows] @ east, self.vectors[rows] @ north], axis=1) / _ARCSEC
        hours = self.hours[rows] - self.hours[rows].mean()
        rate = hours @ plane / (hours @ hours)
        residual = plane - plane.mean(axis=0) - hours[:, None] * rate
        angle = float(np.degrees(np.arctan2(rate[0], rate[1])) % 360)
        return Track(rows, float(np.hypot(*rate)), angle, float(np.sqrt(np.square(residual).sum(axis=1).mean())))
