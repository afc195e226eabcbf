"""Which rows of a catalogue stay: reasons to reject one by its id and position, and one row for each place."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from galaxy.identifiers import unsafe
from galaxy.positions import pairs_within

DUPLICATE_RADIUS_ARCSEC = 2.0
RULE = (
    "of rows with one id, then of rows within 2 arcsec, the one with most voters stays (total_classifications, "
    "else total_votes, else gz1_votes); at equal numbers the earliest in the order of the tables given"
)


def row_faults(ids: pa.Array, ra_deg: np.ndarray, dec_deg: np.ndarray, given: np.ndarray, needed: bool) -> np.ndarray:
    """Name what is wrong with each row by itself; object (rows,), empty text where nothing is.

    Parameters
    ----------
    ids
        Ids, null where blank.
    ra_deg, dec_deg
        Positions, NaN where missing or unreadable.
    given
        Bool (rows,), the table has something in both cells of the position.
    needed
        The table has positions, so a row without one is at fault.
    """
    fault = np.full(len(ids), "", dtype=object)
    with np.errstate(invalid="ignore"):
        outside = (ra_deg < 0) | (ra_deg > 360) | (np.abs(dec_deg) > 90)
    readable = np.isfinite(ra_deg) & np.isfinite(dec_deg)
    fault[outside] = "position_out_of_range"
    fault[given & ~readable] = "position_unreadable"
    if needed:
        fault[~given] = "position_missing"
    fault[unsafe(ids)] = "id_unsafe"
    fault[pc.is_null(ids).to_numpy(zero_copy_only=False)] = "id_missing"
    return fault


def reject_duplicates(
    ids: pa.Array, ra_deg: np.ndarray, dec_deg: np.ndarray, voters: np.ndarray, fault: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Add the faults ``duplicate_id`` and ``duplicate_position`` to rows that have none yet.

    Parameters
    ----------
    ids, ra_deg, dec_deg
        Ids and positions; NaN positions are duplicates of nothing.
    voters
        Number of voters, -1 where unknown: the row with more stays.
    fault
        Object (rows,), empty text for the rows to look at.

    Returns
    -------
    fault, kept
        The faults with duplicates added, and int64 (rows,) the row that stayed in a duplicate's place, else -1.

    Notes
    -----
    Rows are taken in order of preference, and one is rejected when it lies within 2 arcsec of a row that stays: so
    no two rows that stay are that close, and every rejected one has a row nearby that stays.
    """
    fault, kept = fault.copy(), np.full(len(fault), -1, np.int64)
    rank = np.empty(len(fault), np.int64)
    rank[np.lexsort((np.arange(len(fault)), -voters))] = np.arange(len(fault))
    _reject_ids(ids, rank, fault, kept)
    rows = np.flatnonzero((fault == "") & np.isfinite(ra_deg) & np.isfinite(dec_deg))
    pairs = rows[pairs_within(ra_deg[rows], dec_deg[rows], DUPLICATE_RADIUS_ARCSEC)]
    better_first = np.where((rank[pairs[:, 0]] < rank[pairs[:, 1]])[:, None], pairs, pairs[:, ::-1])
    for better, worse in better_first[np.lexsort((rank[better_first[:, 1]], rank[better_first[:, 0]]))]:
        if fault[better] == "" and fault[worse] == "":
            fault[worse], kept[worse] = "duplicate_position", better
    return fault, kept


def _reject_ids(ids: pa.Array, rank: np.ndarray, fault: np.ndarray, kept: np.ndarray) -> None:
    rows = np.flatnonzero(fault == "")
    codes = ids.take(pa.array(rows)).dictionary_encode().indices.to_numpy()
    order = np.lexsort((rank[rows], codes))
    rows, codes = rows[order], codes[order]
    first = np.r_[True, codes[1:] != codes[:-1]][: len(codes)]
    fault[rows[~first]] = "duplicate_id"
    kept[rows[~first]] = rows[np.maximum.accumulate(np.where(first, np.arange(len(rows)), 0))][~first]
