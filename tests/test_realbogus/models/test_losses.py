"""The losses: closed-form values, slow references, and what unlabelled candidates do."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from pydantic import ValidationError

from realbogus.models.losses import (
    CandidateTrainer,
    LossSettings,
    _unit,
    adversarial_step,
    consistency_loss,
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
    expected = -np.mean([logs[row, targets[row].argmax()] for row in range(len(logits)) if targets[row].any()])
    assert float(cross_entropy(tf.constant(logits), tf.constant(targets))) == pytest.approx(expected, rel=1e-12)
    assert float(cross_entropy(tf.constant(logits), tf.zeros_like(targets))) == 0


@pytest.mark.parametrize("cap", [6.0, 1.0, None])
def test_cross_hinge_is_the_mean_over_pairs(cap: float | None) -> None:
    logits, targets = batch(1, 20)
    score = logits[:, 1] - logits[:, 0]
    reals, bogus = np.flatnonzero(targets[:, 1]), np.flatnonzero(targets[:, 0])
    hinges = [max(0.0, 0.25 - (score[i] - score[j])) for i in reals for j in bogus]
    expected = np.mean([np.exp(min(value, np.inf if cap is None else cap)) - 1 for value in hinges])
    assert float(cross_hinge(tf.constant(logits), tf.constant(targets), 0.25, cap)) == pytest.approx(
        expected, rel=1e-10
    )


def test_cross_hinge_of_equal_scores_of_one_class_and_beyond_the_cap() -> None:
    both = tf.constant([[1.0, 0.0], [0.0, 1.0]], tf.float64)
    assert float(cross_hinge(tf.zeros((2, 2), tf.float64), both, 0.25, 6.0)) == pytest.approx(np.exp(0.25) - 1)
    assert float(cross_hinge(tf.ones((2, 2), tf.float64), both[:1] + tf.zeros((2, 2), tf.float64), 0.25, 6.0)) == 0
    worst = tf.Variable([[0.0, 9.0], [0.0, -9.0]], dtype=tf.float64)
    with tf.GradientTape() as tape:
        loss = cross_hinge(worst, both, 0.25, 6.0)
    assert float(loss) == pytest.approx(np.exp(6) - 1)
    assert not np.any(tape.gradient(loss, worst))


def test_the_public_code_permutes_its_weights() -> None:
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


def softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def test_class_weights_multiply_the_losses_but_not_the_number_of_candidates() -> None:
    logits = tf.constant([[0.0, 0.0], [0.0, 0.0], [1.0, 3.0]], tf.float64)
    targets = tf.constant([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]], tf.float64)
    weights = tf.constant([2.0, 5.0], tf.float64)
    assert float(cross_entropy(logits, targets, weights)) == pytest.approx(np.log(2) * (2 + 5) / 2)


def test_smoothed_targets_share_the_loss_and_the_weight_between_classes() -> None:
    logits, targets = np.array([[1.0, -0.5]]), np.array([[0.9, 0.1]])
    logs = np.log(softmax(logits))[0]
    plain = -(0.9 * logs[0] + 0.1 * logs[1])
    assert float(cross_entropy(tf.constant(logits), tf.constant(targets))) == pytest.approx(plain)
    weighted = plain * (0.9 * 2 + 0.1 * 3)
    weights = tf.constant([2.0, 3.0], tf.float64)
    assert float(cross_entropy(tf.constant(logits), tf.constant(targets), weights)) == pytest.approx(weighted)


def test_a_pair_beyond_the_margin_costs_nothing_and_one_at_it_neither() -> None:
    targets = tf.constant([[0.0, 1.0], [1.0, 0.0]], tf.float64)

    def pair(lead: float) -> float:
        return float(cross_hinge(tf.constant([[0.0, lead], [0.0, 0.0]], tf.float64), targets, 0.25, 6.0))

    assert pair(0.25) == 0
    assert pair(1.0) == 0
    assert pair(0.15) == pytest.approx(np.exp(0.1) - 1)
    assert pair(-1.0) == pytest.approx(np.exp(1.25) - 1)
    assert pair(-5.75) == pytest.approx(np.exp(6) - 1)


def test_the_score_of_the_cross_hinge_is_real_minus_bogus() -> None:
    targets = tf.constant([[0.0, 1.0], [1.0, 0.0]], tf.float64)
    logits = tf.constant([[2.0, 3.0], [4.0, 1.0]], tf.float64)  # scores 1 and -3
    assert float(cross_hinge(logits, targets, 5.0, None)) == pytest.approx(np.exp(5 - 4) - 1)


def test_uncapped_pairs_stay_finite_and_smoothed_targets_count_by_the_larger() -> None:
    targets = tf.constant([[0.1, 0.9], [0.95, 0.05], [0.5, 0.5]], tf.float64)
    logits = tf.constant([[0.0, -100.0], [0.0, 100.0], [0.0, 7.0]], tf.float64)
    assert float(cross_hinge(logits, targets, 0.25, None)) == pytest.approx(np.expm1(50.0))


def test_the_divergence_is_that_of_kullback_and_leibler_averaged_over_candidates() -> None:
    rng = np.random.default_rng(3)
    first, second = rng.normal(0, 2, (2, 7, 2))
    p, q = softmax(first), softmax(second)
    expected = np.mean(np.sum(p * np.log(p / q), axis=1))
    assert float(divergence(tf.constant(first), tf.constant(second))) == pytest.approx(expected, rel=1e-10)
    assert float(divergence(tf.constant(first), tf.constant(first))) == pytest.approx(0, abs=1e-12)


def slow_adversarial_step(
    kernel: np.ndarray, views: np.ndarray, direction: np.ndarray, settings: LossSettings
) -> np.ndarray:
    """Power iterations for a linear network without bias: the gradient of the divergence is (q - p) W^T xi / n."""
    p = softmax(views @ kernel)
    for _ in range(settings.iterations):
        q = softmax((views + settings.xi * direction) @ kernel)
        gradient = settings.xi * (q - p) @ kernel.T / len(views)
        direction = gradient / np.linalg.norm(gradient, axis=1, keepdims=True)
    return settings.epsilon * direction


@pytest.mark.parametrize(("xi", "iterations"), [(0.5, 1), (2.0, 1), (2.0, 3)])
def test_the_adversarial_step_is_that_of_a_slow_reference(xi: float, iterations: int) -> None:
    """Its direction follows from the random start, which the seed determines."""
    network, rng = linear(), np.random.default_rng(4)
    kernel = rng.normal(size=(9, 2)).astype(np.float32)
    network.set_weights([kernel, np.zeros(2, np.float32)])
    views = rng.normal(size=(6, 3, 3, 1)).astype(np.float32)
    settings = LossSettings(xi=xi, epsilon=0.4, iterations=iterations)
    seed = tf.constant([5, 6])
    step = adversarial_step(network, tf.constant(views), network(views), settings, seed)
    start = tf.random.stateless_normal((6, 3, 3, 1), seed).numpy().reshape(6, 9)
    start /= np.linalg.norm(start, axis=1, keepdims=True)
    expected = slow_adversarial_step(kernel.astype(float), views.reshape(6, 9).astype(float), start, settings)
    np.testing.assert_allclose(step.numpy().reshape(6, 9), expected, atol=2e-3)


@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e20])
def test_steps_of_any_size_are_brought_to_length_one(scale: float) -> None:
    steps = np.random.default_rng(0).normal(size=(4, 3, 3, 2)).astype(np.float32)
    unit = _unit(tf.constant(steps * np.float32(scale))).numpy()
    expected = steps / np.sqrt((steps**2).sum(axis=(1, 2, 3), keepdims=True))
    np.testing.assert_allclose(unit, expected, rtol=1e-4)


def test_a_step_of_length_zero_stays_zero() -> None:
    assert not _unit(tf.zeros((2, 3, 3, 1))).numpy().any()


def test_two_elements_of_a_step_are_divided_by_their_norm() -> None:
    steps = np.zeros((1, 2, 2, 1), np.float32)
    steps[0, 0, 0, 0], steps[0, 1, 1, 0] = 3, -4
    unit = _unit(tf.constant(steps)).numpy().ravel()
    np.testing.assert_allclose(unit, [0.6, 0, 0, -0.8], rtol=1e-6)


def trainer_of(
    seed: int = 0, rate: float = 0.5, class_weights: tuple[float, float] | None = None, **losses: float | str
) -> CandidateTrainer:
    """Return a compiled trainer of a linear network with fixed weights."""
    network = linear()
    kernel = np.linspace(-0.4, 0.5, 18, dtype=np.float32).reshape(9, 2)
    network.set_weights([kernel, np.array([0.1, -0.2], np.float32)])
    trainer = CandidateTrainer(network, LossSettings(**losses), class_weights, seed=seed)  # type: ignore[arg-type]
    trainer.compile(keras.optimizers.SGD(rate))
    return trainer


def labelled_batch() -> tuple[np.ndarray, np.ndarray]:
    views = np.random.default_rng(8).normal(size=(5, 3, 3, 1)).astype(np.float32)
    targets = np.array([[1, 0], [0, 1], [0, 1], [0, 0], [1, 0]], np.float32)
    return views, targets


def test_the_metrics_of_a_step_are_the_losses_before_it() -> None:
    views, targets = labelled_batch()
    trainer = trainer_of(ce=0.7, ech=1.3, lds=2.0)
    logits = trainer.network(views)
    step = adversarial_step(trainer.network, tf.constant(views), logits, trainer.settings, tf.constant([0, 0]))
    expected = {
        "ce": float(cross_entropy(logits, tf.constant(targets))),
        "ech": float(cross_hinge(logits, tf.constant(targets), 0.25, 6.0)),
        "lds": float(divergence(logits, trainer.network(views + step.numpy()))),
    }
    metrics = {
        name: float(value) for name, value in trainer.train_step((tf.constant(views), tf.constant(targets))).items()
    }
    for name, value in expected.items():
        assert metrics[name] == pytest.approx(value, rel=1e-4)
    total = 0.7 * expected["ce"] + 1.3 * expected["ech"] + 2.0 * expected["lds"]
    assert metrics["loss"] == pytest.approx(total, rel=1e-4)
    correct = (logits.numpy().argmax(axis=1) == targets.argmax(axis=1))[targets.any(axis=1)]
    assert metrics["accuracy"] == pytest.approx(correct.mean())


def test_a_step_descends_the_gradient_of_the_weighted_losses() -> None:
    views, targets = labelled_batch()
    trainer = trainer_of(ce=0.7, ech=1.3, class_weights=(1.0, 3.0))
    before = [weight.copy() for weight in trainer.network.get_weights()]
    with tf.GradientTape() as tape:
        logits = trainer.network(views)
        loss = 0.7 * cross_entropy(logits, tf.constant(targets), tf.constant([1.0, 3.0]))
        loss += 1.3 * cross_hinge(logits, tf.constant(targets), 0.25, 6.0)
    gradients = tape.gradient(loss, trainer.network.trainable_variables)
    trainer.train_step((tf.constant(views), tf.constant(targets)))
    for old, new, gradient in zip(before, trainer.network.get_weights(), gradients, strict=True):
        np.testing.assert_allclose(new, old - 0.5 * gradient.numpy(), atol=1e-6)


def test_losses_without_a_weight_are_zero_in_the_metrics() -> None:
    views, targets = labelled_batch()
    metrics = trainer_of().train_step((tf.constant(views), tf.constant(targets)))
    assert float(metrics["ech"]) == float(metrics["lds"]) == 0
    assert float(metrics["loss"]) == float(metrics["ce"]) > 0
    assert list(metrics) == ["loss", "accuracy", "ce", "ech", "partial_auc", "lds"]


def test_smoothness_teaches_from_unlabelled_candidates() -> None:
    views, _ = labelled_batch()
    trainer = trainer_of(ce=0.0, lds=1.0)
    before = [weight.copy() for weight in trainer.network.get_weights()]
    trainer.train_step((tf.constant(views), tf.zeros((5, 2))))
    assert (trainer.network.get_weights()[0] != before[0]).any()


def test_consistency_is_the_cross_entropy_of_confident_unlabelled_candidates_over_all_unlabelled_ones() -> None:
    logits = np.array([[2.0, 0.0], [0.5, 1.0], [-1.0, 3.0], [4.0, 0.0], [0.0, 0.0]])
    means = np.array([[0.97, 0.03], [0.05, 0.95], [0.06, 0.94], [0.99, 0.01], [0.0, 0.0]])
    targets = np.array([[0, 0], [0, 0], [0, 0], [1, 0], [0, 0]], float)
    expected = (np.log(1 + np.exp(-2.0)) + np.log(1 + np.exp(-0.5))) / 4
    assert float(consistency_loss(*map(tf.constant, (logits, means, targets)))) == pytest.approx(expected, rel=1e-12)
    labelled = np.eye(2)[[0, 1, 1, 0, 1]]
    assert float(consistency_loss(*map(tf.constant, (logits, means, labelled)))) == 0


def test_a_step_of_consistency_learns_the_labels_of_views_and_the_predictions_of_strong_views() -> None:
    """The gradient is that of the cross-entropy of labelled views and of the unlabelled candidate's strong view."""
    views, targets = labelled_batch()
    strong = views[::-1].copy()
    means = np.full((5, 2), 0.5, np.float32)
    means[3] = [0.02, 0.98]
    trainer = trainer_of(lds=2.0, smoothness="consistency")
    before = [weight.copy() for weight in trainer.network.get_weights()]
    with tf.GradientTape() as tape:
        of_labels = cross_entropy(trainer.network(views), tf.constant(targets))
        of_strong = -tf.nn.log_softmax(trainer.network(strong[3:4]))[0, 1]
        loss = of_labels + 2.0 * of_strong
    gradients = tape.gradient(loss, trainer.network.trainable_variables)
    stacked = tf.constant(np.concatenate([views, strong], axis=-1))
    metrics = trainer.train_step((stacked, tf.constant(targets), tf.constant(means)))
    assert float(metrics["lds"]) == pytest.approx(float(of_strong), rel=1e-5)
    for old, new, gradient in zip(before, trainer.network.get_weights(), gradients, strict=True):
        np.testing.assert_allclose(new, old - 0.5 * gradient.numpy(), atol=1e-6)
    evaluated = trainer.test_step((tf.constant(views), tf.constant(targets)))
    assert np.isfinite(float(evaluated["loss"])), "an evaluation has no strong views"


