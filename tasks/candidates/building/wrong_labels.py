"""Wrong labels planted into a simulated night."""

import pyarrow as pa
import pyarrow.compute as pc

from realbogus.records import BOGUS, REAL
from tasks.store.columns import to_bool
from tasks.store.sampling import hash_shares
from tasks.store.schema import STORED

_FLIPPED = {REAL: BOGUS, BOGUS: REAL}
_KEY = "wrong label"
"""Part of the hash, so that these rows are independent of others that hashes of ids select."""


def flip_labels(staged: pa.Table, fraction: float, seed: int) -> pa.Table:
    """Return staged rows with the labels of a fraction of the stored ones flipped; their truth stays.

    Which rows they are follows from their ids and the seed, so those of a smaller fraction are among those of a larger.

    Parameters
    ----------
    staged : Table
        Columns id, status, label.
    fraction : float
        0 to 1.
    seed : int
    """
    if fraction == 0:
        return staged
    shares = hash_shares((f"{_KEY}/{name}" for name in staged["id"].to_pylist()), seed)
    chosen = (shares < fraction) & to_bool(pc.equal(staged["status"], STORED))
    labels = [
        _FLIPPED.get(label, label) if flip else label
        for label, flip in zip(staged["label"].to_pylist(), chosen.tolist(), strict=True)
    ]
    place = staged.column_names.index("label")
    return staged.set_column(place, "label", pa.array(labels, pa.string()))
