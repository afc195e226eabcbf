"""Label shift: probabilities move with the share, and an unlabelled sample tells its share."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from tasks.learning.drift.label_shift import estimate_share, move_share

SHARES = st.floats(0.01, 0.99)


@given(st.floats(0, 1), SHARES, SHARES, SHARES)
def test_moving_a_share_twice_is_moving_it_once(probability: float, first: float, second: float, third: float) -> None:
    given_one = np.array([probability])
    there = move_share(move_share(given_one, first, second), second, third)
    np.testing.assert_allclose(there, move_share(given_one, first, third), atol=1e-9)
    np.testing.assert_allclose(move_share(given_one, first, first), given_one, atol=1e-12)


@given(SHARES, SHARES)
def test_what_tells_nothing_has_the_probability_of_its_share(share: float, other: float) -> None:
    np.testing.assert_allclose(move_share(np.array([share]), share, other), [other], rtol=1e-9)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.8])
def test_the_share_of_an_unlabelled_sample_is_found(share: float) -> None:
    """Scores of two normal classes at +-1: the calibrated logit at equal shares is twice the score."""
    rng = np.random.default_rng(0)
    real = rng.random(20_000) < share
    score = rng.normal(np.where(real, 1.0, -1.0))
    at_half = expit(2 * score)
    assert estimate_share(at_half, 0.5) == pytest.approx(share, abs=0.015)
    assert estimate_share(move_share(at_half, 0.5, 0.1), 0.1) == pytest.approx(share, abs=0.015)


def test_without_samples_the_share_is_the_known_one() -> None:
    assert estimate_share(np.empty(0), 0.2) == 0.2
    with pytest.raises(ValueError, match=r"share=1\.0: the share of positives must be between 0 and 1"):
        estimate_share(np.array([0.5]), 1.0)