def test_only_the_losses_that_follow_predictions_need_their_means() -> None:
    assert LossSettings(lds=1.0).mean_decay is None
    assert LossSettings(smoothness="consistency").mean_decay is None, "a loss without a weight needs nothing"
    assert LossSettings(lds=1.0, smoothness="consistency").mean_decay == 0.0
    assert LossSettings(elr=1.0, elr_decay=0.6, lds=1.0, smoothness="consistency").mean_decay == 0.6


def test_an_evaluation_has_the_supervised_losses_and_changes_nothing() -> None:
    views, targets = labelled_batch()
    trainer = trainer_of(ce=0.7, ech=1.3, lds=2.0)
    before = [weight.copy() for weight in trainer.network.get_weights()]
    logits = trainer.network(views)
    expected = 0.7 * cross_entropy(logits, tf.constant(targets)) + 1.3 * cross_hinge(
        logits, tf.constant(targets), 0.25, 6.0
    )
    metrics = trainer.test_step((tf.constant(views), tf.constant(targets)))
    assert float(metrics["loss"]) == pytest.approx(float(expected), rel=1e-5)
    assert float(metrics["lds"]) == 0
    for old, new in zip(before, trainer.network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    np.testing.assert_array_equal(trainer(views), logits)


def test_directions_follow_from_the_seed_and_the_optimiser_s_step() -> None:
    trainer = trainer_of(seed=7, lds=1.0)
    assert trainer._step_seed().numpy().tolist() == [7, 0]
    views, targets = labelled_batch()
    trainer.train_step((tf.constant(views), tf.constant(targets)))
    assert trainer._step_seed().numpy().tolist() == [7, 1]
    assert trainer._step_seed().dtype == tf.int32


def test_metrics_are_averaged_over_batches_and_weighted_by_labels() -> None:
    trainer = trainer_of(rate=0.0)
    views, targets = labelled_batch()
    once = float(trainer.test_step((tf.constant(views[:2]), tf.constant(targets[:2])))["accuracy"])
    logits = trainer.network(views)
    both = trainer.test_step((tf.constant(views[2:]), tf.constant(targets[2:])))
    correct = logits.numpy().argmax(axis=1) == targets.argmax(axis=1)
    assert once == pytest.approx(correct[:2].mean())
    assert float(both["accuracy"]) == pytest.approx(correct[targets.any(axis=1)].mean())
    assert {metric.name for metric in trainer.metrics} == {"loss", "accuracy", "ce", "ech", "partial_auc", "lds"}


def test_the_trainer_adds_no_variables_and_dropout_is_active_in_training_only() -> None:
    views = keras.Input((3, 3, 1))
    network = keras.Model(views, keras.layers.Dense(2)(keras.layers.Dropout(0.5)(keras.layers.Flatten()(views))))
    trainer = CandidateTrainer(network, LossSettings(), None, seed=0)
    stamps = np.ones((64, 3, 3, 1), np.float32)
    np.testing.assert_array_equal(trainer(stamps), network(stamps, training=False))
    assert np.ptp(np.asarray(trainer(stamps, training=True)), axis=0).min() > 0
    assert len(trainer.trainable_variables) == len(network.trainable_variables)


@pytest.mark.parametrize(
    ("name", "value"), [("ce", -0.1), ("ech", -0.1), ("lds", -0.1), ("iterations", 0), ("alpha", 1)]
)
def test_settings_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValidationError, match=name):
        LossSettings(**{name: value})  # type: ignore[arg-type]


