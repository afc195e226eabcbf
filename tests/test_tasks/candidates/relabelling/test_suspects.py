"""Suspects of candidates: which rule doubts which label, injections that stay, and a fit that is watched once."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from realbogus.records import RANDOM_INJECTION
from tasks.candidates.relabelling.suspects import (
    HIDDEN_LOG_ODDS,
    brightness_strata,
    class_probabilities,
    doubts,
    never_suspect_injections,
    score_labels,
    suggest,
    sure_reals,
)
from tasks.candidates.training import CandidateTrainRequest, open_candidate_training
from tasks.learning.labels.dynamics import INDICATOR_SHARE
from tasks.runtime.cluster import InProcess
from tasks.runtime.workspace import Workspace
from tests.small_candidates import publish_candidates

COUNT = 96


def survey(workspace: Workspace) -> Any:
    """Even rows are real, every fourth is an injection, and rows 2, 10, 18, ... are hidden among the bogus."""
    labels = ["real" if row % 2 == 0 and row % 8 != 2 else "bogus" for row in range(COUNT)]
    parts = [{0: "validation", 1: "test"}.get(row // 4 % 8, "train") for row in range(COUNT)]
    kinds = [RANDOM_INJECTION if row % 4 == 0 else "detection" for row in range(COUNT)]
    real = [row % 2 == 0 for row in range(COUNT)]
    cells = [f"cell {row // 4:03d}" for row in range(COUNT)]
    publish_candidates(workspace, "made", labels, cells, parts, real=real, columns={"kind": kinds})
    request = CandidateTrainRequest(dataset="made", network="first", epochs=2, batch_size=16)
    return open_candidate_training(workspace, request)


def table(logits: Iterable[float], **columns: Iterable[float]) -> pa.Table:
    values = list(logits)
    return pa.table({"id": [f"c{row}" for row in range(len(values))], "logit": values, **columns})


def test_the_probabilities_of_a_logit_are_complements() -> None:
    np.testing.assert_allclose(class_probabilities(np.array([0.0, np.log(3)])), [[0.5, 0.5], [0.25, 0.75]])


def test_each_rule_reads_its_own_columns() -> None:
    labels = np.array([0, 0, 1, 1])
    folds = table([2.0, -2.0, 2.0, -2.0], forest=[0.2, 0.9, 0.9, 0.2], limit=[0.0, 3.0, -5.0, -1.0])
    assert suggest(folds, labels, "threshold").tolist() == [1, 0, 1, 0]
    assert suggest(folds, labels, "two-views").tolist() == [0, 0, 1, 0], "the forest objects to the last one too"
    assert suggest(folds, labels, "dynamics").tolist() == [1, 1, 1, 0]


def test_a_doubt_is_the_log_odds_of_the_other_class() -> None:
    labels = np.array([0, 1])
    scores = table([2.0, 2.0], forest=[0.75, 0.25])
    np.testing.assert_allclose(doubts(scores, labels, "threshold"), [2.0, -2.0])
    np.testing.assert_allclose(doubts(scores, labels, "dynamics"), [2.0, -2.0])
    np.testing.assert_allclose(doubts(scores, labels, "two-views"), [2 + np.log(3), -(2 - np.log(3))])


def test_hidden_reals_are_the_highest_of_both_views_and_no_faults() -> None:
    labels = np.array([1] * 40 + [0] * 80)
    logits = [3.0] * 80 + [-3.0] * 40
    forest = [0.9] * 40 + [0.9] * 20 + [0.2] * 60
    suggested = suggest(table(logits, forest=forest), labels, "hidden-reals")
    assert suggested.tolist() == [1] * 60 + [0] * 60, "a quarter of the bogus have the scores of the reals"
    fault = [False] * 40 + [True] * 5 + [False] * 75
    of_faults = table(logits, forest=forest, fault=fault, hidden=[False] * 120)
    suggested = suggest(of_faults, labels, "hidden-reals")
    assert suggested.tolist() == [1] * 40 + [0] * 5 + [1] * 15 + [0] * 60, "faults are bogus, and not of the share"


@pytest.mark.parametrize("rule", ["threshold", "misclassified", "two-views", "dynamics"])
def test_recurrence_clears_bogus_labels_of_faults_and_raises_the_odds_of_what_may_be_hidden(rule: Any) -> None:
    labels = np.array([0, 0, 0, 1])
    columns = {"forest": [0.9] * 4, "limit": [0.5] * 4}
    logits = [3.0, -1.0, -1.0, 3.0]
    plain = table(logits, **columns)
    assert suggest(plain, labels, rule).tolist() == [1, 0, 0, 1]
    told = table(logits, fault=[True, False, False, True], hidden=[False, True, False, False], **columns)
    assert suggest(told, labels, rule).tolist()[:2] == [0, 1], "a fault is bogus, and the second may be hidden"
    assert suggest(told, labels, rule).tolist()[3] == 1, "a real label is no business of a fault"
    doubted, before = doubts(told, labels, rule), doubts(plain, labels, rule)
    np.testing.assert_allclose(doubted - before, [doubted[0] - before[0], HIDDEN_LOG_ODDS, 0, 0], atol=1e-9)
    assert doubted[0] < doubted[1:].min()


def test_an_injection_whose_place_is_detected_without_it_is_no_sure_real(workspace: Workspace) -> None:
    kinds, before = [RANDOM_INJECTION, RANDOM_INJECTION, "detection"], [True, False, None]
    made = publish_candidates(
        workspace,
        "twins",
        ["real", "real", "bogus"],
        list("abc"),
        ["train"] * 3,
        columns={"kind": kinds, "detected_before": before},
    )
    ids = ["c0002", "c0001", "c0000"]
    assert sure_reals(made, ids).tolist() == [False, True, False]
    labels, suggested = np.array([0, 1, 1]), np.array([1, 0, 0])
    assert never_suspect_injections(suggested, labels, made, ids).tolist() == [1, 1, 0]


def test_injections_keep_their_label(workspace: Workspace) -> None:
    training = survey(workspace)
    ids = [f"c{row:04d}" for row in (4, 5, 6, 8)]
    suggested, labels = np.array([0, 1, 0, 1]), np.array([1, 0, 1, 1])
    assert never_suspect_injections(suggested, labels, training.dataset, ids).tolist() == [1, 1, 0, 1]


def test_strata_are_quartiles_of_the_signal_to_noise_near_galaxies_and_far() -> None:
    samples = pa.table(
        {"id": list("abcd"), "snr": [5.0, 9.0, 20.0, 7.0], "galaxy_separation_re": [1.0, 2.5, None, 2.0]}
    )
    assert brightness_strata(samples, list("dcba")).tolist() == [
        "bin 2 of 4, near",
        "bin 4 of 4, far",
        "bin 3 of 4, far",
        "bin 1 of 4, near",
    ]


def never(*_: Any, **__: Any) -> None:
    raise AssertionError("a finished fit is repeated")


@pytest.mark.parametrize("suspect_injections", [True, False])
def test_dynamics_watch_one_fit_and_keep_its_outputs(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, suspect_injections: bool
) -> None:
    training = survey(workspace)
    part = training.part("train")

    def scored() -> pa.Table:
        return score_labels(training, part, "dynamics", 2, tmp_path, InProcess(), suspect_injections=suspect_injections)

    scores = scored()
    assert scores["id"].to_pylist() == sorted(part.ids)
    label_of = dict(zip(part.ids, part.labels.tolist(), strict=True))
    labels = np.array([label_of[name] for name in scores["id"].to_pylist()])
    limits = scores["limit"].to_numpy()
    mislabelled = [max(1, round(INDICATOR_SHARE * (labels == label).sum())) for label in (0, 1)]
    if suspect_injections:
        assert np.isneginf(limits).sum() == sum(mislabelled), "the mislabelled alone are beyond suspicion"
    else:
        assert np.isneginf(limits[labels == 1]).all(), "no bogus was called real, so no real is doubted"
    monkeypatch.setattr("tasks.training.dynamics.fit_parts", never)
    assert scored().equals(scores)


def test_two_views_score_every_candidate_by_a_forest_of_the_other_folds(workspace: Workspace, tmp_path: Path) -> None:
    training = survey(workspace)
    part = training.part("train")
    scores = score_labels(training, part, "two-views", 2, tmp_path, InProcess())
    plain = score_labels(training, part, "threshold", 2, tmp_path, InProcess())
    assert scores.drop_columns(["forest"]).equals(plain), "the folds are shared"
    told = score_labels(training, part, "two-views", 2, tmp_path, InProcess(), recurrence=True)
    assert told.column_names == [*scores.column_names, "fault", "hidden"]
    forest = scores["forest"].to_numpy()
    assert ((forest >= 0) & (forest <= 1)).all()
    assert len(np.unique(forest)) > 1
