"""The three losses of Takahashi et al. 2022, and the model that fits a network by them.

z = (z0, z1) are a candidate's logits, s = z1 - z0. Targets are (n, 2): one-hot, perhaps smoothed; a row of zeros is an
unlabelled candidate, which takes part in the local smoothness alone.
"""

from typing import Any, Literal

import keras
import tensorflow as tf
from pydantic import BaseModel, ConfigDict, Field

_LEAST_NORM, _LEAST_STEP = 1e-6, 1e-30
_UNCAPPED = 50.0  # exp of it is still finite, also summed over all pairs of a batch


class LossSettings(BaseModel):
    """Weights and constants of the losses; see `effective_weights` and the functions below."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ce: float = Field(default=1.0, ge=0)
    """Weight of cross-entropy."""
    ech: float = Field(default=0.0, ge=0)
    """Weight of the exponential cross-hinge."""
    lds: float = Field(default=0.0, ge=0)
    """Weight of local distributional smoothness (virtual adversarial training)."""
    margin: float = 0.25
    """By how much a real should exceed a bogus, in logits."""
    cap: float | None = 6.0
    """Pairs that are wrong by more than this beyond the margin have no gradient; None: none are left out."""
    xi: float = 0.1
    """Length of the step at which the adversarial direction is looked for, in the units of the network's input."""
    epsilon: float = 0.3
    """Length of the adversarial step. In noise-scaled pixels a candidate at the limit of detection has length 5:
    steps of 1 smooth faint ones away, 0.3 costs nothing (measured on triplets that a study left out)."""
    iterations: int = Field(default=1, ge=1)
    """How often the direction is improved."""
    weights: Literal["written", "executed"] = "written"
    """``executed`` mixes the weights up as the public code does; see `effective_weights`."""


def effective_weights(settings: LossSettings) -> tuple[float, float, float]:
    """Return the weights of cross-entropy, cross-hinge and smoothness that count.

    The public code writes the weight of the smoothness over that of the cross-hinge, so that with weights ``executed``
    the smoothness has weight 1 beside a cross-hinge, and swaps with the cross-entropy where there is none.
    """
    ce, ech, lds = settings.ce, settings.ech, settings.lds
    if settings.weights == "written" or not lds:
        return ce, ech, lds
    return (ce, lds, 1.0) if ech else (lds, 0.0, ce)


def cross_entropy(logits: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor | None = None) -> tf.Tensor:
    """Return the mean cross-entropy of the labelled candidates, 0 where there are none.

    Parameters
    ----------
    logits, targets : (n, 2) float
    weights : (2,), optional
        Of the classes; the mean is still over candidates.
    """
    losses = -tf.reduce_sum(targets * tf.nn.log_softmax(logits), axis=1)
    if weights is not None:
        losses *= tf.reduce_sum(targets * weights, axis=1)
    labelled = tf.reduce_sum(targets)
    return tf.math.divide_no_nan(tf.reduce_sum(losses), labelled)


def cross_hinge(logits: tf.Tensor, targets: tf.Tensor, margin: float, cap: float | None) -> tf.Tensor:
    """Return the exponential cross-hinge, a bound of 1 - AUC: the mean over all pairs of a real and a bogus.

    exp(min(max(0, margin - (s_real - s_bogus)), cap)) - 1; 0 where a class is absent. With a cap a pair that is wrong
    by more than cap - margin has no gradient: robust against wrong labels, blind to the worst mistakes.
    """
    score = logits[:, 1] - logits[:, 0]
    real, bogus = (tf.cast(targets[:, 1 - at] < targets[:, at], logits.dtype) for at in (1, 0))
    wrong = tf.maximum(margin - (score[:, None] - score[None, :]), 0.0)
    wrong = tf.minimum(wrong, _UNCAPPED if cap is None else cap)
    pairs = real[:, None] * bogus[None, :]
    return tf.math.divide_no_nan(tf.reduce_sum(pairs * tf.math.expm1(wrong)), tf.reduce_sum(pairs))


