"""The hidden truth of simulated galaxies as classes of a scheme; it serves accounts of labels alone, never a fit."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from galaxy.labels.schemes import SHIPPED, load_scheme
from galaxy.simulation.true_classes import true_classes
from tasks.learning.split_parts import UNLABELLED
from tasks.store.columns import align_column, positions_of
from tasks.store.dataset import Dataset


def true_labels(dataset: Dataset, scheme: str, ids: Sequence[str]) -> NDArray[np.int64] | None:
    """Return the position (n,) of each galaxy's true class among a scheme's classes, -1 where its truth is unknown.

    A galaxy of a kind that the scheme leaves out, such as edge-on discs, has the number of classes: any label of it is
    wrong. None without a hidden truth, or for a scheme that is not shipped and whose classes the truth does not name.
    """
    truth, classes = dataset.truth(), dataset.classes(scheme)
    if truth is None:
        return None
    words = align_column(truth, "truth", ids).to_pylist()
    if scheme in SHIPPED and load_scheme(scheme).digest == dataset.manifest["schemes"][scheme]["digest"]:
        names = true_classes(load_scheme(scheme), words)
    elif set(words) & set(classes):
        names = words
    else:
        return None
    positions = positions_of(pa.array(names, pa.string()), classes)
    is_known = np.array([word is not None for word in words])
    return np.where(is_known, np.where(positions < 0, len(classes), positions), UNLABELLED)
