"""Relabelling of candidates: what a removed one can take part in, strata, probabilities, true classes."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from tasks.candidates.relabelling.relabel import (
    CandidateRelabelRequest,
    CandidateRelabelTask,
    suspect_strata,
    true_labels,
)
from tasks.learning.labels.suspects import SuspectError
from tasks.learning.split_parts import UNLABELLED
from tasks.runtime.workspace import Workspace
from tests.small_candidates import publish_candidates


def request(**changes: Any) -> CandidateRelabelRequest:
    plain = {"rule": "threshold", "handling": "unlabel", "suspect_injections": True}
    return CandidateRelabelRequest(**{"dataset": "made", "network": "first", "epochs": 1, **plain, **changes})


def test_a_removed_candidate_can_take_part_in_no_loss() -> None:
    request(handling="remove", loss_lds=0.0)
    request(handling="unlabel", loss_lds=1.0)
    with pytest.raises(ValidationError, match=r"handling=remove with loss_lds=1.0: a removed candidate"):
        request(handling="remove", loss_lds=1.0)


def test_unlabelled_suspects_are_trained_on_by_the_smoothness_and_removed_ones_by_nothing(workspace: Workspace) -> None:
    publish_candidates(workspace, "made", ["bogus", "real"], ["a", "b"], ["train", "train"])
    weights = {
        (handling, loss_lds): relabel.open(**relabel.second_changes).preset.losses.lds
        for handling, loss_lds in (
            ("unlabel", None),
            ("unlabel", 0.3),
            ("unlabel", 0.0),
            ("remove", None),
            ("flip", None),
        )
        for relabel in [task(workspace, handling=handling, loss_lds=loss_lds)]
    }
    assert list(weights.values()) == [1.0, 0.3, 0.0, 0.0, 0.0]


def test_folds_are_fitted_by_cross_entropy_alone_with_the_other_methods(workspace: Workspace) -> None:
    publish_candidates(workspace, "made", ["bogus", "real"], ["a", "b"], ["train", "train"])
    relabel = task(workspace, loss_ech=0.1, loss_lds=1.0, methods={"partial_auc": 0.5, "noise": 0.25})
    preset = relabel.open(**relabel.fold_changes).preset
    assert (preset.losses.ce, preset.losses.ech, preset.losses.lds, preset.losses.partial_auc) == (1, 0, 0, 0)
    assert preset.augmentation.noise == 0.25
    assert relabel.open().preset.losses.partial_auc == 0.5


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


def test_true_classes_are_in_the_order_of_the_ids_and_unknown_where_the_truth_is_unclear() -> None:
    truth = pa.table({"id": ["b", "a", "c", "d"], "truth": ["bogus", "real", "blend", None]})
    assert true_labels(truth, ["a", "b", "c", "d", "e"]).tolist() == [1, 0, UNLABELLED, UNLABELLED, UNLABELLED]
    assert true_labels(None, ["a", "b"]).tolist() == [UNLABELLED, UNLABELLED]


COUNT = 80


def contradicted(wrong: int) -> pa.Table:
    """Scores that are sure of all labels but of the first `wrong`, which they are sure against."""
    labels = np.arange(COUNT) % 2
    logits = np.where((labels == 1) ^ (np.arange(COUNT) < wrong), 3.0, -3.0)
    ids = [f"c{row:04d}" for row in range(COUNT)]
    return pa.table({"id": ids, "logit": logits, "label": pa.array(labels, pa.int32())})


def task(workspace: Workspace, **changes: Any) -> CandidateRelabelTask:
    return CandidateRelabelTask(workspace, request(**changes))


def test_labels_of_which_a_third_may_be_wrong_are_refused_with_the_figures(workspace: Workspace) -> None:
    """The scores contradict 10, 25 and 35 % of the labels, and the interval of 25 % reaches a third."""
    cells = [f"cell {row:03d}" for row in range(COUNT)]
    publish_candidates(workspace, "made", ["bogus", "real"] * (COUNT // 2), cells, ["train"] * COUNT)
    relabel = task(workspace)
    training = relabel.open()
    relabel.check_scores(training, contradicted(8))
    for wrong, share in ((20, "25.0%"), (28, "35.0%")):
        with pytest.raises(
            SuspectError, match=rf"estimated {share} of 80 labels are wrong \(.* to .*rule=threshold with"
        ):
            relabel.check_scores(training, contradicted(wrong))
    for changes in ({"handling": "keep"}, {"most_wrong": 0.6}):
        task(workspace, **changes).check_scores(training, contradicted(28))
