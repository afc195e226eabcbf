"""The losses: closed-form values, slow references, and what unlabelled candidates do."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from realbogus.models.losses import (
    CandidateTrainer,
    LossSettings,
    adversarial_step,
    cross_entropy,
    cross_hinge,
    divergence,
    effective_weights,
)


def batch(seed: int = 0, count: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and targets of which every third is unlabelled."""
    rng = np.random.default_rng(seed)
    targets = np.eye(2)[rng.integers(0, 2, count)]
    targets[::3] = 0
    return rng.normal(0, 2, (count, 2)), targets


def test_cross_entropy_is_the_mean_over_the_labelled() -> None:
    logits, targets = batch()
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    wanted = -np.mean([logs[at, targets[at].argmax()] for at in range(len(logits)) if targets[at].any()])
    assert float(cross_entropy(tf.constant(logits), tf.constant(targets))) == pytest.approx(wanted, rel=1e-12)
    assert float(cross_entropy(tf.constant(logits), tf.zeros_like(targets))) == 0


@pytest.mark.parametrize("cap", [6.0, 1.0, None])
def test_cross_hinge_is_the_mean_over_pairs(cap: float | None) -> None:
    logits, targets = batch(1, 20)
    score = logits[:, 1] - logits[:, 0]
    reals, bogus = np.flatnonzero(targets[:, 1]), np.flatnonzero(targets[:, 0])
    wrong = [max(0.0, 0.25 - (score[i] - score[j])) for i in reals for j in bogus]
    wanted = np.mean([np.exp(min(value, np.inf if cap is None else cap)) - 1 for value in wrong])
    assert float(cross_hinge(tf.constant(logits), tf.constant(targets), 0.25, cap)) == pytest.approx(wanted, rel=1e-10)


def test_cross_hinge_of_equal_scores_of_one_class_and_beyond_the_cap() -> None:
    both = tf.constant([[1.0, 0.0], [0.0, 1.0]], tf.float64)
    assert float(cross_hinge(tf.zeros((2, 2), tf.float64), both, 0.25, 6.0)) == pytest.approx(np.exp(0.25) - 1)
    assert float(cross_hinge(tf.ones((2, 2), tf.float64), both[:1] + tf.zeros((2, 2), tf.float64), 0.25, 6.0)) == 0
    worst = tf.Variable([[0.0, 9.0], [0.0, -9.0]], dtype=tf.float64)
    with tf.GradientTape() as tape:
        loss = cross_hinge(worst, both, 0.25, 6.0)
    assert float(loss) == pytest.approx(np.exp(6) - 1)
    assert not np.any(tape.gradient(loss, worst))


def test_the_public_code_mixes_its_weights_up() -> None:
    def executed(ech: float, lds: float, ce: float) -> tuple[float, float, float]:
        return effective_weights(LossSettings(ce=ce, ech=ech, lds=lds, weights="executed"))

    assert executed(1, 0.1, 0.1) == (0.1, 0.1, 1.0)
    assert executed(1, 10, 0.1) == (0.1, 10, 1.0)
    assert executed(0, 7, 3) == (7, 0, 3)
    assert executed(1, 0, 0.1) == (0.1, 1, 0)
    ce, ech, lds = executed(1, 0.1, 0.1)
    assert ech * 0.28942 + lds * 0.69252 + ce * 0.69453 == pytest.approx(0.79092, abs=1e-5)


def linear() -> keras.Model:
    views = keras.Input((3, 3, 1))
    return keras.Model(views, keras.layers.Dense(2)(keras.layers.Flatten()(views)))


def test_the_adversarial_step_of_a_linear_network_goes_along_its_weights() -> None:
    network, rng = linear(), np.random.default_rng(2)
    views = tf.constant(rng.normal(size=(5, 3, 3, 1)), tf.float32)
    settings = LossSettings(xi=0.1, epsilon=0.7)
    step = np.asarray(adversarial_step(network, views, network(views), settings, tf.constant([1, 2]))).reshape(5, 9)
    np.testing.assert_allclose(np.linalg.norm(step, axis=1), 0.7, rtol=1e-4)
    kernel = network.get_weights()[0]
    along = (kernel[:, 1] - kernel[:, 0]) / np.linalg.norm(kernel[:, 1] - kernel[:, 0])
    np.testing.assert_allclose(np.abs(step @ along), 0.7, rtol=1e-3)
    assert float(divergence(network(views), network(views))) == pytest.approx(0, abs=1e-7)


def test_the_unlabelled_change_nothing_without_smoothness() -> None:
    network = linear()
    trainer = CandidateTrainer(network, LossSettings(ech=1.0), None, seed=0)
    trainer.compile(keras.optimizers.SGD(0.1))
    before = [weight.copy() for weight in network.get_weights()]
    trainer.train_on_batch(np.ones((4, 3, 3, 1), np.float32), np.zeros((4, 2), np.float32))
    for one, two in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
