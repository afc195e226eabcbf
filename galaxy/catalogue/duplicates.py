"""Which rows of a catalogue stay: reasons to reject a row by itself, and one row for each id and each place.

Rows are judged batch by batch in the order of the tables, so that a catalogue can be written while it is read.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from galaxy.catalogue.identifiers import unsafe
from galaxy.catalogue.positions import chord, pairs_within, unit_vectors

DUPLICATE_RADIUS_ARCSEC = 2.0
RULE = (
    "rows are taken in the order of the tables and of the rows in them; a row goes when a row that stays has its id, "
    "else when one lies within 2 arcsec"
)


class DuplicateFilter:
    """Judges rows, remembering the ids and places of those that stay."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._places = PlacesSeen(DUPLICATE_RADIUS_ARCSEC)
        self._id_of_place: list[str] = []

    def judge(
        self, ids: pa.Array, ra_deg: np.ndarray, dec_deg: np.ndarray, given: np.ndarray, *, needed: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Judge the next rows.

        Parameters
        ----------
        ids
            Ids, null where blank.
        ra_deg, dec_deg
            Positions, float64 (rows,), NaN where missing or unreadable; such a row is near no other.
        given
            Bool (rows,), the table has something in both cells of the position.
        needed
            The table has positions, so a row without one is at fault.

        Returns
        -------
        fault, kept
            Object (rows,), the reason to reject a row, empty text where it stays; and object (rows,), the id of the
            row that stays in a duplicate's place, else None.
        """
        fault = row_faults(ids, ra_deg, dec_deg, given, needed=needed)
        kept = np.full(len(ids), None, dtype=object)
        names = ids.to_pylist()
        placed = np.flatnonzero((fault == "") & np.isfinite(ra_deg) & np.isfinite(dec_deg))
        beside = self._neighbours(ra_deg[placed], dec_deg[placed], placed)
        for row in np.flatnonzero(fault == "").tolist():
            if names[row] in self._ids:
                fault[row], kept[row] = "duplicate_id", names[row]
            elif row in beside and (near := self._first_that_stays(beside[row], fault, names)) is not None:
                fault[row], kept[row] = "duplicate_position", near
            else:
                self._ids.add(names[row])
        stays = placed[fault[placed] == ""]
        self._places.add(ra_deg[stays], dec_deg[stays])
        self._id_of_place += [names[row] for row in stays.tolist()]
        return fault, kept

    def _first_that_stays(self, neighbours: list[int], fault: np.ndarray, names: list[str]) -> str | None:
        """Return the id of the first of a row's neighbours (see `_neighbours`) that is not rejected itself."""
        for number in neighbours:
            if number < 0:
                return self._id_of_place[~number]
            if fault[number] == "":
                return names[number]
        return None

    def _neighbours(self, ra_deg: np.ndarray, dec_deg: np.ndarray, rows: np.ndarray) -> dict[int, list[int]]:
        """Return, for rows that have any, what came before within the radius.

        A place of an earlier batch is given as ``~number``, below 0; a row of this batch as itself. It stays only if
        nothing before it rejects it.
        """
        found: dict[int, list[int]] = {}
        earlier = self._places.near(ra_deg, dec_deg)
        for index in np.flatnonzero(earlier >= 0):
            found[int(rows[index])] = [~int(earlier[index])]
        pairs = pairs_within(ra_deg, dec_deg, DUPLICATE_RADIUS_ARCSEC)
        for first, second in rows[pairs[np.lexsort((pairs[:, 0], pairs[:, 1]))]].tolist():
            found.setdefault(second, []).append(first)
        return found


class PlacesSeen:
    """Positions met so far, found again within a radius.

    They are kept sorted by the cell of a cubic grid over the unit sphere, where the seam and the poles are no border.
    Cells are wide against the radius, so that most look-ups concern one cell and few the corners around it.
    """

    def __init__(self, radius_arcsec: float) -> None:
        self._radius = chord(radius_arcsec)
        self._cell = 30 * self._radius
        self._keys = np.empty(0, np.int64)
        self._vectors = np.empty((0, 3))
        self._numbers = np.empty(0, np.int64)

    def add(self, ra_deg: np.ndarray, dec_deg: np.ndarray) -> None:
        """Remember positions, numbered from 0 in the order of their coming."""
        numbers = len(self._numbers) + np.arange(len(ra_deg))
        vectors = unit_vectors(ra_deg, dec_deg)
        keys = np.concatenate([self._keys, self._key(vectors)])
        order = np.argsort(keys, kind="stable")
        self._keys = keys[order]
        self._vectors = np.concatenate([self._vectors, vectors])[order]
        self._numbers = np.concatenate([self._numbers, numbers])[order]

    def near(self, ra_deg: np.ndarray, dec_deg: np.ndarray) -> np.ndarray:
        """Return int64 (n,): the lowest number of a place within the radius of each position, else -1."""
        vectors = unit_vectors(ra_deg, dec_deg)
        found = np.full(len(vectors), np.iinfo(np.int64).max)
        looked_up = np.empty((len(vectors), 0), np.int64)
        for corner in np.ndindex(2, 2, 2):
            keys = self._key(vectors + self._radius * (2 * np.array(corner) - 1))
            rows = np.flatnonzero((looked_up != keys[:, None]).all(axis=1))
            looked_up = np.column_stack([looked_up, keys])
            row, place = self._in_cells(rows, keys[rows])
            close = np.linalg.norm(vectors[row] - self._vectors[place], axis=1) <= self._radius
            np.minimum.at(found, row[close], self._numbers[place[close]])
        return np.where(found == np.iinfo(np.int64).max, -1, found)

    def _key(self, vectors: np.ndarray) -> np.ndarray:
        cells = np.floor((vectors + 2) / self._cell).astype(np.int64)  # (n, 3), below 2^15 an axis
        return (cells[:, 0] << 40) | (cells[:, 1] << 20) | cells[:, 2]

    def _in_cells(self, rows: np.ndarray, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pair each row with every remembered place in its cell; two int64 arrays."""
        first, last = (np.searchsorted(self._keys, keys, side) for side in ("left", "right"))
        counts = last - first
        ends = np.cumsum(counts)
        within = np.arange(counts.sum()) - np.repeat(ends - counts, counts)
        return np.repeat(rows, counts), np.repeat(first, counts) + within


def row_faults(
    ids: pa.Array, ra_deg: np.ndarray, dec_deg: np.ndarray, given: np.ndarray, *, needed: bool
) -> np.ndarray:
    """Name what is wrong with each row by itself (see `Judge.judge`); object (rows,), empty text where nothing is."""
    fault = np.full(len(ids), "", dtype=object)
    with np.errstate(invalid="ignore"):
        outside = (ra_deg < 0) | (ra_deg > 360) | (np.abs(dec_deg) > 90)
    fault[outside] = "position_out_of_range"
    fault[given & ~(np.isfinite(ra_deg) & np.isfinite(dec_deg))] = "position_unreadable"
    if needed:
        fault[~given] = "position_missing"
    fault[unsafe(ids)] = "id_unsafe"
    fault[pc.is_null(ids).to_numpy(zero_copy_only=False)] = "id_missing"
    return fault
