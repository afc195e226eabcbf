"""Out-of-fold logits of candidates: each from a network that was fitted without the candidate's sky cell."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.candidates.training import CandidateTraining
from tasks.learning.operating_points import logit_of
from tasks.learning.scoring import STAMP_BATCH
from tasks.learning.split_parts import SplitPart
from tasks.runtime.cluster import Executor
from tasks.training.out_of_fold import FoldFit, FoldPlan, score_out_of_fold


def out_of_fold(training: CandidateTraining, part: SplitPart, folds: int, folder: Path, executor: Executor) -> pa.Table:
    """Return ``id, logit, fold`` (from 1) of a part's samples, sorted by id.

    Parameters
    ----------
    training : CandidateTraining
    part : SplitPart
        Samples with the labels to fit to, which may differ from the dataset's.
    folds : int
    folder : Path
        Where finished folds are kept; it must belong to this part and training alone.
    executor : Executor

    Raises
    ------
    PartError
        A fold would be fitted to one class only.
    """
    strata = stratify(part, training.detectors_of(part))
    return score_out_of_fold(
        FoldPlan(training, part, folds, folder, tabulate_logits, STAMP_BATCH, strata),
        executor,
    )


def stratify(part: SplitPart, detectors: NDArray[np.str_]) -> SplitPart:
    """Return the part with strata in place of labels, so that folds get each label of each detector (n,) evenly."""
    detector_of = np.unique(detectors, return_inverse=True)[1]
    return replace(part, labels=(part.labels + 1 + 3 * detector_of).astype(np.int32))


def tabulate_logits(fit: FoldFit) -> pa.Table:
    """Return ``id, logit, fold`` (from 1) of the fold's samples."""
    return pa.table(
        {
            "id": fit.held_out.ids,
            "logit": logit_of(fit.outputs(fit.held_out)),
            "fold": np.full(len(fit.held_out), fit.job.fold + 1, np.int32),
        }
    )
