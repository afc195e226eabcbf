"""Out-of-fold scores of candidates: every one judged by a network that saw neither it nor its sky cell.

Folds run beside each other on Dask, each in a process with its share of the cores. A finished fold lies on disk and is
not run again; one that dies takes nothing else with it.
"""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tasks.candidates.fold_jobs import FoldJob, run_fold
from tasks.candidates.training import CandidateTraining, CandidateTrainRequest
from tasks.learning.split_parts import PartError, SplitPart, draw_folds, fold_sides
from tasks.runtime.cluster import Executor
from tasks.runtime.progress import progress

ITEMS_A_FOLD = 100
"""A fold is minutes of work, so a few are worth a cluster."""


def out_of_fold(training: CandidateTraining, part: SplitPart, folds: int, folder: Path, executor: Executor) -> pa.Table:
    """Return ``id, logit, fold`` of a part's samples, sorted by id.

    Parameters
    ----------
    training : CandidateTraining
    part : SplitPart
        Samples with the labels to fit to, which need not be the dataset's.
    folds : int
    folder : Path
        Where finished folds are kept; it must belong to this part and training alone.
    executor : Executor

    Raises
    ------
    PartError
        A fold would be fitted to one class only.
    """
    detectors = np.unique(training.detectors_of(part), return_inverse=True)[1]
    strata = replace(part, labels=(part.labels + 1 + 3 * detectors).astype(np.int32))
    fold_of = draw_folds(strata, folds, training.request.seed)
    _require_both(part, fold_of, training.classes, training.request.seed)
    request = CandidateTrainRequest(
        **{name: getattr(training.request, name) for name in CandidateTrainRequest.model_fields}
    ).model_dump_json()
    threads = max(1, (os.cpu_count() or 1) // executor.workers)
    paths = [folder / f"fold-{fold + 1}.parquet" for fold in range(folds)]
    jobs = [
        FoldJob(training.workspace, request, part, fold_of, fold, path, threads)
        for fold, path in enumerate(paths)
        if not path.exists()
    ]
    with progress("folds", len(jobs)) as advance:
        for _ in executor.map(run_fold, jobs):
            advance(1)
    return pa.concat_tables([pq.read_table(path) for path in paths]).sort_by("id")


def _require_both(part: SplitPart, fold_of: NDArray[np.int32], classes: list[str], seed: int) -> None:
    for fold in range(int(fold_of.max()) + 1):
        train, _, _ = fold_sides(part, fold_of, fold, seed)
        for at, name in enumerate(classes):
            if not (train.labels == at).any():
                raise PartError(
                    f"outside of fold {fold + 1} no sample is {name} to fit to: use fewer folds or a larger dataset"
                )
