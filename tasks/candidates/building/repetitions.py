"""Candidates that come more than once: with the same pixels they are one, with different ones they are refused."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.records.repetitions import PlaceOf, different_error
from tasks.store.schema import STORED


def drop_repeated(staged: pa.Table, places_of: PlaceOf) -> tuple[pa.Table, list[str]]:
    """Return the rows without further ones of an id, and the ids of the rows left out, one for each of them.

    The first stored row of an id stays, the first of all where none is stored.

    Parameters
    ----------
    staged : Table
        Columns id, status, pixel_sha256, label, staged_batch.
    places_of : PlaceOf
        Finds where two rows stand, for the error.

    Raises
    ------
    SourceError
        Two stored rows of one id have different pixels or labels.
    """
    if pc.count_distinct(staged["id"]).as_py() == staged.num_rows:
        return staged, []
    ids = staged["id"].combine_chunks().dictionary_encode().indices.to_numpy()
    is_stored = pc.equal(staged["status"], STORED).to_numpy(zero_copy_only=False)
    order = np.lexsort([np.arange(len(ids)), ~is_stored, ids])  # of an id, stored rows first
    is_first = np.concatenate([[True], ids[order][1:] != ids[order][:-1]])
    kept = order[is_first][np.cumsum(is_first) - 1]  # of each row in order, the row of its id that stays
    further = ~is_first
    _require_same(staged, kept[further], order[further], places_of)
    repeated = np.sort(order[further])
    keep = np.ones(len(ids), bool)
    keep[repeated] = False
    return staged.filter(pa.array(keep)), staged["id"].take(pa.array(repeated)).to_pylist()


def _require_same(staged: pa.Table, kept: np.ndarray, further: np.ndarray, places_of: PlaceOf) -> None:
    """Refuse the first pair of stored rows, of (n,) and (n,) row numbers, that differ."""
    compared = staged.select(["id", "status", "pixel_sha256", "label", "staged_batch"])
    first, second = (compared.take(pa.array(rows)).to_pylist() for rows in (kept, further))
    for one, other in zip(first, second, strict=True):
        if other["status"] != STORED:
            continue
        for column, what in (("pixel_sha256", "pixels"), ("label", "labels")):
            if one[column] != other[column]:
                places = places_of(one["id"], [one["staged_batch"], other["staged_batch"]])
                raise different_error(one["id"], what, places)
