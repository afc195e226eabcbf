"""One fold of a part, as a worker runs it: fit to the others, score its samples, leave the scores on disk.

A worker unpickles a job before it can import much, so a job holds plain values; what a training is, is imported where
the job runs.
"""

import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.learning.split_parts import SplitPart, fold_sides
from tasks.runtime.workspace import Workspace
from tasks.store.files import write_table

SCORE_BATCH = 256


@dataclass(frozen=True)
class FoldJob:
    """One fold for one task.

    Attributes
    ----------
    workspace : Workspace
    request : str
        JSON of a `CandidateTrainRequest`.
    part : SplitPart
        With the labels to fit to.
    fold_of : (n,) int32
    fold : int
    path : Path
        Where the scores go; the fit's state lies beside.
    threads : int
        Of TensorFlow.
    """

    workspace: Workspace
    request: str
    part: SplitPart
    fold_of: NDArray[np.int32]
    fold: int
    path: Path
    threads: int


def run_fold(job: FoldJob) -> None:
    """Fit one fold and keep the scores of its samples."""
    if "TF_NUM_INTRAOP_THREADS" not in os.environ:
        os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = str(job.threads)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    from tasks.candidates.training import CandidateTrainRequest, fit_model, open_candidate_training
    from tasks.training.training_task import quiet_tensorflow

    quiet_tensorflow()
    import keras

    from tasks.learning.devices import choose_device
    from tasks.learning.operating_points import logit_of
    from tasks.learning.scoring import score

    request = CandidateTrainRequest.model_validate_json(job.request)
    training = open_candidate_training(job.workspace, request)
    train, validation, judged = fold_sides(job.part, job.fold_of, job.fold, request.seed)
    state = job.path.with_suffix("")
    model = fit_model(training, train, validation, state, choose_device(request.device))
    columns: dict[str, Any] = {
        "id": judged.ids,
        "logit": logit_of(score(model, training.dataset.pixels, judged.rows, SCORE_BATCH)),
        "fold": np.full(len(judged), job.fold + 1, np.int32),
    }
    write_table(job.path, pa.table(columns))
    shutil.rmtree(state, ignore_errors=True)
    keras.backend.clear_session()
