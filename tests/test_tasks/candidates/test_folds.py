"""Folds of candidates: of the training part alone, by whole sky cells, kept when the program dies."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.candidates.folds import out_of_fold, stratify
from tasks.candidates.relabelling.relabel import CandidateRelabelRequest, CandidateRelabelTask
from tasks.candidates.training import CandidateTraining, CandidateTrainRequest, open_candidate_training
from tasks.learning.split_parts import UNLABELLED, PartError, SplitPart, draw_folds, split_fold
from tasks.runtime.cluster import InProcess
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.training.out_of_fold import require_classes_outside
from tasks.training.relabel import score_folds
from tests.small_candidates import publish_candidates

COUNT = 144
FOLDS = 3


class Refusing(InProcess):
    """An executor for what is finished: it takes no job."""

    def map(self, function: Callable[[Any], Any], jobs: Iterable[Any], at_once: int | None = None) -> Iterator[Any]:
        asked = list(jobs)
        assert not asked, f"{len(asked)} folds are run again"
        return iter(())


def part_of(labels: Sequence[int], cells: Sequence[int]) -> SplitPart:
    count = len(labels)
    ids, names = [f"c{row:04d}" for row in range(count)], [f"cell {cell}" for cell in cells]
    return SplitPart(ids, np.arange(count), np.asarray(labels, np.int32), names)


def make(workspace: Workspace) -> Dataset:
    """Cells of four, two of them real; a sixth of the cells validates and a sixth tests."""
    labels = ["real" if row % 2 == 0 else "bogus" for row in range(COUNT)]
    parts = [{0: "validation", 1: "test"}.get(row // 4 % 6, "train") for row in range(COUNT)]
    return publish_candidates(workspace, "made", labels, [f"cell {row // 4:02d}" for row in range(COUNT)], parts)


def opened(workspace: Workspace) -> CandidateTraining:
    return open_candidate_training(workspace, CandidateTrainRequest(dataset="made", network="first", epochs=1))


@given(
    members=st.lists(st.tuples(st.integers(0, 25), st.sampled_from([UNLABELLED, 0, 1])), min_size=6, max_size=80),
    count=st.integers(2, 4),
    seed=st.integers(0, 2),
)
def test_the_three_sides_of_a_fold_share_no_cell_and_are_everything(
    members: list[tuple[int, int]], count: int, seed: int
) -> None:
    """From three cells up: a fold of few cells has one of them to validate on."""
    part = part_of([label for _, label in members], [cell for cell, _ in members])
    if len(set(part.groups)) < count + 1:
        return
    fold_of = draw_folds(part, count, seed)
    for fold in range(count):
        rest = set(np.array(part.groups)[fold_of != fold])
        if len(rest) < 2:
            continue
        sides = split_fold(part, fold_of, fold, seed)
        assert sorted(name for side in sides for name in side.ids) == part.ids
        assert set(sides[2].ids) == {part.ids[row] for row in np.flatnonzero(fold_of == fold)}
        cells = [set(side.groups) for side in sides]
        assert all(cells)
        assert sum(map(len, cells)) == len(set(part.groups))
        assert len(cells[1]) <= max(1, len(rest) // 2)


def test_a_fold_beside_which_one_cell_is_left_is_refused() -> None:
    with pytest.raises(PartError, match="outside of fold 1 is one group only"):
        split_fold(part_of([0, 1, 0, 1], [0, 0, 1, 1]), np.array([0, 0, 1, 1], np.int32), 0, 0)


def test_each_fold_has_its_share_of_a_rare_label() -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random(400) < 0.2).astype(int)
    part = part_of(labels.tolist(), list(range(400)))
    fold_of = draw_folds(part, 5, 0)
    shares = [labels[fold_of == fold].sum() for fold in range(5)]
    assert max(shares) - min(shares) <= 1
    assert min(shares) > 0


KILLED = """
import sys
from tasks.candidates.relabelling.relabel import CandidateRelabelRequest, CandidateRelabelTask
from tasks.runtime.cluster import InProcess
from tasks.runtime.workspace import Workspace
from tasks.training.relabel import score_folds
request = CandidateRelabelRequest.model_validate_json(sys.argv[1])
score_folds(CandidateRelabelTask(Workspace.current(), request), None, InProcess())
"""


def test_a_killed_stage_keeps_its_folds_and_every_training_sample_is_judged_once(workspace: Workspace) -> None:
    dataset = make(workspace)
    request = CandidateRelabelRequest(dataset="made", network="first", epochs=1, batch_size=16, folds=FOLDS)
    words = [sys.executable, "-c", KILLED, request.model_dump_json()]
    process = subprocess.Popen(words, cwd=Path(__file__).parents[3], env=os.environ.copy())
    while not (kept := list(workspace.root.glob("training/*/fold-*.parquet"))):
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(kept) < FOLDS
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in kept}

    relabel = CandidateRelabelTask(workspace, request)
    scores = score_folds(relabel, None, InProcess())
    assert {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in before} == before
    paths = sorted(workspace.root.glob("training/*/fold-*.parquet"))
    assert len(paths) == FOLDS
    assert {path.parent for path in paths} == {kept[0].parent}

    split, labels = dataset.split(), dataset.labels("real-bogus")
    assert split is not None
    row_of = {row["id"]: row for row in split.to_pylist()}
    label_of = dict(zip(labels["id"].to_pylist(), labels["label"].to_pylist(), strict=True))
    assert scores["id"].to_pylist() == sorted(name for name, row in row_of.items() if row["part"] == "train")
    assert [("bogus", "real")[label] for label in scores["label"].to_pylist()] == [
        label_of[name] for name in scores["id"].to_pylist()
    ]
    assert np.isfinite(scores["logit"].to_numpy()).all()
    folds_of_cell: dict[str, set[int]] = {}
    for row in scores.to_pylist():
        folds_of_cell.setdefault(row_of[row["id"]]["group"], set()).add(row["fold"])
    assert {len(folds) for folds in folds_of_cell.values()} == {1}
    for fold in range(1, FOLDS + 1):
        assert set(scores.filter(scores["fold"].to_numpy() == fold)["label"].to_pylist()) == {0, 1}
        table = pq.read_table(kept[0].parent / f"fold-{fold}.parquet")
        assert set(table["fold"].to_pylist()) == {fold}

    assert score_folds(relabel, None, Refusing()).equals(scores)
    with pytest.raises(AssertionError, match="2 folds are run again"):
        score_folds(replace(relabel, request=request.model_copy(update={"folds": 2})), None, Refusing())


def test_a_fold_with_one_class_is_refused_by_name_before_any_is_fitted(workspace: Workspace, tmp_path: Path) -> None:
    make(workspace)
    training = opened(workspace)
    cells = [row // 4 for row in range(96)]
    part = part_of([int(cell == 0) for cell in cells], cells)
    alone = int(draw_folds(part, FOLDS, 0)[0]) + 1
    for labels, message in (
        (part.labels, f"outside of fold {alone} no sample is real"),
        (1 - part.labels, f"outside of fold {alone} no sample is bogus"),
        (np.ones_like(part.labels), "outside of fold 1 no sample is bogus"),
        (np.full_like(part.labels, UNLABELLED), "outside of fold 1 no sample is bogus"),
    ):
        with pytest.raises(PartError, match=message):
            out_of_fold(training, replace(part, labels=labels), FOLDS, tmp_path / "folds", Refusing())
    assert not (tmp_path / "folds").exists()


def test_a_class_that_is_left_to_validate_on_only_is_refused_too(workspace: Workspace, tmp_path: Path) -> None:
    """Two large cells hold all reals: beside the fold that has one of them the other one validates."""
    make(workspace)
    training = opened(workspace)
    cells = [0] * 20 + [1] * 20 + [2 + row // 4 for row in range(96)]
    part = part_of([1] * 40 + [0] * 96, cells)
    with pytest.raises(PartError, match=r"outside of fold \d no sample is real to fit to"):
        out_of_fold(training, part, FOLDS, tmp_path / "folds", Refusing())


def test_more_folds_than_cells_are_refused(workspace: Workspace, tmp_path: Path) -> None:
    make(workspace)
    training = opened(workspace)
    with pytest.raises(PartError, match="folds=25 is not between 2 and the 24 groups"):
        out_of_fold(training, training.part("train"), 25, tmp_path / "folds", Refusing())


def test_folds_are_stratified_by_label_and_detector() -> None:
    part = part_of([0, 1, UNLABELLED, 0, 1, UNLABELLED], range(6))
    strata = stratify(part, np.array(["a", "a", "a", "b", "b", "b"]))
    assert strata.labels.tolist() == [1, 2, 0, 4, 5, 3]
    assert strata.labels.dtype == np.int32
    assert (strata.ids, strata.groups) == (part.ids, part.groups)
    assert stratify(part, np.array([""] * 6)).labels.tolist() == [1, 2, 0, 1, 2, 0]


def test_folds_with_both_classes_outside_of_each_are_accepted() -> None:
    cells = [row // 2 for row in range(24)]
    part = part_of([row % 2 for row in range(24)], cells)
    require_classes_outside(part, draw_folds(part, 3, 0), ["bogus", "real"], 0)
