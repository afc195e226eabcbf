"""Out-of-fold logits of candidates: each from a network that was fitted without the candidate's sky cell."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.candidates.training import CandidateTraining
from tasks.learning.operating_points import logit_of
from tasks.learning.scoring import STAMP_BATCH
from tasks.learning.split_parts import PartError, SplitPart, draw_folds, split_fold
from tasks.runtime.cluster import Executor
from tasks.runtime.progress import progress
from tasks.training.out_of_fold import FoldFit, FoldJob, run_folds, unfinished_jobs

ITEMS_A_FOLD = 100
"""Work items of a fold, for `cluster`: it takes minutes, so a few are worth starting workers."""


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
    fold_of = draw_folds(stratify(part, training.detectors_of(part)), folds, training.request.seed)
    require_both_classes(part, fold_of, training.classes, training.request.seed)
    threads = max(1, (os.cpu_count() or 1) // executor.workers)
    jobs = [
        FoldJob(
            training, part, fold_of, fold, folder / f"fold-{fold + 1}.parquet", tabulate_logits, STAMP_BATCH, threads
        )
        for fold in range(folds)
    ]
    with progress("folds", len(unfinished_jobs(jobs))) as advance:
        return run_folds(jobs, executor, advance).sort_by("id")


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


def require_both_classes(part: SplitPart, fold_of: NDArray[np.int32], classes: list[str], seed: int) -> None:
    """Refuse folds of which one would be fitted to a single class.

    Raises
    ------
    PartError
        Naming the fold and the missing class.
    """
    for fold in range(int(fold_of.max()) + 1):
        train, _, _ = split_fold(part, fold_of, fold, seed)
        for position, name in enumerate(classes):
            if not (train.labels == position).any():
                raise PartError(
                    f"outside of fold {fold + 1} no sample is {name} to fit to: use fewer folds or a larger dataset"
                )
