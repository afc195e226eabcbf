"""Out-of-fold scores: for each fold a network is fitted to the other folds and scores the samples left out.

A finished fold is a table on disk and is not fitted again. Folds run one after the other in this process, or in
parallel on Dask, each in a worker with its share of the processors.
"""

import logging
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zarr
from numpy.typing import NDArray

from tasks.learning.fits.held_pixels import hold_parts
from tasks.learning.part_sizes import shrink_parts
from tasks.learning.split_parts import PartError, SplitPart, draw_folds, split_fold
from tasks.runtime.cluster import Executor
from tasks.runtime.progress import progress
from tasks.runtime.quiet_tensorflow import quiet_tensorflow
from tasks.runtime.run_log import run_logger
from tasks.server.slots import device_slots, hold_slots, visible_gpus
from tasks.store.files import write_table
from tasks.training.train import fit_parts
from tasks.training.training_task import TrainingTask

if TYPE_CHECKING:
    from tasks.learning.fits.checkpoints import EpochRecord
    from tasks.learning.fits.fitting import Fitted

ITEMS_A_FOLD = 100
"""Work items of a fold, for `cluster`: it takes minutes, so a few are worth starting workers."""


@dataclass(frozen=True)
class FoldFit:
    """A network fitted to all folds but one.

    Attributes
    ----------
    job : FoldJob
    model : keras.Model
        From stored samples to outputs.
    fitted : Fitted
    pixels : zarr.Array, (sample, y, x, channel)
        What the rows of the parts refer to.
    train, validation, held_out : SplitPart
        The samples that were fitted to, those that chose the epoch, and those of the fold itself.
    """

    job: "FoldJob"
    model: Any
    fitted: "Fitted"
    pixels: zarr.Array
    train: SplitPart
    validation: SplitPart
    held_out: SplitPart

    def outputs(self, part: SplitPart) -> NDArray:
        """Return the model's outputs, (n, classes) float32, for the samples of a part."""
        from tasks.learning.scoring import score

        return score(self.model, self.pixels, part.rows, self.job.batch_size)


@dataclass(frozen=True)
class FoldJob:
    """The fit and scoring of one fold. It can be pickled.

    Attributes
    ----------
    training : TrainingTask
    part : SplitPart
        All n samples, with the labels to fit to.
    fold_of : (n,) int32
        The fold of each sample, from 0.
    fold : int
        The fold to score.
    path : Path
        File of the fold's table; the state of an unfinished fit is kept in the folder of the same stem.
    tabulate : function
        Returns the fold's table. It must be importable by its name, as the job is pickled.
    batch_size : int
        Samples scored at once. Another size may round differently.
    threads : int, optional
        TensorFlow's threads in a worker; None leaves its own choice, for a fit in the flow's process.
    size : int, optional
        Training samples to fit to, see `shrink_parts`; None: all.
    hold : bool
        Keep the images of the fit in memory, where they fit; batches then come in another order.
    """

    training: TrainingTask
    part: SplitPart
    fold_of: NDArray
    fold: int
    path: Path
    tabulate: Callable[[FoldFit], pa.Table]
    batch_size: int
    threads: int | None = None
    size: int | None = None
    hold: bool = False

    def parts(self) -> tuple[SplitPart, SplitPart, SplitPart]:
        """Return the training, validation and left-out samples."""
        train, validation, held_out = split_fold(self.part, self.fold_of, self.fold, self.training.request.seed)
        return *shrink_parts(train, validation, self.size, self.training.request.seed), held_out


@dataclass(frozen=True)
class FoldPlan:
    """The folds of a part, each of which is to be scored by a network fitted to the others.

    Attributes
    ----------
    training : TrainingTask
    part : SplitPart
        Samples with the labels to fit to, which may differ from the dataset's.
    count : int
        Number of folds.
    folder : Path
        Where finished folds are kept; it must belong to this part and training alone.
    tabulate, batch_size
        As in `FoldJob`.
    strata : SplitPart, optional
        The part with strata in place of labels, which the folds get evenly; None: with its labels.
    """

    training: TrainingTask
    part: SplitPart
    count: int
    folder: Path
    tabulate: Callable[[FoldFit], pa.Table]
    batch_size: int
    strata: SplitPart | None = None

    @cached_property
    def fold_of(self) -> NDArray[np.int32]:
        """The fold of every sample, (n,), each in [0, count)."""
        strata = self.part if self.strata is None else self.strata
        return draw_folds(strata, self.count, self.training.request.seed)

    def jobs(self, threads: int) -> list[FoldJob]:
        """Return one job per fold; `threads` as in `FoldJob`."""
        return [
            FoldJob(
                self.training,
                self.part,
                self.fold_of,
                fold,
                self.folder / f"fold-{fold + 1}.parquet",
                self.tabulate,
                self.batch_size,
                threads,
            )
            for fold in range(self.count)
        ]


