"""Label errors added on purpose: their number, and where score-matched ones are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from realbogus.models.label_noise import MOST_OF_BIN, add_noise, apportion, hide_reals


@given(share=st.floats(0, 0.4), kind=st.sampled_from(["uniform", "score-matched"]), seed=st.integers(0, 5))
def test_noise_flips_the_share_that_is_asked_for(share: float, kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(-1, 2, 400)
    logits = np.where(labels == 1, 2.0, -2.0) + rng.normal(0, 2, 400)
    noisy = add_noise(labels, kind, share, np.random.default_rng(seed), logits)  # type: ignore[arg-type]
    flipped = noisy.labels != labels
    assert (flipped == noisy.flipped).all()
    assert not flipped[labels == -1].any()
    requested = round(share * (labels != -1).sum())
    assert flipped.sum() == requested if kind == "uniform" else flipped.sum() <= requested
    assert noisy.reached == pytest.approx(flipped.sum() / (labels != -1).sum())
    if kind == "score-matched":
        assert ((logits[flipped] >= 0) == (labels[flipped] == 1)).all(), "a new error looks like an old one"


def test_no_noise_flips_nothing() -> None:
    labels = np.array([0, 1, -1])
    for kind, share in (("none", 1.0), ("uniform", 0.0), ("uniform", 0.2)):
        noisy = add_noise(labels, kind, share, np.random.default_rng(0))  # type: ignore[arg-type]
        assert noisy.labels.tolist() == [0, 1, -1]
        assert noisy.labels.dtype == np.int32
        assert not noisy.flipped.any()
        assert noisy.reached == 0


def test_all_labels_can_be_flipped_and_unlabelled_ones_stay() -> None:
    noisy = add_noise(np.array([0, 1, -1, 1]), "uniform", 1.0, np.random.default_rng(0))
    assert noisy.labels.tolist() == [1, 0, -1, 0]
    assert noisy.flipped.tolist() == [True, True, False, True]
    assert noisy.reached == 1
    assert add_noise(np.array([-1]), "uniform", 1.0, np.random.default_rng(0)).reached == 0


def test_matched_noise_needs_scores() -> None:
    with pytest.raises(ValueError, match="needs scores"):
        add_noise(np.array([0, 1]), "score-matched", 0.5, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("weights", "capacity", "total", "expected"),
    [
        ([1, 1, 2], [9, 9, 9], 8, [2, 2, 4]),
        ([1, 1, 2], [9, 9, 3], 8, [3, 2, 3]),
        ([0, 1], [5, 5], 4, [0, 4]),
        ([1, 1], [2, 2], 9, [2, 2]),
        ([1, 1], [0, 7], 5, [0, 5]),
        ([1, 1, 1], [9, 9, 9], 4, [2, 1, 1]),
        ([3, 1], [9, 9], 1, [1, 0]),
        ([1, 2], [9, 9], 0, [0, 0]),
        ([0, 0], [9, 9], 5, [0, 0]),
    ],
)
def test_numbers_are_apportioned_within_capacity(
    weights: list[int], capacity: list[int], total: int, expected: list[int]
) -> None:
    assert apportion(np.array(weights, float), np.array(capacity), total).tolist() == expected


def test_new_errors_are_in_the_bins_of_the_old_ones_in_proportion_to_their_weight() -> None:
    """Errors at logit 0.5 and 3.5: labels of the same bins are flipped, by the probability of the other class."""
    logits = np.concatenate([np.full(400, 0.5), np.full(400, 3.5), np.full(200, -2.5)])
    labels = (logits > 0).astype(int)
    labels[:10], labels[400:410] = 0, 0
    noisy = add_noise(labels, "score-matched", 0.1, np.random.default_rng(0), logits)
    flipped = noisy.flipped
    assert flipped.sum() == 100
    assert not flipped[labels != (logits > 0)].any(), "labels that disagree already are not flipped"
    assert not flipped[800:].any(), "a bin without errors gets none"
    first, second = expit(0.5), expit(3.5)
    assert flipped[:400].sum() == round(100 * first / (first + second))


def test_scores_beyond_eight_share_the_outermost_bins() -> None:
    logits = np.array([8.5, 30.0, 12.0, -8.5, -40.0, -9.0])
    labels = np.array([1, 0, 1, 0, 1, 0])
    noisy = add_noise(labels, "score-matched", 4 / 6, np.random.default_rng(0), logits)
    assert noisy.flipped.tolist() == [True, False, True, True, False, True]


@given(share=st.floats(0, 0.9), seed=st.integers(0, 5))
def test_at_most_the_bound_of_a_bin_is_flipped_and_the_largest_rate_is_reported(share: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(-1, 2, 400)
    logits = np.where(labels == 1, 2.0, -2.0) + rng.normal(0, 2, 400)
    rates = {}
    for kind in ("score-matched", "score-matched-bounded"):
        noisy = add_noise(labels, kind, share, np.random.default_rng(seed), logits)  # type: ignore[arg-type]
        of_bins = [
            noisy.flipped[(np.clip(np.floor(logits), -8, 7) == number) & (labels != -1)]
            for number in np.unique(np.clip(np.floor(logits[labels != -1]), -8, 7))
        ]
        rates[kind] = noisy.largest_bin_rate
        if noisy.flipped.any():
            assert noisy.largest_bin_rate == max(flipped.mean() for flipped in of_bins)
    if noisy.flipped.any():
        assert rates["score-matched-bounded"] <= MOST_OF_BIN
        assert rates["score-matched-bounded"] <= rates["score-matched"]


def test_uniform_noise_has_no_bins() -> None:
    assert np.isnan(add_noise(np.array([0, 1] * 9), "uniform", 0.5, np.random.default_rng(0)).largest_bin_rate)


@given(shares=st.lists(st.floats(0, 0.5), min_size=2, max_size=2).map(sorted), seed=st.integers(0, 5))
def test_hidden_reals_are_a_fraction_of_the_bogus_and_nothing_else_changes(shares: list[float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, is_hidden = rng.integers(-1, 2, 400), rng.random(400) < 0.6
    few, many = (hide_reals(labels, is_hidden, share, np.random.default_rng(seed)) for share in shares)
    bogus = ((labels == 0) & ~is_hidden).sum()
    for noisy, share in ((few, shares[0]), (many, shares[1])):
        hidden = noisy.kept & is_hidden & (labels != -1)
        assert hidden.sum() == round(share / (1 - share) * bogus)
        assert noisy.reached == pytest.approx(hidden.sum() / (noisy.kept & (noisy.labels == 0)).sum())
        assert noisy.reached == pytest.approx(share, abs=1 / bogus)
        assert (noisy.labels[hidden] == 0).all()
        others = ~(is_hidden & (labels != -1))
        assert noisy.kept[others].all()
        assert (noisy.labels[others] == labels[others]).all()
    assert not (few.kept & ~many.kept).any(), "a larger fraction holds the smaller"


def test_too_few_hidden_reals_are_refused_with_both_numbers() -> None:
    labels = np.array([0] * 9 + [1])
    with pytest.raises(ValueError, match="takes 8 hidden reals, and there are 1: build the dataset with more scene"):
        hide_reals(labels, np.arange(10) == 0, 0.5, np.random.default_rng(0))