def divergence(logits: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """Return the mean Kullback-Leibler divergence of softmax(others) from softmax(logits).

    Its gradient by `others` is that of their cross-entropy, but it is 0 where they are equal.
    """
    logs = tf.nn.log_softmax(logits)
    return tf.reduce_mean(tf.reduce_sum(tf.exp(logs) * (logs - tf.nn.log_softmax(others)), axis=1))


def adversarial_step(
    network: keras.Model, views: tf.Tensor, logits: tf.Tensor, settings: LossSettings, seed: tf.Tensor
) -> tf.Tensor:
    """Return the step of length epsilon that changes each candidate's answer most (Miyato et al. 2018, 1704.03976).

    Parameters
    ----------
    network : keras.Model
    views : (n, h, w, c)
        What the network takes.
    logits : (n, 2)
        Its answers there.
    settings : LossSettings
        xi, epsilon, iterations.
    seed : (2,) int32
        Of the first direction.

    Returns
    -------
    (n, h, w, c), each of norm epsilon.
    """
    direction = _unit(tf.random.stateless_normal(tf.shape(views), seed, dtype=views.dtype))
    for _ in range(settings.iterations):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(direction)
            change = divergence(logits, network(views + settings.xi * direction, training=False))
        direction = _unit(tape.gradient(change, direction))
    return settings.epsilon * direction


def _unit(steps: tf.Tensor) -> tf.Tensor:
    """Return steps divided by their norm over the whole triplet, their largest element brought to 1 first."""
    axes = (1, 2, 3)
    steps /= tf.maximum(tf.reduce_max(tf.abs(steps), axis=axes, keepdims=True), _LEAST_STEP)
    norm = tf.sqrt(tf.reduce_sum(tf.square(steps), axis=axes, keepdims=True))
    return steps / tf.maximum(norm, _LEAST_NORM)


class CandidateTrainer(keras.Model):
    """Fits a functional network by the losses; it adds no variables to the network's.

    Parameters
    ----------
    network : keras.Model
        Views to logits (n, 2) float32.
    losses : LossSettings
    class_weights : (bogus, real), optional
        For the cross-entropy.
    seed : int
        The adversarial directions follow from it and from the optimiser's step, so a resumed fit draws the same.
    """

    def __init__(
        self, network: keras.Model, losses: LossSettings, class_weights: tuple[float, float] | None, *, seed: int
    ) -> None:
        super().__init__(name="trainer")
        self.network, self.settings, self.class_weights, self.seed = network, losses, class_weights, seed
        self._ce, self._ech, self._lds = effective_weights(losses)
        self._means = {name: keras.metrics.Mean(name=name) for name in ("loss", "accuracy", "ce", "ech", "lds")}

    def compile(self, optimizer: keras.optimizers.Optimizer, *_: Any, **__: Any) -> None:
        """Take the optimiser; the losses and metrics are this model's own."""
        super().compile(optimizer=optimizer)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """What is averaged over an epoch."""
        return list(self._means.values())

    def call(self, views: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Return the network's logits."""
        return self.network(views, training=training)

    def train_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Make one step; the clean pass serves all three losses."""
        views, targets, *_ = data
        with tf.GradientTape() as tape:
            logits = self.network(views, training=True)
            loss, parts = self._labelled_loss(logits, targets)
            if self._lds:
                with tape.stop_recording():
                    answers = tf.stop_gradient(logits)
                    step = adversarial_step(self.network, views, answers, self.settings, self._step_seed())
                parts["lds"] = divergence(answers, self.network(views + step, training=True))
                loss += self._lds * parts["lds"]
        variables = self.network.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return self._told(loss, parts, logits, targets)

    def test_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Measure the losses of labels, which choose the epoch: the smoothness asks nothing of the labels."""
        views, targets, *_ = data
        logits = self.network(views, training=False)
        loss, parts = self._labelled_loss(logits, targets)
        return self._told(loss, parts, logits, targets)

    def _labelled_loss(self, logits: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        weights = None if self.class_weights is None else tf.constant(self.class_weights, logits.dtype)
        parts = {"ce": cross_entropy(logits, targets, weights), "ech": tf.zeros((), logits.dtype)}
        if self._ech:
            parts["ech"] = cross_hinge(logits, targets, self.settings.margin, self.settings.cap)
        return self._ce * parts["ce"] + self._ech * parts["ech"], parts | {"lds": tf.zeros((), logits.dtype)}

    def _step_seed(self) -> tf.Tensor:
        return tf.stack([tf.constant(self.seed, tf.int32), tf.cast(self.optimizer.iterations, tf.int32)])

    def _told(
        self, loss: tf.Tensor, parts: dict[str, tf.Tensor], logits: tf.Tensor, targets: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        labelled = tf.reduce_sum(targets, axis=1)
        right = tf.cast(tf.argmax(logits, axis=1) == tf.argmax(targets, axis=1), labelled.dtype)
        self._means["loss"].update_state(loss)
        self._means["accuracy"].update_state(right, sample_weight=labelled)
        for name, value in parts.items():
            self._means[name].update_state(value)
        return {name: mean.result() for name, mean in self._means.items()}
