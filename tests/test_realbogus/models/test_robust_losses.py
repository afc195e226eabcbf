"""Robust losses: against NumPy written from their formulas, their limits, and what steps they take."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from realbogus.models import robust_losses
from realbogus.models.losses import CandidateTrainer, LossSettings, cross_entropy, supervised_loss


def batch(seed: int = 0, count: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and targets of which every third is unlabelled."""
    rng = np.random.default_rng(seed)
    targets = np.eye(2)[rng.integers(0, 2, count)]
    targets[::3] = 0
    return rng.normal(0, 2, (count, 2)), targets


def probabilities(logits: np.ndarray) -> np.ndarray:
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def logistic_loss(margins: np.ndarray) -> np.ndarray:
    return np.log1p(np.exp(-margins))


@pytest.mark.parametrize("q", [0.3, 0.7, 1.0])
def test_the_generalised_cross_entropy_is_a_power_of_the_label_s_probability(q: float) -> None:
    logits, targets = batch()
    own = (probabilities(logits) * targets).sum(axis=1)
    expected = np.where(targets.any(axis=1), (1 - own**q) / q, 0)
    found = robust_losses.generalised_entropies(tf.constant(logits), tf.constant(targets), q)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize(("m", "mae"), [(0.5, 0.0), (100.0, 0.0), (100.0, 2.0), (0.0, 1.0)])
def test_the_epsilon_softmax_adds_to_the_largest_probability(m: float, mae: float) -> None:
    logits, targets = batch(1)
    p = probabilities(logits)
    moved = (p + m * np.eye(2)[p.argmax(axis=1)]) / (m + 1)
    own, own_moved = (np.where(targets.any(axis=1), (one * targets).sum(axis=1), 1) for one in (p, moved))
    absolute = np.where(targets.any(axis=1), np.abs(targets - p).sum(axis=1), 0)
    found = robust_losses.epsilon_entropies(tf.constant(logits), tf.constant(targets), m, mae)
    np.testing.assert_allclose(found, -np.log(own_moved) + mae * absolute, rtol=1e-10)
    assert (own <= 1).all()


@pytest.mark.parametrize(
    "settings", [LossSettings(supervised="gce", gce_q=1e-7), LossSettings(supervised="ce-eps-mae", eps_m=0, eps_mae=0)]
)
@pytest.mark.parametrize("weights", [None, [0.5, 2.0]])
def test_their_limits_are_the_cross_entropy(settings: LossSettings, weights: list[float] | None) -> None:
    logits, targets = (tf.constant(array) for array in batch(2))
    of_classes = None if weights is None else tf.constant(weights, tf.float64)
    assert float(supervised_loss(logits, targets, settings, of_classes)) == pytest.approx(
        float(cross_entropy(logits, targets, of_classes)), rel=1e-5
    )


@pytest.mark.parametrize("name", ["gce", "ce-eps-mae", "nnpu"])
def test_no_gradient_is_lost_at_extreme_logits(name: str) -> None:
    logits = tf.Variable([[0.0, 400.0], [400.0, 0.0], [0.0, 400.0], [400.0, 0.0]])
    targets = tf.constant([[1.0, 0.0], [1.0, 0.0], [0.0, 1.2], [0.0, 1.2]])
    with tf.GradientTape() as tape:
        loss = supervised_loss(logits, targets, LossSettings.model_validate({"supervised": name, "eps_m": 0}))
    assert np.isfinite(float(loss))
    assert np.isfinite(tape.gradient(loss, logits)).all()


def test_the_penalty_is_the_logarithm_of_the_disagreement_with_the_running_means() -> None:
    logits, _ = batch(3)
    means = np.random.default_rng(3).dirichlet([1, 1], len(logits))
    expected = np.log(1 - (probabilities(logits) * means).sum(axis=1))
    np.testing.assert_allclose(
        robust_losses.early_learning_penalties(tf.constant(logits), tf.constant(means)), expected, rtol=1e-9
    )
    without = robust_losses.early_learning_penalties(tf.constant(logits), tf.zeros_like(means))
    np.testing.assert_array_equal(without, 0)
    sure = robust_losses.early_learning_penalties(tf.constant([[90.0, -90.0]]), tf.constant([[1.0, 0.0]]))
    assert float(sure[0]) == pytest.approx(np.log(1e-4), rel=1e-3)


