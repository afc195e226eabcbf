"""What to do when the groups of a dataset are too few for every part of its split."""

import pyarrow as pa
import pyarrow.compute as pc

from expectations.split_shares import PARTS


def split_advice(split: pa.Table | None, enough_groups: str) -> str | None:
    """Return which parts have no rows and what request would fill them; None if no part is empty.

    Parameters
    ----------
    split : Table or None
        Columns group and part.
    enough_groups : str
        The smallest request that gives one group a part, such as ``chips=3 visits=1``.
    """
    if split is None:
        return None
    present = set(pc.unique(split["part"]).to_pylist())
    empty = [part for part in PARTS if part not in present]
    if not empty:
        return None
    groups = pc.count_distinct(split["group"]).as_py()
    if groups < len(PARTS):
        cause = f"{groups} group{'' if groups == 1 else 's'} cannot fill {len(PARTS)} parts"
    else:
        cause = "it was drawn from fewer groups than parts, and later groups are placed by chance"
    return (
        f"the split has no {' and no '.join(empty)} rows ({cause}), so nothing can be trained on this dataset: a split "
        f"is drawn once, so build another dataset, with at least {enough_groups}"
    )
