"""Which galaxies of a part a model is evaluated on: those that it has not seen in training or validation."""

import numpy as np
import pyarrow as pa

from tasks.learning.split_parts import SplitPart, part_rows
from tasks.learning.training_overlap import COLUMNS, seen_before
from tasks.store.columns import align_rows
from tasks.store.dataset import Dataset
from tasks.training.evaluation_record import EvaluationError


def unseen_rows(
    dataset: Dataset, scheme: str, part: str, training_samples: pa.Table | None
) -> tuple[SplitPart, int | None]:
    """Return the labelled samples of a part that are not in `training_samples`, and the number left out.

    Parameters
    ----------
    dataset : Dataset
    scheme : str
    part : str
        train, validation, test or all.
    training_samples : Table, optional
        The samples that the model has seen, with the columns of `training_overlap.COLUMNS`; None where they are
        unknown: then all samples are returned, and None as their number.

    Raises
    ------
    EvaluationError
        The model has seen every sample of the part.
    """
    labelled = part_rows(dataset, scheme, part)
    if training_samples is None:
        return labelled, None
    is_seen = seen_before(align_rows(dataset.samples(list(COLUMNS)), labelled.ids), training_samples)
    if is_seen.all():
        raise EvaluationError(
            f"all {len(labelled)} samples of part {part!r} of dataset {dataset.name!r} were in the model's training "
            "or validation part, so none is left to evaluate it on"
        )
    return labelled.take(np.flatnonzero(~is_seen)), int(is_seen.sum())
