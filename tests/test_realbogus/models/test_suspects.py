"""Suspect labels, added errors, and the survey of errors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realbogus.models.label_errors import assign_bins, count_bins, draw_sample, error_rates
from realbogus.models.label_noise import add_noise
from realbogus.models.suspects import (
    SuspectError,
    check_suspect_shares,
    find_suspects,
    handle_suspects,
    recall_at_precision,
    score_suspects,
)


def test_rules_pick_what_the_scores_contradict() -> None:
    logits, labels = np.array([3.0, -3.0, 0.5, -0.5, 4.0]), np.array([1, 1, 0, 0, -1])
    assert find_suspects(logits, labels, "misclassified").tolist() == [False, True, True, False, False]
    assert find_suspects(logits, labels, "threshold", 0.7).tolist() == [False, True, False, False, False]
    assert handle_suspects(labels, find_suspects(logits, labels, "misclassified"), "flip").tolist() == [1, 0, 1, 0, -1]
    assert handle_suspects(labels, find_suspects(logits, labels, "misclassified"), "unlabel").tolist() == [
        1,
        -1,
        -1,
        0,
        -1,
    ]
    found = score_suspects(
        np.array([True, True, False, False, True]), np.array([1, 1, 0, 0, -1]), np.array([1, 0, 1, -1, 1])
    )
    assert (found.precision, found.recall, found.suspects, found.wrong) == (0.5, 0.5, 2, 2)


@given(
    rows=st.lists(st.tuples(st.integers(-3, 3), st.integers(-1, 1), st.integers(-1, 1)), min_size=1, max_size=30),
    precision=st.floats(0.05, 1),
)
def test_recall_at_a_precision_is_the_best_of_all_thresholds(
    rows: list[tuple[int, int, int]], precision: float
) -> None:
    logits, labels, truth = (np.array(column) for column in zip(*rows, strict=True))
    doubt = np.where(labels == 1, -logits, logits)
    best = [
        found.recall
        for threshold in np.unique(doubt)
        if (found := score_suspects(doubt >= threshold, labels, truth)).both >= precision * found.suspects
    ]
    answer = recall_at_precision(logits, labels, truth, precision)
    assert answer == pytest.approx(max(best, default=0), nan_ok=True) or np.isnan(answer)
    assert np.isnan(answer) == (not score_suspects(doubt > 99, labels, truth).wrong)


def test_confident_learning_against_its_definition() -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(0, 2, 300), rng.integers(0, 2, 300)
    real = 1 / (1 + np.exp(-logits))
    usual = [(1 - real)[labels == 0].mean(), real[labels == 1].mean()]
    wanted = []
    for chance, label in zip(real, labels, strict=True):
        likely = {at: p for at, p in ((0, 1 - chance), (1, chance)) if p >= usual[at]}
        wanted.append(bool(likely) and max(likely, key=lambda at: likely[at]) != label)
    assert find_suspects(logits, labels, "confident").tolist() == wanted


def test_a_rule_that_takes_a_class_or_a_stratum_is_stopped() -> None:
    labels = np.repeat([0, 1], 100)
    with pytest.raises(SuspectError, match="all 100 real labels are suspect"):
        check_suspect_shares(labels == 1, labels, {})
    faint = np.where(np.arange(200) % 2, "faint", "bright")
    with pytest.raises(SuspectError, match="100 labels with magnitude faint are suspect"):
        check_suspect_shares((np.arange(200) < 60) & (faint == "faint"), labels, {"magnitude": faint})


@given(share=st.floats(0, 0.4), kind=st.sampled_from(["uniform", "score-matched"]), seed=st.integers(0, 5))
def test_noise_flips_the_share_that_is_asked_for(share: float, kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(-1, 2, 400)
    logits = np.where(labels == 1, 2.0, -2.0) + rng.normal(0, 2, 400)
    noisy = add_noise(labels, kind, share, np.random.default_rng(seed), logits)  # type: ignore[arg-type]
    flipped = noisy.labels != labels
    assert (flipped == noisy.flipped).all()
    assert not flipped[labels == -1].any()
    wanted = round(share * (labels != -1).sum())
    assert flipped.sum() == wanted if kind == "uniform" else flipped.sum() <= wanted
    assert noisy.reached == pytest.approx(flipped.sum() / (labels != -1).sum())
    if kind == "score-matched":
        assert ((logits[flipped] >= 0) == (labels[flipped] == 1)).all(), "a new error looks like an old one"


def test_the_survey_of_errors_covers_the_truth() -> None:
    covered = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        truth = rng.integers(0, 2, 6000)
        labels = np.where(rng.random(6000) < 0.01, 1 - truth, truth)
        logits = np.where(truth == 1, 3.0, -3.0) + rng.normal(0, 2, 6000)
        sample = draw_sample(logits, labels, 40, rng)
        verdicts = np.where(labels[sample] == truth[sample], "right", "wrong").tolist()
        rates = error_rates(count_bins(logits, labels, sample, verdicts), rng)
        inside = [rates[at].low <= (truth[labels == at] != at).mean() <= rates[at].high for at in (0, 1)]
        covered += all(inside)
    assert covered >= 17
    assert assign_bins(np.array([-9.0, -4.0, 0.0, 9.0])).tolist() == [0, 1, 5, 9]
