"""Calibration: what is fitted is what made the labels, priors follow Bayes, and counts agree with probabilities."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import binomtest

from tasks.learning.calibration import LIMITS_LEVEL, Calibration, count_by_probability


def gaussian_scores(count: int, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores of two Gaussians at +1.5 and -1.5, and who is positive: the log likelihood ratio is 3 times the score."""
    rng = np.random.default_rng(seed)
    positive = rng.random(count) < share
    return rng.normal(np.where(positive, 1.5, -1.5), 1.0), positive


@pytest.mark.parametrize("weight", [1.0, 9.0])
def test_a_network_that_is_too_sure_and_weighs_its_classes_is_calibrated(weight: float) -> None:
    """Its logit is twice too large, and its prior `weight` times the odds of the rows: 1 / T = 1 / 2, b = -ln(weight).

    Errors of the fit scale with 1 / sqrt(n); those here are some 2 % of 40,000 rows.
    """
    score, positive = gaussian_scores(40_000, 0.1, 1)
    logit = 2 * (3 * score + math.log(0.1 / 0.9 * weight))
    found = Calibration.fit(logit, positive, 0.1)
    assert found.temperature == pytest.approx(2, rel=0.1)
    assert found.offset == pytest.approx(-math.log(weight), abs=0.2)


def test_rows_of_another_share_than_the_stated_one_give_the_same_probabilities_of_a_night() -> None:
    score, positive = gaussian_scores(40_000, 0.3, 2)
    logit = 3 * score
    stated = [Calibration.fit(logit, positive, share).probability(logit[:50], 1e-3) for share in (0.1, 0.3, 0.5)]
    np.testing.assert_allclose(stated[0], stated[1], rtol=1e-6)
    np.testing.assert_allclose(stated[0], stated[2], rtol=1e-6)
    true = expit(logit[:50] + math.log(1e-3 / (1 - 1e-3)))
    np.testing.assert_allclose(stated[0], true, rtol=0.5)


def test_separated_classes_have_a_finite_calibration() -> None:
    found = Calibration.fit(np.array([-5.0, -4.0, 4.0, 5.0]), np.array([False, False, True, True]), 0.5)
    assert found.temperature >= 0.05 - 1e-9
    assert abs(found.offset) <= 20
    assert np.isfinite(found.probability(np.array([0.0, 30.0, -30.0]), 1e-3)).all()


@given(st.floats(-6, 6), st.floats(0.01, 0.99), st.floats(0.0001, 0.99), st.floats(0.2, 5), st.floats(-2, 2))
def test_another_prior_is_bayes_rule(
    logit: float, share: float, night: float, temperature: float, offset: float
) -> None:
    calibration = Calibration(temperature, offset, share)
    at_mix = calibration.probability(np.array([logit]))[0]
    assert at_mix == pytest.approx(expit(logit / temperature + offset))
    likelihood_ratio = at_mix / (1 - at_mix) * (1 - share) / share
    odds = likelihood_ratio * night / (1 - night)
    probability = calibration.probability(np.array([logit]), night)[0]
    assert probability == pytest.approx(odds / (1 + odds), rel=1e-6)
    if 1e-6 < probability < 1 - 1e-6:
        assert calibration.logit_of(probability, night) == pytest.approx(logit, abs=1e-5)


def test_a_card_keeps_a_calibration_and_one_without_an_offset_has_none() -> None:
    calibration = Calibration(2.0, -0.7, 0.25)
    assert Calibration.of_card(calibration.to_card()) == calibration
    assert Calibration.of_card({"temperature": None, "training_real_share": 0.3}) == Calibration(1.0, 0.0, 0.3)


def test_rows_are_counted_in_the_bin_of_their_probability() -> None:
    probability = np.array([0.0, 0.05, 0.1, 0.5, 0.9, 1.0])
    bins = count_by_probability(probability, probability > 0.3, (0.0, 0.1, 0.9, 1.0))
    assert [(one.low, one.high, one.count, one.counted) for one in bins] == [
        (0.0, 0.1, 2, 0),
        (0.1, 0.9, 2, 1),
        (0.9, 1.0, 2, 2),
    ]
    assert [one.expected for one in bins] == pytest.approx([0.05, 0.6, 1.9])
    assert [one.low for one in count_by_probability(np.array([0.95]), np.array([True]))] == [0.95]


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.01), (0.1, 0.2), (0.6, 0.95), (0.95, 1.0)])
def test_the_limits_hold_the_count_as_often_as_they_say(low: float, high: float) -> None:
    """Counts are whole, so limits hold at least 95 % of the draws."""
    rng = np.random.default_rng(3)
    probability = rng.uniform(low, high, 400)
    held = sum(
        count_by_probability(probability, rng.random(400) < probability, (0.0, 1.0))[0].agrees for _ in range(400)
    )
    assert binomtest(held, 400, LIMITS_LEVEL, alternative="less").pvalue > 0.001