def linear() -> keras.Model:
    views = keras.Input((3, 3, 1))
    return keras.Model(views, keras.layers.Dense(2)(keras.layers.Flatten()(views)))


def after_a_step(settings: LossSettings, *more: np.ndarray) -> list[np.ndarray]:
    keras.utils.set_random_seed(0)
    network, rng = linear(), np.random.default_rng(4)
    trainer = CandidateTrainer(network, settings, None, seed=0)
    trainer.compile(keras.optimizers.SGD(0.1))
    data = (rng.normal(size=(6, 3, 3, 1)), np.eye(2)[[0, 1, 0, 1, 0, 1]], *more)
    trainer.train_step(tuple(tf.constant(array, tf.float32) for array in data))
    return network.get_weights()


def test_without_weight_or_means_early_learning_regularisation_is_the_cross_entropy() -> None:
    plain = after_a_step(LossSettings())
    means = np.full((6, 2), 0.5)
    means[:, 0] = 0.4
    for settings, given in ((LossSettings(elr=0.0), means), (LossSettings(elr=3.0), np.zeros((6, 2)))):
        for one, two in zip(plain, after_a_step(settings, given), strict=True):
            np.testing.assert_allclose(one, two, atol=1e-7)
    moved = after_a_step(LossSettings(elr=3.0), means)
    assert not np.allclose(plain[0], moved[0], atol=1e-4)


def test_the_risk_without_hidden_reals_is_the_cross_entropy_of_the_labels() -> None:
    logits, targets = batch(5)
    score = logits[:, 1] - logits[:, 0]
    labelled = targets.any(axis=1)
    margins = np.where(targets[:, 1] > 0, score, -score)[labelled]
    found = robust_losses.non_negative_risk(tf.constant(logits), tf.constant(targets))
    assert float(found) == pytest.approx(logistic_loss(margins).mean(), rel=1e-12)
    entropies = robust_losses.entropies(tf.constant(logits), tf.constant(targets)).numpy()[labelled]
    assert float(found) == pytest.approx(entropies.mean(), rel=1e-12)
    assert float(robust_losses.non_negative_risk(tf.constant(logits), tf.zeros_like(targets))) == 0


def test_the_risk_of_positive_and_unlabelled_ones_is_that_of_the_true_labels() -> None:
    """Hidden reals have the scores of the labelled ones: the risk equals the one that knows them."""
    reals, bogus = np.array([2.0, -1.0, 0.5, 3.0]), np.array([-2.0, -1.0, 0.0, 1.0, -3.0, -0.5, -4.0, 0.2])
    score = np.concatenate([reals, reals, bogus])
    logits = np.stack([np.zeros(len(score)), score], axis=1)
    targets = np.array([[0, 1 + 4 / 4]] * 4 + [[1, 0]] * 12, float)
    true = np.concatenate([logistic_loss(reals), logistic_loss(reals), logistic_loss(-bogus)])
    found = robust_losses.non_negative_risk(tf.constant(logits), tf.constant(targets))
    assert float(found) == pytest.approx(true.mean(), rel=1e-12)
    weights = tf.constant([0.5, 2.0], tf.float64)
    weighted = (2 * 2 * logistic_loss(reals).sum() + 0.5 * logistic_loss(-bogus).sum()) / 16
    found = robust_losses.non_negative_risk(tf.constant(logits), tf.constant(targets), weights)
    assert float(found) == pytest.approx(weighted, rel=1e-12)


def test_a_negative_difference_counts_as_zero_and_its_step_makes_it_larger() -> None:
    """The bogus are all memorised: less is lost on them than the hidden reals among them must cost."""
    score = tf.Variable([3.0, 3.0, -9.0, -9.0])
    targets = tf.constant([[0.0, 1.5], [0.0, 1.5], [1.0, 0.0], [1.0, 0.0]])
    with tf.GradientTape() as tape:
        risk = robust_losses.non_negative_risk(tf.stack([tf.zeros(4), score], axis=1), targets)
    assert float(risk) == pytest.approx(1.5 * 2 * float(logistic_loss(np.array(3.0))) / 4)
    slope = np.asarray(tape.gradient(risk, score))
    of_difference = np.array([-0.5, -0.5, 1, 1]) / (1 + np.exp(-score.numpy()))
    np.testing.assert_allclose(slope, -of_difference / 4, rtol=1e-4)