def score_out_of_fold(plan: FoldPlan, executor: Executor) -> pa.Table:
    """Return the tables of all folds, sorted by id; finished folds are not fitted again.

    Raises
    ------
    PartError
        There are fewer groups than folds, or a fold would be fitted without a class.
    """
    require_classes_outside(plan.part, plan.fold_of, plan.training.classes, plan.training.request.seed)
    jobs = plan.jobs(max(1, (os.cpu_count() or 1) // executor.workers))
    with progress("folds", len(unfinished_jobs(jobs))) as advance:
        return run_folds(jobs, executor, advance).sort_by("id")


def require_classes_outside(part: SplitPart, fold_of: NDArray[np.int32], classes: Sequence[str], seed: int) -> None:
    """Refuse folds of which one would be fitted without a class.

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


def run_fold(job: FoldJob) -> None:
    """Fit one fold and write its table."""
    if job.threads is not None:
        _limit_threads(job.threads)
    quiet_tensorflow()
    import keras

    log = partial(_log_epoch, job.fold, int(job.fold_of.max()) + 1)
    write_table(job.path, job.tabulate(fit_fold(job, log)))
    forget_state(job)
    keras.backend.clear_session()


def fit_fold(job: FoldJob, on_epoch: "Callable[[EpochRecord, int], None] | None" = None) -> FoldFit:
    """Fit one fold, going on after the last epoch of its state; `on_epoch` as in `fit_parts`."""
    training, parts = job.training, list(job.parts())
    pixels: zarr.Array = training.dataset.pixels
    if job.hold:
        pixels, parts = hold_parts(pixels, parts)
    train, validation, held_out = parts
    device = training.choose_device()
    state = job.path.with_suffix("")
    fitted = fit_parts(training, (train, validation), device, state, on_epoch, pixels)
    return FoldFit(job, training.model(fitted.weights), fitted, pixels, train, validation, held_out)


def forget_state(job: FoldJob) -> None:
    """Remove the state of a finished fit; one that Dask ran twice has it removed twice."""
    shutil.rmtree(job.path.with_suffix(""), ignore_errors=True)


def run_folds(jobs: Sequence[FoldJob], executor: Executor, advance: Callable[[int], None] | None = None) -> pa.Table:
    """Run the jobs whose table does not exist yet, and return the tables of all jobs, in their order.

    Parameters
    ----------
    jobs : sequence of FoldJob
    executor : Executor
    advance : callable, optional
        Called with 1 for every fold that finishes.
    """
    missing = unfinished_jobs(jobs)
    with hold_slots(missing[0].training.workspace, _slots(missing[0], executor)) if missing else nullcontext():
        for _ in executor.map(run_fold, missing):
            if advance is not None:
                advance(1)
    return pa.concat_tables([pq.read_table(job.path) for job in jobs])


def _slots(job: FoldJob, executor: Executor) -> list[str]:
    """Return the slots that this process holds for fits in workers; a fit in this process takes its own."""
    if executor.workers == 1:
        return []
    gpus = [] if job.training.request.device == "cpu" else visible_gpus(os.environ)
    return device_slots("gpu", len(gpus)) if gpus else device_slots("cpu", 1)


def unfinished_jobs(jobs: Sequence[FoldJob]) -> list[FoldJob]:
    """Return the jobs whose table does not exist yet."""
    return [job for job in jobs if not job.path.exists()]


def _limit_threads(threads: int) -> None:
    """Give TensorFlow its share of a worker's processors; it reads these variables when it is imported."""
    if "TF_NUM_INTRAOP_THREADS" not in os.environ:
        os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = str(threads)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)


def _log_epoch(fold: int, folds: int, record: "EpochRecord", epochs: int) -> None:
    run_logger().info("fold %d/%d, epoch %d/%d: %s", fold + 1, folds, record.epoch, epochs, record)
