"""The queue of labels to look at, the most suspect first."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.learning.labels.suspects import normalised_margins, own_probabilities


def label_queue(
    ids: Sequence[str],
    probabilities: NDArray,
    labels: NDArray[np.int32],
    suggested: NDArray[np.int32],
    classes: Sequence[str],
) -> pa.Table:
    """Return the labelled samples by their normalised margin, the lowest first; equal ones by id.

    Parameters
    ----------
    ids : (n,) text
    probabilities : (n, classes)
        Out of fold.
    labels, suggested : (n,) int
        Every sample has a label; `suggested` is that of `suggest_labels`.
    classes : sequence of str

    Returns
    -------
    Table
        ``id, label, suggested`` (of a suspect the rule's class, of another the most probable one), ``self_confidence,
        margin, rank`` (from 1), ``suspect``.
    """
    margins, suspect = normalised_margins(probabilities, labels), suggested != labels
    order = np.lexsort((np.asarray(ids), margins))
    names = np.array(classes)
    shown = np.where(suspect, suggested, probabilities.argmax(axis=1))
    return pa.table(
        {
            "id": pa.array(np.asarray(ids, object)[order], pa.string()),
            "label": pa.array(names[labels][order].tolist(), pa.string()),
            "suggested": pa.array(names[shown][order].tolist(), pa.string()),
            "self_confidence": own_probabilities(probabilities, labels)[order],
            "margin": margins[order],
            "rank": np.arange(1, len(order) + 1, dtype=np.int32),
            "suspect": suspect[order],
        }
    )
