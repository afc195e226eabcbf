"""Baselines of candidates: signs, nights, leads and forests out of fold."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.candidates.baselines import (
    LEAST_OF_A_CLASS,
    SNR,
    forest_baselines,
    is_classifier,
    large_nights,
    lead_of,
    out_of_fold_forests,
    untrained_scores,
    with_better_sign,
)
from tasks.learning import measures
from tasks.learning.split_parts import part_rows
from tasks.runtime.workspace import Workspace
from tests.small_candidates import SCHEME, publish_candidates

REAL = np.arange(40) % 2 == 0


@given(st.lists(st.integers(-5, 5), min_size=40, max_size=40))
def test_the_better_sign_has_an_auc_of_at_least_a_half(values: list[int]) -> None:
    scores = np.array(values, float)
    better = with_better_sign(scores, REAL)
    assert measures.auc(better, REAL) == pytest.approx(max(measures.auc(scores, REAL), 1 - measures.auc(scores, REAL)))
    assert measures.auc(better, REAL) >= 0.5


@pytest.mark.parametrize(
    ("name", "expected"), [("the packet's rb", True), ("rb", True), ("the packet's fwhm", False), (SNR, False)]
)
def test_only_a_packets_own_score_is_a_classifier(name: str, expected: bool) -> None:
    assert is_classifier(name) is expected


def test_a_night_needs_ten_of_each_class() -> None:
    assert LEAST_OF_A_CLASS == 10
    nights = np.array(["a"] * 20 + ["b"] * 19)
    real = np.array([True] * 10 + [False] * 10 + [True] * 9 + [False] * 10)
    assert large_nights(nights, real) == ["a"]


def test_the_lead_is_over_the_best_score_of_the_same_rows() -> None:
    night = np.where(np.arange(40) < 20, "a", "b")
    perfect, constant = REAL.astype(float), np.zeros(40)
    # Perfect in night a alone: over all rows it has an AUC of 0.75, in night b of 0.5.
    half = np.where(night == "a", perfect, 0.5)
    lead = lead_of(perfect, {"constant": constant, "half": half}, REAL, [f"g{row}" for row in range(40)], night)
    assert (lead["name"], lead["auc_of_network"]) == ("half", 1.0)
    assert lead["lead"] == pytest.approx(1 - lead["auc"])
    assert list(lead["nights"]) == ["a", "b"]
    assert (lead["nights"]["a"]["name"], lead["nights"]["a"]["lead"]) == ("half", 0.0)
    assert (lead["nights"]["b"]["auc"], lead["nights"]["b"]["lead"]) == (0.5, 0.5)


def test_a_forest_scores_a_row_only_if_it_has_not_seen_its_fold() -> None:
    """The scalar names each row: a forest that had seen it would recall its random label."""
    rng = np.random.default_rng(0)
    real = rng.permutation(REAL)
    folds = (np.arange(40) % 4).astype(np.int32)
    scores = out_of_fold_forests({"row": np.arange(40.0)[:, None]}, real, folds)["row"]
    assert measures.auc(scores, real) < 0.8
    informative = out_of_fold_forests({"label": real.astype(float)[:, None]}, real, folds)["label"]
    assert measures.auc(informative, real) == 1.0


def test_untrained_scores_come_from_snr_packet_and_stamp(workspace: Workspace) -> None:
    packets = [json.dumps({"rb": 0.9 if flag else 0.1}) for flag in REAL]
    columns = {"snr": [None if row == 0 else 5.0 + row for row in range(40)], "parameters": packets}
    labels = ["real" if flag else "bogus" for flag in REAL]
    dataset = publish_candidates(
        workspace, "made", labels, [str(row) for row in range(40)], ["test"] * 40, columns=columns
    )
    part = part_rows(dataset, SCHEME, "all")
    scores = untrained_scores(dataset, part)
    assert {SNR, "the packet's rb", "the stamp's S/N in the middle", "the stamp's concentration"} <= set(scores)
    assert "the packet's fwhm" not in scores  # no packet has it
    assert measures.auc(scores["the packet's rb"], part.labels == 1) == 1.0
    assert np.isfinite(scores[SNR]).all()
    reverse = untrained_scores(dataset, part.take(np.arange(40)[::-1]))
    for name, values in scores.items():
        np.testing.assert_array_equal(reverse[name][::-1], values)


def test_forests_are_fitted_on_the_training_part(workspace: Workspace) -> None:
    labels = ["real" if flag else "bogus" for flag in REAL]
    parts = ["train"] * 30 + ["test"] * 10
    packets = ["{}"] * 40
    dataset = publish_candidates(
        workspace, "made", labels, [str(row) for row in range(40)], parts, columns={"parameters": packets}
    )
    test = part_rows(dataset, SCHEME, "test")
    scores = forest_baselines(dataset, SCHEME, dataset, test)
    assert {"three numbers of the stamp", "frame border alone"} <= set(scores)
    assert (
        measures.auc(scores["three numbers of the stamp"], test.labels == 1) == 1.0
    )  # a star against an edge of light
