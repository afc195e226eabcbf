"""The partial AUC loss: which bogus it compares with the reals, and with which weight."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from realbogus.models.losses import (
    PARTIAL_AUC_END,
    PARTIAL_AUC_MARGIN,
    CandidateTrainer,
    LossSettings,
    partial_auc_loss,
)

WINDOWS = st.tuples(st.integers(0, 9), st.integers(1, 10)).filter(lambda ends: ends[0] < ends[1])


def loss_of(reals: np.ndarray, bogus: np.ndarray, first: float, last: float, margin: float = 1.0) -> float:
    """The loss of scores in a mixed order, with an unlabelled candidate of a high score among them."""
    scores = np.concatenate([reals, bogus, [50.0]])
    targets = np.concatenate([np.tile([0.0, 1.0], (len(reals), 1)), np.tile([1.0, 0.0], (len(bogus), 1)), [[0.0, 0.0]]])
    order = np.random.default_rng(len(scores)).permutation(len(scores))
    logits = np.stack([np.zeros_like(scores), scores], axis=1)[order]
    return float(partial_auc_loss(tf.constant(logits), tf.constant(targets[order]), margin, first, last))


def slow_loss(reals: np.ndarray, bogus: np.ndarray, first: float, last: float, margin: float = 1.0) -> float:
    """The mean over pairs, every bogus replaced by 1,000 equal ones of which those in the window count."""
    many = np.repeat(np.sort(bogus)[::-1], 1000)
    window = many[round(first * len(many)) : round(last * len(many))]
    return float(np.mean(np.maximum(margin - (reals[:, None] - window[None, :]), 0) ** 2))


@settings(max_examples=40)
@given(seed=st.integers(0, 999), reals=st.integers(1, 5), bogus=st.integers(1, 40), window=WINDOWS)
def test_the_loss_is_the_mean_over_reals_and_the_window_of_ranks(
    seed: int, reals: int, bogus: int, window: tuple[int, int]
) -> None:
    """Also where the window begins and ends within a rank."""
    rng = np.random.default_rng(seed)
    first, last = (end / 10 for end in window)
    scores = rng.normal(0, 1, reals), rng.normal(0, 1, bogus)
    assert loss_of(*scores, first, last) == pytest.approx(slow_loss(*scores, first, last), rel=1e-9, abs=1e-12)


def test_what_is_ranked_right_by_the_margin_costs_nothing() -> None:
    bogus = np.linspace(-3, 0, 40)
    assert loss_of(np.array([1.0, 1.5]), bogus, 0.0, 1.0) == 0
    assert loss_of(np.array([0.9, 1.5]), bogus, 0.0, 1.0) > 0


@settings(max_examples=10)
@given(seed=st.integers(0, 999))
def test_what_is_outside_of_the_window_changes_nothing(seed: int) -> None:
    """The bogus above stay above and those below stay below, wherever they are."""
    rng = np.random.default_rng(seed)
    reals, inside = rng.normal(0, 1, 4), rng.uniform(-1, 1, 8)
    losses = [
        loss_of(reals, np.concatenate([rng.uniform(1, 9, 2), inside, rng.uniform(-9, -1, 30)]), 2 / 40, 10 / 40)
        for _ in range(3)
    ]
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-9)
    assert losses[0] == pytest.approx(loss_of(reals, inside, 0.0, 1.0), rel=1e-9)


def test_a_trimmed_bogus_and_one_below_the_window_have_no_gradient() -> None:
    """Of 40 bogus the first two are trimmed, eight count; reals have one, unlabelled candidates none."""
    scores = np.concatenate([np.linspace(3, -3, 40), [0.0, 1.0], [2.0]])
    targets = np.array([[1.0, 0.0]] * 40 + [[0.0, 1.0]] * 2 + [[0.0, 0.0]])
    logits = tf.Variable(np.stack([np.zeros_like(scores), scores], axis=1))
    with tf.GradientTape() as tape:
        loss = partial_auc_loss(logits, tf.constant(targets), 1.0, 2 / 40, 10 / 40)
    of_score = np.asarray(tape.gradient(loss, logits))[:, 1]
    assert np.flatnonzero(of_score).tolist() == [*range(2, 10), 40, 41]
    assert (of_score[2:10] > 0).all()
    assert (of_score[40:42] < 0).all()


def test_without_a_pair_the_loss_is_zero() -> None:
    assert loss_of(np.array([0.0]), np.zeros(0), 0.0, 1.0) == 0
    assert loss_of(np.zeros(0), np.array([0.0, 1.0]), 0.0, 1.0) == 0


def test_equal_scores_are_each_counted_once() -> None:
    assert loss_of(np.array([0.0]), np.zeros(10), 0.2, 0.7) == pytest.approx(1.0)


def test_the_trainer_adds_it_with_its_weight_and_trim() -> None:
    network = keras.Sequential([keras.Input((3, 3, 1)), keras.layers.Flatten(), keras.layers.Dense(2)])
    rng = np.random.default_rng(1)
    views = tf.constant(rng.normal(size=(60, 3, 3, 1)), tf.float32)
    targets = tf.constant(np.eye(2)[(np.arange(60) < 10).astype(int)], tf.float32)
    plain, weighted = (
        CandidateTrainer(network, LossSettings(partial_auc=weight, partial_auc_trim=0.02), None, seed=0)
        for weight in (0.0, 0.7)
    )
    losses = {name: float(value) for name, value in weighted.test_step((views, targets)).items()}
    logits = network(views)
    expected = float(partial_auc_loss(logits, targets, PARTIAL_AUC_MARGIN, 0.02, PARTIAL_AUC_END))
    assert losses["partial_auc"] == pytest.approx(expected, rel=1e-5)
    alone = float(plain.test_step((views, targets))["loss"])
    assert losses["loss"] == pytest.approx(alone + 0.7 * expected, rel=1e-5)
