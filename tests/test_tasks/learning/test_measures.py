"""Measures against closed forms, slow references and what must hold for any input."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn import metrics

from tasks.learning import measures

Z_95 = 1.959963984540054  # the 97.5 % point of the normal distribution

TALLIES = st.integers(0, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@st.composite
def scored(draw, min_size=1, classes=None):
    """Probabilities and labels; equal confidences occur, and so do one-row and one-class samples."""
    count = draw(st.integers(min_size, 60))
    width = classes or draw(st.integers(2, 5))
    weights = draw(arrays.arrays(np.float64, (count, width), elements=st.sampled_from([0.1, 0.5, 1.0, 3.0])))
    labels = draw(arrays.arrays(np.int64, count, elements=st.integers(0, width - 1)))
    return weights / weights.sum(axis=1, keepdims=True), labels


def random_scores(rng, count=4000, classes=3, sharpness=2.0):
    """Probabilities and labels drawn from them: calibrated by construction."""
    logits = rng.normal(0, sharpness, (count, classes))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (rng.random((count, 1)) > np.cumsum(probabilities, axis=1)).sum(axis=1)
    return probabilities, np.minimum(labels, classes - 1)


@given(TALLIES)
def test_wilson_ends_solve_its_equation(tally):
    k, n = tally
    low, high = measures.wilson(k, n)
    assert 0 <= low <= high <= 1
    if not n:
        assert (low, high) == (0, 1)
        return
    assert low <= k / n <= high
    # The ends are the rates p for which k lies exactly z standard errors of p away.
    for end, reached in ((low, k > 0), (high, k < n)):
        if reached:
            assert abs(k / n - end) == pytest.approx(Z_95 * math.sqrt(end * (1 - end) / n), abs=1e-9)


def test_wilson_covers_the_rate_as_often_as_it_says():
    rng = np.random.default_rng(1)
    ends = np.array([measures.wilson(k, 40) for k in range(41)])[rng.binomial(40, 0.15, 20000)]
    assert 0.94 < np.mean([low < 0.15 < high for low, high in ends]) < 0.97


def test_wilson_refuses_more_successes_than_trials():
    with pytest.raises(ValueError, match="5 of 4"):
        measures.wilson(5, 4)


@given(scored())
def test_counts_agree_with_scikit_learn(sample):
    probabilities, labels = sample
    predicted = probabilities.argmax(axis=1)
    classes = probabilities.shape[1]
    counts = measures.confusion(labels, predicted, classes)
    np.testing.assert_array_equal(counts, metrics.confusion_matrix(labels, predicted, labels=range(classes)))
    assert measures.accuracy(labels, predicted).value == pytest.approx(np.trace(counts) / len(labels))
    assert measures.macro_f1(counts) == pytest.approx(
        metrics.f1_score(labels, predicted, average="macro", zero_division=0)
    )
    for position, score in enumerate(measures.per_class(counts)):
        chosen, real = predicted == position, labels == position
        assert (score.correct, score.labelled, score.predicted) == (
            sum(chosen & real),
            sum(real),
            sum(chosen),
        )
        if score.labelled:
            assert score.recall.low <= score.recall.value == score.correct / score.labelled <= score.recall.high
        else:
            assert math.isnan(score.recall.value)


@given(scored())
def test_likelihood_and_brier_by_hand(sample):
    probabilities, labels = sample
    by_hand = [-math.log(row[label]) for row, label in zip(probabilities, labels, strict=True)]
    assert measures.nll(probabilities, labels) == pytest.approx(sum(by_hand) / len(by_hand))
    squares = [
        sum((p - (position == label)) ** 2 for position, p in enumerate(row))
        for row, label in zip(probabilities, labels, strict=True)
    ]
    assert measures.brier(probabilities, labels) == pytest.approx(sum(squares) / len(squares))


def test_a_certain_but_wrong_float32_row_stays_finite():
    assert math.isfinite(measures.nll(np.array([[1, 0]], np.float32), np.array([1])))


@given(scored())
def test_ece_is_the_bins_weighted_gap(sample):
    probabilities, labels = sample
    bins = measures.reliability(probabilities, labels, bins=4)
    assert sum(part.count for part in bins) == len(labels)
    assert max(part.count for part in bins) - min(part.count for part in bins) <= 1
    gap = sum(part.count * abs(part.confidence - part.accuracy.value) for part in bins) / len(labels)
    assert measures.ece(probabilities, labels, bins=4) == pytest.approx(gap)


def test_a_calibrated_model_shows_the_ece_of_a_perfect_one_and_an_overconfident_one_does_not():
    rng = np.random.default_rng(2)
    inside = 0
    for _ in range(20):
        probabilities, labels = random_scores(rng, count=600)
        perfect = measures.perfect_ece(probabilities, rng)
        inside += perfect.low <= measures.ece(probabilities, labels) <= perfect.high
        boasting = measures.apply_temperature(probabilities, 0.4)
        assert measures.ece(boasting, labels) > measures.perfect_ece(boasting, rng).high
    assert inside >= 16


def test_perfect_ece_shrinks_with_the_sample():
    rng = np.random.default_rng(3)
    small, _ = random_scores(rng, count=300)
    large = np.tile(small, (16, 1))
    ratio = measures.perfect_ece(small, rng).value / measures.perfect_ece(large, rng).value
    assert ratio == pytest.approx(4, rel=0.15)


@pytest.mark.parametrize("true_temperature", [0.5, 1.0, 2.5])
def test_temperature_is_recovered(true_temperature):
    probabilities, labels = random_scores(np.random.default_rng(4), count=20000)
    distorted = measures.apply_temperature(probabilities, 1 / true_temperature)
    assert measures.fit_temperature(distorted, labels) == pytest.approx(true_temperature, rel=0.05)


@settings(max_examples=30)
@given(scored(min_size=5))
def test_fitted_temperature_beats_its_neighbours_and_keeps_the_prediction(sample):
    probabilities, labels = sample
    fitted = measures.fit_temperature(probabilities, labels)
    best = measures.nll(measures.apply_temperature(probabilities, fitted), labels)
    for other in (0.06, 0.5, 1.0, 2.0, 19.0):
        assert best <= measures.nll(measures.apply_temperature(probabilities, other), labels) + 1e-6
    warm = measures.apply_temperature(probabilities, 3.0)
    np.testing.assert_allclose(warm.sum(axis=1), 1)
    order = np.argsort(probabilities, axis=1, kind="stable")
    assert (np.diff(np.take_along_axis(warm, order, axis=1)) >= -1e-12).all()


@given(scored(), st.randoms(use_true_random=False))
def test_coverage_ends_at_the_accuracy_and_ignores_the_order_of_rows(sample, random):
    probabilities, labels = sample
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    share, accuracy = measures.coverage_curve(confidence, correct)
    assert (share[-1], accuracy[-1]) == (1, pytest.approx(correct.mean()))
    for level, value in zip(share, accuracy, strict=True):
        threshold = np.sort(confidence)[::-1][round(level * len(labels)) - 1]
        assert value == pytest.approx(correct[confidence >= threshold].mean())
    shuffled = np.array(random.sample(range(len(labels)), len(labels)))
    again = measures.coverage_curve(confidence[shuffled], correct[shuffled])
    np.testing.assert_allclose(again, (share, accuracy))


@given(scored(classes=2))
def test_auc_is_the_share_of_pairs_in_order(sample):
    probabilities, labels = sample
    scores = probabilities[:, 1]
    pairs = [
        (scores[a] > scores[b]) + 0.5 * (scores[a] == scores[b])
        for a, b in itertools.product(np.flatnonzero(labels == 1), np.flatnonzero(labels == 0))
    ]
    if not pairs:
        assert math.isnan(measures.auc(scores, labels == 1))
        return
    area = measures.auc(scores, labels == 1)
    assert area == pytest.approx(np.mean(pairs))
    assert measures.auc(-scores, labels == 1) == pytest.approx(1 - area)
    false, true = measures.roc_curve(scores, labels == 1)
    assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(true, false) == pytest.approx(area)


@pytest.mark.parametrize(
    ("coverage", "accuracy"),
    [(0.2, 1.0), (0.4, 0.5), (0.6, 2 / 3), (0.8, (2 + 1 * 0.5) / 4), (1.0, 3 / 5), (0.01, 1.0)],
)
def test_accuracy_on_the_most_confident_share(coverage: float, accuracy: float) -> None:
    """Of the two rows at 0.6, which are one right and one wrong, each counts half where one of them is taken."""
    confidence, correct = np.array([0.6, 0.9, 0.7, 0.8, 0.6]), np.array([True, True, True, False, False])
    assert measures.coverage_accuracy(confidence, correct, coverage) == pytest.approx(accuracy)


@given(scored(), st.floats(0.05, 1))
def test_the_share_s_accuracy_lies_on_the_coverage_curve(sample, coverage):
    probabilities, labels = sample
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    shares, accuracies = measures.coverage_curve(confidence, correct)
    count = max(1, round(coverage * len(labels)))
    hits = np.interp(
        count, np.concatenate([[0], shares * len(labels)]), np.concatenate([[0], accuracies * shares * len(labels)])
    )
    assert measures.coverage_accuracy(confidence, correct, coverage) == pytest.approx(hits / count)


def test_bootstrap_of_a_mean_has_the_textbook_width():
    rng = np.random.default_rng(5)
    values = rng.normal(0, 1, 400)
    interval = measures.group_bootstrap(np.arange(400), lambda rows: values[rows].mean(), rng, repeats=3000)
    assert interval.value == pytest.approx(values.mean())
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.08)


def test_repeating_every_row_inside_its_group_changes_nothing():
    values = np.random.default_rng(6).normal(0, 1, 50)
    tripled, groups = np.repeat(values, 3), np.repeat(np.arange(50), 3)
    once = measures.group_bootstrap(np.arange(50), lambda r: values[r].mean(), np.random.default_rng(7))
    thrice = measures.group_bootstrap(groups, lambda r: tripled[r].mean(), np.random.default_rng(7))
    assert thrice == pytest.approx(once)


def test_fewer_than_ten_groups_give_a_value_and_no_interval():
    values = np.arange(40.0)

    def mean(rows):
        return values[rows].mean()

    for count in (1, 2, 9):
        interval = measures.group_bootstrap(np.arange(40) % count, mean, np.random.default_rng(0))
        assert interval.value == values.mean()
        assert math.isnan(interval.low)
        assert math.isnan(interval.high)
    ten = measures.group_bootstrap(np.arange(40) % 10, mean, np.random.default_rng(0))
    assert ten.low < ten.value < ten.high
    nothing = measures.group_bootstrap([], mean, np.random.default_rng(0))
    assert all(math.isnan(value) for value in nothing)


def test_a_resample_without_a_value_is_left_out():
    """A statistic that is NaN whenever the first group is absent."""
    interval = measures.group_bootstrap(
        np.arange(10), lambda rows: 1.0 if (rows == 0).any() else math.nan, np.random.default_rng(0), repeats=50
    )
    assert interval == (1, 1, 1)
    never = measures.group_bootstrap(
        np.arange(10), lambda rows: 1.0 if len(set(rows.tolist())) == 10 else math.nan, np.random.default_rng(0), 20
    )
    assert never.value == 1
    assert math.isnan(never.low)


@pytest.mark.parametrize("level", [0.5, 0.95])
def test_the_ends_are_the_quantiles_of_the_resampled_values(level):
    values, resampled = np.random.default_rng(9).normal(size=30), []

    def mean(rows):
        resampled.append(values[rows].mean())
        return resampled[-1]

    interval = measures.group_bootstrap(np.arange(30), mean, np.random.default_rng(1), repeats=200, level=level)
    assert interval.value == values.mean()
    resampled.remove(values.mean())
    assert len(resampled) == 200
    assert (interval.low, interval.high) == pytest.approx(np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2]))


@given(scored(classes=2))
def test_the_fast_measures_are_the_exact_ones(sample):
    probabilities, labels = sample
    scores, predicted = probabilities[:, 1], probabilities.argmax(axis=1)
    assert measures.rank_auc(scores, labels == 1) == pytest.approx(measures.auc(scores, labels == 1), nan_ok=True)
    np.testing.assert_array_equal(measures.pair_counts(labels, predicted, 3), measures.confusion(labels, predicted, 3))


def test_an_auc_interval_has_the_auc_as_its_value():
    rng = np.random.default_rng(2)
    positive = np.arange(60) % 2 == 0
    scores = rng.normal(size=60) + positive
    interval = measures.auc_interval(scores, positive, np.arange(60), np.random.default_rng(0), 100)
    assert interval.value == measures.auc(scores, positive)
    same = measures.group_bootstrap(
        np.arange(60), lambda rows: measures.auc(scores[rows], positive[rows]), np.random.default_rng(0), 100
    )
    assert (interval.low, interval.high) == pytest.approx((same.low, same.high))


def test_measures_by_hand():
    labels, predicted = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 0, 0])
    counts = measures.confusion(labels, predicted, 4)
    assert counts.tolist() == [[2, 1, 0, 0], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    assert measures.accuracy(labels, predicted).value == 3 / 6
    scores = measures.per_class(counts)
    assert [score.f1 for score in scores[:3]] == [4 / 7, 2 / 4, 0]
    assert math.isnan(scores[3].f1)
    assert (scores[0].precision.value, scores[0].recall.value) == (2 / 4, 2 / 3)
    assert measures.macro_f1(counts) == pytest.approx((4 / 7 + 2 / 4 + 0) / 3)
    assert math.isnan(measures.macro_f1(np.zeros((2, 2), int)))
    false, true = measures.roc_curve(np.array([3.0, 2.0, 2.0, 1.0]), np.array([True, True, False, False]))
    assert (false.tolist(), true.tolist()) == ([0, 0, 0.5, 1], [0, 0.5, 1, 1])
    share, accuracy = measures.coverage_curve(np.array([0.9, 0.5, 0.7, 0.5]), np.array([1, 0, 1, 1]))
    assert (share.tolist(), accuracy.tolist()) == ([0.25, 0.5, 1], [1, 1, 0.75])


def test_measures_of_no_rows_or_one_class():
    none, empty = np.empty((0, 2)), np.empty(0, int)
    assert all(math.isnan(measure(none, empty)) for measure in (measures.nll, measures.brier, measures.ece))
    assert measures.reliability(none, empty) == []
    assert math.isnan(measures.rate(0, 0).value)
    assert measures.rate(0, 0)[1:] == (0, 1)
    for of_class in (np.zeros(3, bool), np.ones(3, bool)):
        assert math.isnan(measures.auc(np.arange(3.0), of_class))
        assert math.isnan(measures.rank_auc(np.arange(3.0), of_class))
    assert [values.tolist() for values in measures.roc_curve(np.arange(2.0), np.zeros(2, bool))] == [
        [0, 0.5, 1],
        [0, 0, 0],
    ]
    assert [values.tolist() for values in measures.roc_curve(np.empty(0), np.empty(0, bool))] == [[0], [0]]
    with pytest.raises(ValueError, match="got none"):
        measures.fit_temperature(none, empty)


def test_a_temperature_stays_within_its_bounds():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2]])
    low, high = measures.TEMPERATURE_RANGE
    assert measures.fit_temperature(probabilities, np.array([0, 0])) == pytest.approx(low, rel=1e-4)
    assert measures.fit_temperature(probabilities, np.array([1, 1])) == pytest.approx(high, rel=1e-2)


def test_paired_difference_is_narrower_than_the_models_apart():
    rng = np.random.default_rng(8)
    hard = rng.random(2000)
    first, second = hard < 0.80, hard < 0.78
    groups = np.arange(2000)
    paired = measures.paired_difference(first, second, groups, rng)
    apart = measures.group_bootstrap(groups, lambda rows: first[rows].mean(), rng)
    assert paired.value == pytest.approx(first.mean() - second.mean())
    assert 0 < paired.low < paired.value < paired.high
    assert paired.high - paired.low < (apart.high - apart.low) / 2
    nothing = measures.paired_difference(first, first, groups, rng)
    assert nothing == (0, 0, 0)


def test_paired_difference_refuses_other_rows():
    with pytest.raises(ValueError, match="3 and 2"):
        measures.paired_difference(np.ones(3), np.ones(2), "abc", np.random.default_rng(0))


def test_kappa_is_the_agreement_beyond_chance() -> None:
    assert measures.cohen_kappa(np.array([[20, 5], [10, 15]])) == pytest.approx(0.4)  # Cohen's worked example
    assert measures.cohen_kappa(np.diag([3, 4, 5])) == 1
    assert measures.cohen_kappa(np.outer([2, 3], [4, 1])) == pytest.approx(0)
    assert math.isnan(measures.cohen_kappa(np.array([[7, 0], [0, 0]])))
    assert math.isnan(measures.cohen_kappa(np.zeros((2, 2), int)))
