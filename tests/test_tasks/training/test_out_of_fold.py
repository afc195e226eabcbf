"""Out-of-fold fits: a finished fold is not fitted again, and the tables of all folds come back in their order."""

import pickle
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tasks.candidates.folds import tabulate_logits
from tasks.candidates.training import CandidateTrainRequest, open_candidate_training
from tasks.learning.operating_points import logit_of
from tasks.learning.split_parts import draw_folds, split_fold
from tasks.runtime.cluster import InProcess
from tasks.runtime.workspace import Workspace
from tasks.store.files import write_table
from tasks.training.out_of_fold import FoldFit, FoldJob, fit_fold, run_fold, run_folds, unfinished_jobs
from tests.small_candidates import publish_candidates

COUNT, FOLDS = 48, 3


class Recording(InProcess):
    """An executor that lists the folds that it runs."""

    def __init__(self) -> None:
        self.folds: list[int] = []

    def map(self, function: Callable[[Any], Any], jobs: Iterable[Any], at_once: int | None = None) -> Iterator[Any]:
        for job in jobs:
            self.folds.append(job.fold)
            yield function(job)


def tabulate_everything(fit: FoldFit) -> pa.Table:
    """Sizes of the sides, and the outputs by which the logits are checked."""
    outputs = fit.outputs(fit.held_out)
    return pa.table(
        {
            "id": fit.held_out.ids,
            "fold": [fit.job.fold] * len(fit.held_out),
            "validation": [len(fit.validation)] * len(fit.held_out),
            "best_epoch": [fit.fitted.best_epoch] * len(fit.held_out),
            "bogus": outputs[:, 0],
            "real": outputs[:, 1],
        }
    )


@pytest.fixture
def jobs(workspace: Workspace, tmp_path: Path) -> list[FoldJob]:
    labels = ["real" if row % 2 == 0 else "bogus" for row in range(COUNT)]
    cells = [f"cell {row // 4:02d}" for row in range(COUNT)]
    publish_candidates(workspace, "made", labels, cells, ["train"] * COUNT)
    request = CandidateTrainRequest(dataset="made", network="first", epochs=1, batch_size=16)
    training = open_candidate_training(workspace, request)
    part = training.part("train")
    fold_of = draw_folds(part, FOLDS, 0)
    paths = [tmp_path / "folds" / f"fold-{fold + 1}.parquet" for fold in range(FOLDS)]
    return [FoldJob(training, part, fold_of, fold, path, tabulate_everything, 64) for fold, path in enumerate(paths)]


def test_each_fold_s_samples_are_scored_by_a_network_fitted_to_the_others(jobs: list[FoldJob]) -> None:
    executor, advanced = Recording(), list[int]()
    table = run_folds(jobs, executor, advanced.append)
    assert (executor.folds, advanced) == ([0, 1, 2], [1, 1, 1])
    part, fold_of = jobs[0].part, jobs[0].fold_of
    assert table["id"].to_pylist() == [
        part.ids[row] for fold in range(FOLDS) for row in np.flatnonzero(fold_of == fold)
    ]
    assert table["fold"].to_pylist() == sorted(fold_of.tolist())
    for job in jobs:
        of_fold = table.filter(table["fold"].to_numpy() == job.fold)
        _, validation, _ = split_fold(part, fold_of, job.fold, 0)
        assert set(of_fold["validation"].to_pylist()) == {len(validation)}
        assert set(of_fold["best_epoch"].to_pylist()) == {1}
        assert job.path.is_file()
        assert not job.path.with_suffix("").exists(), "the state of a finished fit is removed"


def test_a_fold_of_few_images_in_memory_is_scored_like_any_other(jobs: list[FoldJob]) -> None:
    few = replace(jobs[0], size=12, hold=True)
    whole, small = jobs[0].parts(), few.parts()
    assert set(small[0].ids) < set(whole[0].ids)
    assert len(small[0]) == 12, "whole cells of four"
    assert len(small[1]) == 4, "at least one cell"
    table = run_folds([few], InProcess())
    assert table["id"].to_pylist() == whole[2].ids
    assert set(table["validation"].to_pylist()) == {4}
    fit = fit_fold(few)
    pixels = np.asarray(few.training.dataset.pixels[:])
    for stored, held in zip(small, (fit.train, fit.validation, fit.held_out), strict=True):
        np.testing.assert_array_equal(np.asarray(fit.pixels[:])[held.rows], pixels[stored.rows])


def test_a_fold_is_the_same_again_and_in_a_worker(jobs: list[FoldJob]) -> None:
    first = run_folds(jobs[:1], InProcess())
    jobs[0].path.unlink()
    run_fold(pickle.loads(pickle.dumps(jobs[0])))
    assert run_folds(jobs[:1], InProcess()).equals(first)


def test_logits_are_the_outputs_real_minus_bogus(jobs: list[FoldJob]) -> None:
    outputs = run_folds(jobs[1:2], InProcess())
    job = replace(jobs[1], path=jobs[1].path.with_name("logits.parquet"), tabulate=tabulate_logits)
    logits = run_folds([job], InProcess())
    assert logits["id"].equals(outputs["id"])
    assert set(logits["fold"].to_pylist()) == {2}, "folds are counted from 1"
    expected = logit_of(np.stack([outputs["bogus"].to_numpy(), outputs["real"].to_numpy()], axis=1))
    np.testing.assert_array_equal(logits["logit"].to_numpy(), expected)


def test_finished_folds_are_read_and_not_fitted(jobs: list[FoldJob]) -> None:
    for job in jobs:
        write_table(job.path, pa.table({"id": [f"f{job.fold}"]}))
    assert unfinished_jobs(jobs) == []
    executor, advanced = Recording(), list[int]()
    assert run_folds(jobs, executor, advanced.append)["id"].to_pylist() == ["f0", "f1", "f2"]
    assert (executor.folds, advanced) == ([], [])
    jobs[1].path.unlink()
    assert unfinished_jobs(jobs) == [jobs[1]]
