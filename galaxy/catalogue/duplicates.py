"""Rejection of catalogue rows: faults of a single row, and duplicates of an id or a position.

Rows are checked batch by batch in the order of the tables, so that a catalogue can be written while it is read.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from galaxy.catalogue.identifiers import find_unsafe
from galaxy.catalogue.positions import chord, pairs_within, unit_vectors

DUPLICATE_RADIUS_ARCSEC = 2.0
RULE = (
    "rows are taken in the order of the tables and of the rows in them; a row goes when a row that stays has its id, "
    "else when one lies within 2 arcsec"
)


class DuplicateFilter:
    """Checks rows for faults and duplicates; remembers ids and positions of the accepted ones."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._places = SeenPositions(DUPLICATE_RADIUS_ARCSEC)
        self._id_of_place: list[str] = []

    def check(
        self,
        ids: pa.Array,
        ra_deg: np.ndarray,
        dec_deg: np.ndarray,
        has_position: np.ndarray,
        *,
        position_required: bool,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Check the next rows; all arrays have the shape (rows,).

        Parameters
        ----------
        ids : Array of string, (rows,)
            Null where blank.
        ra_deg, dec_deg : ndarray, (rows,) float64
            NaN where missing or unreadable; such a row has no neighbours.
        has_position : ndarray, (rows,) bool
            Both cells of the position are filled, readable or not.
        position_required : bool
            The table has positions, so a row without one is a fault.

        Returns
        -------
        fault : ndarray, (rows,) object
            The reason to reject a row, empty text where it is accepted.
        accepted_id : ndarray, (rows,) object
            The id of the accepted row that a duplicate repeats, else None.
        """
        fault = row_faults(ids, ra_deg, dec_deg, has_position, position_required=position_required)
        accepted_id = np.full(len(ids), None, dtype=object)
        names = ids.to_pylist()
        placed = np.flatnonzero((fault == "") & np.isfinite(ra_deg) & np.isfinite(dec_deg))
        neighbours = self._neighbours(ra_deg[placed], dec_deg[placed], placed)
        for row in np.flatnonzero(fault == "").tolist():
            if names[row] in self._ids:
                fault[row], accepted_id[row] = "duplicate_id", names[row]
            elif row in neighbours and (near := self._first_accepted(neighbours[row], fault, names)) is not None:
                fault[row], accepted_id[row] = "duplicate_position", near
            else:
                self._ids.add(names[row])
        accepted = placed[fault[placed] == ""]
        self._places.add(ra_deg[accepted], dec_deg[accepted])
        self._id_of_place += [names[row] for row in accepted.tolist()]
        return fault, accepted_id

    def _first_accepted(self, neighbours: list[int], fault: np.ndarray, names: list[str]) -> str | None:
        """Return the id of the first of a row's neighbours (see `_neighbours`) that is not rejected itself."""
        for number in neighbours:
            if number < 0:
                return self._id_of_place[~number]
            if fault[number] == "":
                return names[number]
        return None

    def _neighbours(self, ra_deg: np.ndarray, dec_deg: np.ndarray, rows: np.ndarray) -> dict[int, list[int]]:
        """Return row -> its earlier neighbours within the radius, for rows that have any.

        A position of an earlier batch, accepted for certain, is given as ``~number``, below 0; a row of this batch,
        which may still be rejected itself, as its number.
        """
        neighbours: dict[int, list[int]] = {}
        earlier = self._places.near(ra_deg, dec_deg)
        for index in np.flatnonzero(earlier >= 0):
            neighbours[int(rows[index])] = [~int(earlier[index])]
        pairs = pairs_within(ra_deg, dec_deg, DUPLICATE_RADIUS_ARCSEC)
        for first, second in rows[pairs[np.lexsort((pairs[:, 0], pairs[:, 1]))]].tolist():
            neighbours.setdefault(second, []).append(first)
        return neighbours


class SeenPositions:
    """The positions added so far, with a search within a radius.

    They are sorted by the cell of a cubic grid around the unit sphere, on which neither 0/360 nor the poles are a
    border. Cells are wide compared with the radius, so that most look-ups concern one cell.
    """

    def __init__(self, radius_arcsec: float) -> None:
        self._radius = chord(radius_arcsec)
        self._cell = 30 * self._radius
        self._keys = np.empty(0, np.int64)
        self._vectors = np.empty((0, 3))
        self._numbers = np.empty(0, np.int64)

    def add(self, ra_deg: np.ndarray, dec_deg: np.ndarray) -> None:
        """Add positions of shape (n,), in degrees; they are numbered from 0 in the order of addition."""
        numbers = len(self._numbers) + np.arange(len(ra_deg))
        vectors = unit_vectors(ra_deg, dec_deg)
        keys = np.concatenate([self._keys, self._key(vectors)])
        order = np.argsort(keys, kind="stable")
        self._keys = keys[order]
        self._vectors = np.concatenate([self._vectors, vectors])[order]
        self._numbers = np.concatenate([self._numbers, numbers])[order]

    def near(self, ra_deg: np.ndarray, dec_deg: np.ndarray) -> np.ndarray:
        """Return int64 (n,): the lowest number of a position within the radius of each of n positions, else -1."""
        vectors = unit_vectors(ra_deg, dec_deg)
        nearest = np.full(len(vectors), np.iinfo(np.int64).max)
        looked_up = np.empty((len(vectors), 0), np.int64)
        for corner in np.ndindex(2, 2, 2):
            keys = self._key(vectors + self._radius * (2 * np.array(corner) - 1))
            rows = np.flatnonzero((looked_up != keys[:, None]).all(axis=1))
            looked_up = np.column_stack([looked_up, keys])
            row, place = self._in_cells(rows, keys[rows])
            close = np.linalg.norm(vectors[row] - self._vectors[place], axis=1) <= self._radius
            np.minimum.at(nearest, row[close], self._numbers[place[close]])
        return np.where(nearest == np.iinfo(np.int64).max, -1, nearest)

    def _key(self, vectors: np.ndarray) -> np.ndarray:
        cells = np.floor((vectors + 2) / self._cell).astype(np.int64)  # (n, 3), below 2^15 an axis
        return (cells[:, 0] << 40) | (cells[:, 1] << 20) | cells[:, 2]

    def _in_cells(self, rows: np.ndarray, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pair each row with every position added in its cell; two int64 arrays."""
        first, last = (np.searchsorted(self._keys, keys, side) for side in ("left", "right"))
        counts = last - first
        ends = np.cumsum(counts)
        within = np.arange(counts.sum()) - np.repeat(ends - counts, counts)
        return np.repeat(rows, counts), np.repeat(first, counts) + within


def row_faults(
    ids: pa.Array, ra_deg: np.ndarray, dec_deg: np.ndarray, has_position: np.ndarray, *, position_required: bool
) -> np.ndarray:
    """Return the fault of each row: object of shape (rows,), empty text for none; parameters as of `check`."""
    fault = np.full(len(ids), "", dtype=object)
    with np.errstate(invalid="ignore"):
        outside = (ra_deg < 0) | (ra_deg > 360) | (np.abs(dec_deg) > 90)
    fault[outside] = "position_out_of_range"
    fault[has_position & ~(np.isfinite(ra_deg) & np.isfinite(dec_deg))] = "position_unreadable"
    if position_required:
        fault[~has_position] = "position_missing"
    fault[find_unsafe(ids)] = "id_unsafe"
    fault[pc.is_null(ids).to_numpy(zero_copy_only=False)] = "id_missing"
    return fault
