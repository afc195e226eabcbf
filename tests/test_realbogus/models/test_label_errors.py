"""Rates of label errors from a stratified review: bins, samples, counts and intervals."""

import numpy as np
import pytest
from scipy import stats

from realbogus.models.label_errors import BinCount, assign_bins, count_bins, draw_sample, error_rates


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


def test_an_edge_belongs_to_the_higher_bin() -> None:
    logits = np.array([-4.001, -4.0, -3.001, -3.0, 3.999, 4.0])
    assert assign_bins(logits).tolist() == [0, 1, 1, 2, 8, 9]


def test_a_sample_has_up_to_a_number_of_each_label_and_bin() -> None:
    logits = np.concatenate([np.full(30, 0.5), np.full(3, 2.5), np.full(30, 0.5)])
    labels = np.repeat([0, 0, 1], [30, 3, 30])
    sample = draw_sample(logits, labels, 5, np.random.default_rng(0))
    assert sample.dtype == np.int64
    assert (np.diff(sample) > 0).all()
    assert [int(((sample >= first) & (sample < end)).sum()) for first, end in ((0, 30), (30, 33), (33, 63))] == [
        5,
        3,
        5,
    ]
    assert len({tuple(draw_sample(logits, labels, 5, np.random.default_rng(seed))) for seed in range(5)}) == 5


def test_unlabelled_candidates_are_not_reviewed() -> None:
    assert len(draw_sample(np.zeros(4), np.full(4, -1), 5, np.random.default_rng(0))) == 0


def test_verdicts_are_counted_by_label_and_bin_without_the_unsure() -> None:
    logits, labels = np.array([0.5, 0.5, 0.5, 0.5, 0.5, -9.0]), np.array([1, 1, 1, 1, 0, 0])
    counts = count_bins(logits, labels, np.array([0, 1, 2, 4]), ["right", "wrong", "unsure", "wrong"])
    assert counts == [
        BinCount(label=0, bin=0, size=1, reviewed=0, wrong=0),
        BinCount(label=0, bin=5, size=1, reviewed=1, wrong=1),
        BinCount(label=1, bin=5, size=4, reviewed=2, wrong=1),
    ]


def test_the_rate_is_weighted_by_the_size_of_the_strata() -> None:
    counts = [BinCount(1, 3, 100, 10, 5), BinCount(1, 7, 900, 30, 0), BinCount(0, 2, 50, 0, 0)]
    rates = error_rates(counts, np.random.default_rng(0))
    assert rates[1].value == pytest.approx(0.05)
    assert (rates[1].labelled, rates[1].reviewed, rates[1].wrong) == (1000, 40, 5)
    assert rates[0].value == 0.5
    assert (rates[0].low, rates[0].high) == (0, 1), "without verdicts any number may be wrong"
    assert set(error_rates(counts[:2], np.random.default_rng(0))) == {1}


@pytest.mark.parametrize(("reviewed", "wrong"), [(20, 0), (20, 3), (20, 20)])
def test_the_interval_of_one_large_stratum_is_that_of_clopper_and_pearson(reviewed: int, wrong: int) -> None:
    rate = error_rates([BinCount(1, 5, 1_000_000, reviewed, wrong)], np.random.default_rng(0))[1]
    exact = stats.binomtest(wrong, reviewed).proportion_ci(0.95, method="exact")
    assert rate.low == pytest.approx(exact.low, abs=0.006)
    assert rate.high == pytest.approx(exact.high, abs=0.006)


def test_a_fully_reviewed_stratum_has_no_uncertainty() -> None:
    rate = error_rates([BinCount(0, 5, 10, 10, 3)], np.random.default_rng(0))[0]
    assert (rate.low, rate.value, rate.high) == (0.3, 0.3, 0.3)
