"""The samples that a model was trained on, so that an evaluation can leave them out, also on another dataset.

The table is saved beside the model: the dataset that it was trained on may be absent.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tasks.store.columns import positions_of, select_ids, to_float
from tasks.store.dataset import Dataset
from tasks.store.sky_coordinates import chord, unit_vectors

TRAINING_SAMPLES_FILE = "members.parquet"
"""Name of the table in a model's folder."""
COLUMNS = ("id", "pixel_sha256", "ra_deg", "dec_deg")
"""Its columns."""
SAME_PLACE_ARCSEC = 2.0


def read_training_samples(dataset: Dataset) -> pa.Table:
    """Return `COLUMNS` of every sample in the training and validation parts; no row without a split."""
    samples = dataset.samples(list(COLUMNS))
    split = dataset.split()
    if split is None:
        return samples.slice(0, 0)
    return select_ids(samples, split.filter(pc.is_in(split["part"], pa.array(["train", "validation"])))["id"])


def seen_before(samples: pa.Table, training_samples: pa.Table) -> NDArray[np.bool_]:
    """Return which of n samples have the id, the pixels or, within 2 arcsec, the position of a training sample, (n,).

    Both tables have `COLUMNS`; null digests and positions match nothing.
    """
    same_id = positions_of(samples["id"], training_samples["id"]) >= 0
    same_pixels = positions_of(samples["pixel_sha256"], pc.drop_null(training_samples["pixel_sha256"])) >= 0
    points, others = (
        unit_vectors(*(to_float(table[name]) for name in COLUMNS[2:])) for table in (samples, training_samples)
    )
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
