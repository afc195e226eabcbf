"""Relabelling: rounds and where they end, names, changed labels, the account of suspects."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tasks.candidates.relabelling.relabel import CandidateRelabelRequest, CandidateRelabelTask, true_labels
from tasks.candidates.training import CandidateTraining
from tasks.learning.labels.relabelling import publish_relabelling
from tasks.learning.split_parts import UNLABELLED
from tasks.runtime.cluster import InProcess
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.errors import StoreError
from tasks.training.relabel import (
    RelabelRound,
    RelabelSteps,
    RelabelTask,
    count_suspects,
    label_changes,
    noise_of,
    relabel_and_retrain,
)
from tasks.training.relabel import (
    relabelling_name as name_of,
)
from tasks.training.training_task import TrainingTask
from tests.small_candidates import publish_candidates

CLASSES = ["bogus", "real"]


def request(**changes: Any) -> CandidateRelabelRequest:
    plain = {"rule": "threshold", "handling": "unlabel", "suspect_injections": True}
    return CandidateRelabelRequest(**{"dataset": "made", "network": "first", "epochs": 1, **plain, **changes})


def scores(count: int = 4) -> pa.Table:
    return pa.table(
        {
            "id": [f"c{row:04d}" for row in range(count)],
            "logit": [float(row) - 1.5 for row in range(count)],
            "fold": pa.array([1] * count, pa.int32()),
            "label": pa.array([row % 2 for row in range(count)], pa.int32()),
        }
    )


def flags(*rows: int, count: int = 4) -> np.ndarray:
    suspect = np.zeros(count, bool)
    suspect[list(rows)] = True
    return suspect


class Scripted:
    """The stages of a relabelling with given suspects by round; they record how they are called."""

    def __init__(self, *suspects: np.ndarray) -> None:
        self.suspects = suspects
        self.scored: list[str | None] = []
        self.selected: list[tuple[str | None, int]] = []
        self.trained: list[CandidateTraining] = []

    @property
    def steps(self) -> RelabelSteps:
        return RelabelSteps(self.score_folds, self.select_suspects, self.train)

    def score_folds(self, relabel: RelabelTask, labels: str | None, executor: Any) -> pa.Table:
        self.scored.append(labels)
        return scores()

    def select_suspects(
        self, relabel: RelabelTask, table: pa.Table, source: str | None, number: int
    ) -> tuple[str, np.ndarray]:
        self.selected.append((source, number))
        return f"round-{number}", self.suspects[number - 1]

    def train(self, training: TrainingTask) -> dict[str, Any]:
        assert isinstance(training, CandidateTraining)
        self.trained.append(training)
        return {"model_uri": "models:/x/1"}


@pytest.fixture
def made(workspace: Workspace) -> Workspace:
    publish_candidates(workspace, "made", ["bogus", "real"] * 2, list("abcd"), ["train"] * 4, real=[False, True] * 2)
    return workspace


def run(workspace: Workspace, scripted: Scripted, **options: Any) -> dict[str, Any]:
    return relabel_and_retrain(CandidateRelabelTask(workspace, request(**options)), InProcess(), scripted.steps)


def test_rounds_end_at_their_maximum_or_once_the_suspects_stay_the_same(made: Workspace) -> None:
    moving = Scripted(flags(0), flags(1), flags(2))
    summary = run(made, moving, rounds=3, stage="select", labels="earlier")
    assert (summary["rounds"], summary["settled"], summary["labels"]) == (3, False, "round-3")
    assert moving.scored == ["earlier", "round-1", "round-2"], "each round starts from the labels of the one before"
    assert moving.selected == [("earlier", 1), ("round-1", 2), ("round-2", 3)]
    settling = Scripted(flags(0), flags(0), flags(2))
    summary = run(made, settling, rounds=3, stage="select")
    assert (summary["rounds"], summary["settled"], summary["labels"]) == (2, True, "round-2")
    once = run(made, Scripted(flags(0)), stage="select")
    assert (once["rounds"], once["settled"]) == (1, False)
    clean = run(made, Scripted(flags()), rounds=3, stage="select")
    assert (clean["rounds"], clean["settled"]) == (1, True)


def test_an_old_version_is_refused_before_any_fold(made: Workspace) -> None:
    first = Dataset.open(made, "made")
    record = {"reason": ["looked at"], "score": [0.0], "round": pa.array([1], pa.int32()), "by": ["a person"]}
    change = pa.table({"id": ["c0000"], "label": ["real"], **record})
    publish_relabelling(first, first.schemes[0], "eyes", change, None, datetime.now(UTC))
    scripted = Scripted(flags(0))
    with pytest.raises(StoreError, match=r"dataset=made@1: 'made' is at version 2, and only that can be relabelled"):
        run(made, scripted, dataset="made@1", stage="select")
    assert scripted.scored == []
    assert run(made, scripted, dataset="made@2", stage="select")["rounds"] == 1


def test_a_run_stops_after_the_requested_stage(made: Workspace) -> None:
    scripted = Scripted(flags(0, 1))
    folds = run(made, scripted, stage="folds", folds=4)
    assert {name: folds[name] for name in ("folds", "count")} == {"folds": 4, "count": 4}
    assert (scripted.selected, scripted.trained) == ([], [])
    selected = run(made, scripted, stage="select")
    assert selected["suspects"] == {"real": 1, "bogus": 1}
    assert selected["noise_found"] == {"precision": 0.0, "recall": None, "suspects": 2, "wrong": 0, "both": 0}
    assert scripted.trained == []


def test_the_second_training_has_the_new_labels_and_keeps_the_last_epoch(workspace: Workspace) -> None:
    publish_candidates(workspace, "made", ["bogus", "real"] * 2, list("abcd"), ["train"] * 4)
    scripted = Scripted(flags(0))
    summary = run(workspace, scripted, loss_ech=0.1, loss_lds=0.5)
    assert (summary["model_uri"], summary["labels"], summary["noise_found"]) == ("models:/x/1", "round-1", None)
    asked = scripted.trained[0].request
    assert (asked.labels, asked.keep, asked.loss_ech, asked.loss_lds) == ("round-1", "last", 0.1, 0.5)
    settled = Scripted(flags(0))
    run(workspace, settled, keep="label-wave")
    assert settled.trained[0].request.keep == "label-wave"
    assert CandidateRelabelTask(workspace, request(keep="label-wave")).fold_changes["keep"] is None
    removed = Scripted(flags(0))
    run(workspace, removed, handling="remove")
    assert removed.trained[0].request.loss_lds == 0.0
    assert set(type(removed.trained[0].request).model_fields) < set(CandidateRelabelRequest.model_fields)


def test_a_relabelling_is_named_by_all_that_it_follows_from() -> None:
    none = pa.table({"id": ["c0000"], "label": pa.array([None], pa.string())})

    def relabelling_name(*asked: Any) -> str:
        return name_of(*asked, none)

    base = relabelling_name("d", None, request(), 1, flags(0, 2))
    assert base.startswith("threshold-unlabel-r1-")
    assert relabelling_name("d", None, request(seed=5), 1, flags(0, 2)) == base
    others = {
        relabelling_name("e", None, request(), 1, flags(0, 2)),
        relabelling_name("d", "s", request(), 1, flags(0, 2)),
        relabelling_name("d", None, request(rule="confident"), 1, flags(0, 2)),
        relabelling_name("d", None, request(handling="flip"), 1, flags(0, 2)),
        relabelling_name("d", None, request(), 2, flags(0, 2)),
        relabelling_name("d", None, request(), 1, flags(0)),
    }
    assert len(others | {base}) == 7


@pytest.mark.parametrize(
    ("handling", "labels"),
    [("unlabel", [None, None]), ("remove", [None, None]), ("flip", ["real", "bogus"]), ("keep", [])],
)
def test_changes_are_the_suspects_with_their_new_labels_and_scores(
    made: Workspace, handling: str, labels: list[str | None]
) -> None:
    relabel, table = CandidateRelabelTask(made, request(handling=handling)), scores()
    before = table["label"].to_numpy()
    suggested = np.where(flags(0, 3), 1 - before, before)
    changes = label_changes(relabel, relabel.open(), table, suggested, 2)
    count = len(labels)
    assert changes.to_pydict() == {
        "id": ["c0000", "c0003"][:count],
        "label": labels,
        "reason": [f"threshold:{handling}"] * count,
        "score": [-1.5, 1.5][:count],
        "round": [2] * count,
        "by": ["first small fixed all ce"] * count,
    }


def test_suspects_are_counted_by_label_and_compared_with_the_truth() -> None:
    last = RelabelRound("r", scores(), flags(0, 2, 3))
    assert count_suspects(last, CLASSES) == {"real": 1, "bogus": 2}
    truth = pa.table({"id": ["c0003", "c0000", "c0001", "c0002"], "truth": ["bogus", "real", "real", "blend"]})
    true = true_labels(truth, scores()["id"].to_pylist())
    assert noise_of(last, true) == {"precision": 1.0, "recall": 1.0, "suspects": 2, "wrong": 2, "both": 2}
    assert noise_of(last, None) is None
    nothing = RelabelRound("r", scores(), flags())
    assert noise_of(nothing, true) == {"precision": None, "recall": 0.0, "suspects": 0, "wrong": 2, "both": 0}
    assert UNLABELLED == -1
