"""Which samples a model has seen, so that an evaluation can leave them out, also on another dataset.

The list lies beside the model as ``members.parquet``: the dataset it was trained on need not be at hand.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tasks.store.columns import positions_of, select_ids, to_float
from tasks.store.dataset import Dataset
from tasks.store.sky_coordinates import chord, unit_vectors

MEMBERS_FILE = "members.parquet"
SAME_PLACE_ARCSEC = 2.0

COLUMNS = ("id", "pixel_sha256", "ra_deg", "dec_deg")


def training_members(dataset: Dataset) -> pa.Table:
    """Return id, pixel digest and position of every sample in the training and validation parts."""
    samples = dataset.samples(list(COLUMNS))
    split = dataset.split()
    if split is None:
        return samples.slice(0, 0)
    learnt = split.filter(pc.is_in(split["part"], pa.array(["train", "validation"])))
    return select_ids(samples, learnt["id"])


def seen_before(samples: pa.Table, members: pa.Table) -> NDArray[np.bool_]:
    """Return which samples have the id, the pixels or, within 2 arcsec, the position of a member.

    Both tables hold ``COLUMNS``; null digests and positions match nothing.
    """
    same_id = positions_of(samples["id"], members["id"]) >= 0
    same_pixels = positions_of(samples["pixel_sha256"], pc.drop_null(members["pixel_sha256"])) >= 0
    points, others = (unit_vectors(*(to_float(table[name]) for name in COLUMNS[2:])) for table in (samples, members))
    return same_id | same_pixels | _near(points, others)


def _near(points: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which of n unit vectors, (n, 3), have one of the others, (m, 3), within 2 arcsec; NaN has none."""
    near = np.zeros(len(points), bool)
    has_position = np.isfinite(points).all(axis=1)
    others = others[np.isfinite(others).all(axis=1)]
    if len(others) and has_position.any():
        distance, _ = cKDTree(others).query(points[has_position], distance_upper_bound=chord(SAME_PLACE_ARCSEC))
        near[has_position] = np.isfinite(distance)
    return near