def test_the_defaults_are_those_of_plain_cross_entropy() -> None:
    defaults = LossSettings()
    assert effective_weights(defaults) == (1.0, 0.0, 0.0)
    assert (defaults.margin, defaults.cap, defaults.xi, defaults.epsilon, defaults.iterations) == (
        0.25,
        6.0,
        0.1,
        0.3,
        1,
    )
    assert effective_weights(LossSettings(ce=2, ech=3, lds=4)) == (2, 3, 4)


def normalised() -> keras.Model:
    """Return a network whose output in training differs from that in evaluation."""
    views = keras.Input((3, 3, 1))
    normed = keras.layers.BatchNormalization(momentum=0.5)(keras.layers.Flatten()(views))
    return keras.Model(views, keras.layers.Dense(2)(normed))


def test_a_step_is_made_in_training_mode_and_so_is_the_perturbed_pass() -> None:
    """With a step of length zero the smoothness is zero only if both passes are in the same mode."""
    views, targets = labelled_batch()
    network = normalised()
    trainer = CandidateTrainer(network, LossSettings(lds=1.0, epsilon=0.0), None, seed=0)
    trainer.compile(keras.optimizers.SGD(0.0))
    expected = cross_entropy(network(views, training=True), tf.constant(targets))
    metrics = trainer.train_step((tf.constant(views), tf.constant(targets)))
    assert float(metrics["ce"]) == pytest.approx(float(expected), rel=1e-5)
    assert float(metrics["lds"]) == pytest.approx(0, abs=1e-7)


def test_the_adversarial_step_is_computed_in_evaluation_mode() -> None:
    views, _ = labelled_batch()
    network = normalised()
    before = [weight.copy() for weight in network.get_weights()]
    settings, seed = LossSettings(epsilon=0.4), tf.constant([1, 2])
    step = adversarial_step(network, tf.constant(views), network(views), settings, seed)
    for old, new in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    # With initial moving statistics evaluation is a linear network but for 1 / sqrt(1 + 1e-3).
    plain = linear()
    plain.set_weights([network.get_weights()[4] / np.sqrt(1.001), network.get_weights()[5]])
    expected = adversarial_step(plain, tf.constant(views), plain(views), settings, seed)
    np.testing.assert_allclose(step, expected, atol=2e-3)


def test_an_evaluation_is_made_in_evaluation_mode() -> None:
    views, targets = labelled_batch()
    network = normalised()
    trainer = CandidateTrainer(network, LossSettings(), None, seed=0)
    trainer.compile(keras.optimizers.SGD(0.0))
    expected = cross_entropy(network(views, training=False), tf.constant(targets))
    assert float(trainer.test_step((tf.constant(views), tf.constant(targets)))["ce"]) == pytest.approx(float(expected))
