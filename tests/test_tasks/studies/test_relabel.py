"""Relabelling: rounds and where they end, strata, names, changed labels, the account of suspects."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from tasks.candidates.training import CandidateTraining
from tasks.learning.split_parts import UNLABELLED
from tasks.runtime.cluster import InProcess
from tasks.runtime.workspace import Workspace
from tasks.studies.relabel import (
    RelabelRequest,
    RelabelRound,
    RelabelSteps,
    count_suspects,
    label_changes,
    noise_of,
    relabel_and_retrain,
    relabelling_name,
    suspect_strata,
)
from tasks.training.training_task import TrainingTask
from tests.small_candidates import publish_candidates


def request(**changes: Any) -> RelabelRequest:
    return RelabelRequest(**{"dataset": "made", "network": "first", "epochs": 1, **changes})


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

    def score_folds(self, workspace: Workspace, request: RelabelRequest, labels: str | None, executor: Any) -> pa.Table:
        self.scored.append(labels)
        return scores()

    def select_suspects(
        self, workspace: Workspace, request: RelabelRequest, table: pa.Table, source: str | None, number: int
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
    return relabel_and_retrain(workspace, request(**options), InProcess(), scripted.steps)


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
    removed = Scripted(flags(0))
    run(workspace, removed, handling="remove")
    assert removed.trained[0].request.loss_lds == 0.0
    assert set(type(removed.trained[0].request).model_fields) < set(RelabelRequest.model_fields)


def test_a_removed_candidate_can_take_part_in_no_loss() -> None:
    request(handling="remove", loss_lds=0.0)
    request(handling="unlabel", loss_lds=1.0)
    with pytest.raises(ValidationError, match=r"handling=remove with loss_lds=1.0: a removed candidate"):
        request(handling="remove", loss_lds=1.0)


def test_strata_are_kind_detector_and_quartiles_of_magnitude_and_separation() -> None:
    samples = pa.table(
        {
            "id": list("abcdefgh"),
            "kind": ["x", "y"] * 4,
            "detector": [None, "1"] * 4,
            "mag": pa.array([8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0]),
            "galaxy_separation_re": pa.array([1.0, 2.0, 3.0, None, None, None, None, None], pa.float64()),
        }
    )
    strata = suspect_strata(samples, list("hgfedcba"))
    assert strata["kind"].tolist() == ["y", "x"] * 4
    assert strata["detector"].tolist() == ["1", ""] * 4
    assert strata["mag"].tolist() == [f"bin {quarter} of 4" for quarter in (1, 1, 2, 2, 3, 3, 4, 4)]
    assert set(strata["galaxy_separation_re"]) == {""}, "three values are not divided into quartiles"
    gap = samples.set_column(3, "mag", pa.array([8.0, None, 6.0, 5.0, 4.0, None, None, None]))
    assert suspect_strata(gap, list("abcde"))["mag"].tolist() == [
        "bin 4 of 4",
        "",
        "bin 3 of 4",
        "bin 2 of 4",
        "bin 1 of 4",
    ]


def test_a_relabelling_is_named_by_all_that_it_follows_from() -> None:
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
def test_changes_are_the_suspects_with_their_new_labels_and_scores(handling: str, labels: list[str | None]) -> None:
    changes = label_changes(scores(), flags(0, 3), request(handling=handling), 2, "first small")
    count = len(labels)
    assert changes.to_pydict() == {
        "id": ["c0000", "c0003"][:count],
        "label": labels,
        "reason": [f"threshold:{handling}"] * count,
        "score": [-1.5, 1.5][:count],
        "round": [2] * count,
        "by": ["first small"] * count,
    }


def test_suspects_are_counted_by_label_and_compared_with_the_truth() -> None:
    last = RelabelRound("r", scores(), flags(0, 2, 3))
    assert count_suspects(last) == {"real": 1, "bogus": 2}
    truth = pa.table({"id": ["c0003", "c0000", "c0001", "c0002"], "truth": ["bogus", "real", "real", "blend"]})
    assert noise_of(last, truth) == {"precision": 1.0, "recall": 1.0, "suspects": 2, "wrong": 2, "both": 2}
    assert noise_of(last, None) is None
    nothing = RelabelRound("r", scores(), flags())
    assert noise_of(nothing, truth) == {"precision": None, "recall": 0.0, "suspects": 0, "wrong": 2, "both": 0}
    assert UNLABELLED == -1
