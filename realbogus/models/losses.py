"""The losses of Takahashi et al. 2022, a partial AUC, and the Keras model that fits a network with them or robust ones.

Logits z = (z0, z1) are (n, 2), bogus and real; the score is s = z1 - z0. Targets are (n, 2): one-hot or smoothed; a row
of zeros is an unlabelled candidate, which contributes to the smoothness only.
"""

from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from pydantic import BaseModel, ConfigDict, Field

from realbogus.models import robust_losses
from realbogus.models.network_settings import Smoothness

PARTS = ("ce", "ech", "partial_auc", "lds")
"""The losses that are added up with their weights."""
SupervisedLoss = Literal["ce", "gce", "ce-eps-mae", "nnpu"]
CONFIDENCE = 0.95
"""Least probability of a predicted class that a strong view must agree with (Sohn et al. 2020)."""
_LEAST_NORM, _LEAST_STEP = 1e-6, 1e-30
PARTIAL_AUC_END = 0.05
"""The largest false-positive rate of the partial AUC loss."""
PARTIAL_AUC_MARGIN = 1.0
"""Required difference between the scores of a real and a bogus of the partial AUC loss, in logits."""
_UNCAPPED = 50.0  # exp of it is still finite, also summed over all pairs of a batch


class LossSettings(BaseModel):
    """Weights and constants of the losses; see `effective_weights` and the functions below."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ce: float = Field(default=1.0, ge=0)
    """Weight of cross-entropy."""
    ech: float = Field(default=0.0, ge=0)
    """Weight of the exponential cross-hinge."""
    lds: float = Field(default=0.0, ge=0)
    """Weight of the smoothness."""
    smoothness: Smoothness = "vat"
    """``vat``: local distributional smoothness of all candidates (virtual adversarial training). ``consistency``: a
    strongly altered view of an unlabelled one must agree with what the averaged weights say of the plain view."""
    partial_auc: float = Field(default=0.0, ge=0)
    """Weight of the partial AUC loss."""
    partial_auc_trim: float = Field(default=0.01, ge=0, lt=0.05)
    """Share of the bogus, those of the highest scores, that the partial AUC loss leaves out as hidden transients."""
    margin: float = 0.25
    """Required difference between the scores of a real and a bogus, in logits."""
    cap: float | None = 6.0
    """Pairs whose hinge exceeds this have no gradient; None: all pairs have one."""
    xi: float = 0.1
    """Length of the step at which the gradient for the adversarial direction is computed, in units of the input."""
    epsilon: float = 0.3
    """Length of the adversarial step. In noise-scaled pixels a candidate at the detection limit has length 5: steps of
    1 remove the sensitivity to faint ones, 0.3 does not (measured on triplets not used in a study)."""
    iterations: int = Field(default=1, ge=1)
    """Number of power iterations for the direction."""
    weights: Literal["written", "executed"] = "written"
    """``executed`` permutes the weights as the public code does; see `effective_weights`."""
    supervised: SupervisedLoss = "ce"
    """What has the weight of the cross-entropy: itself, or a loss of `realbogus.models.robust_losses`. ``nnpu`` takes
    the number of hidden reals that a real stands for from its target."""
    gce_q: float = Field(default=0.7, gt=0, le=1)
    """q of the generalised cross-entropy."""
    eps_m: float = Field(default=100.0, ge=0)
    """m of the epsilon-softmax; published: 1e2 for asymmetric to 1e5 for symmetric errors."""
    eps_mae: float = Field(default=1.0, ge=0)
    """Weight of the absolute error beside the cross-entropy of the epsilon-softmax."""
    elr: float = Field(default=0.0, ge=0)
    """Weight of early-learning regularisation."""
    elr_decay: float = Field(default=0.7, ge=0, lt=1)
    """Decay per epoch of the running means of the predictions for early-learning regularisation."""

    @property
    def needs_strong_views(self) -> bool:
        """Whether the loss has the consistency with strong views."""
        return self.lds > 0 and self.smoothness == "consistency"

    @property
    def mean_decay(self) -> float | None:
        """Decay per epoch of the running means that the losses need; None: they need none."""
        if self.elr:
            return self.elr_decay
        return 0.0 if self.needs_strong_views else None


def effective_weights(settings: LossSettings) -> tuple[float, float, float]:
    """Return the weights of cross-entropy, cross-hinge and smoothness in the loss.

    The public code overwrites the weight of the cross-hinge with that of the smoothness. With weights ``executed`` and
    smoothness, the smoothness therefore has weight 1 if there is a cross-hinge; otherwise the weights of cross-entropy
    and smoothness are exchanged.
    """
    ce, ech, lds = settings.ce, settings.ech, settings.lds
    if settings.weights == "written" or not lds:
        return ce, ech, lds
    return (ce, lds, 1.0) if ech else (lds, 0.0, ce)


def cross_entropy(logits: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor | None = None) -> tf.Tensor:
    """Return the mean cross-entropy of the labelled candidates, 0 without any.

    Parameters
    ----------
    logits, targets : (n, 2) float
    weights : (2,), optional
        Factors of the classes; the sum is divided by the number of labelled candidates whatever the weights.
    """
    return _labelled_mean(robust_losses.entropies(logits, targets), targets, weights)


def supervised_loss(
    logits: tf.Tensor, targets: tf.Tensor, settings: LossSettings, weights: tf.Tensor | None = None
) -> tf.Tensor:
    """Return the loss that `settings.supervised` names, a scalar; arguments as of `cross_entropy`."""
    if settings.supervised == "nnpu":
        return robust_losses.non_negative_risk(logits, targets, weights)
    if settings.supervised == "gce":
        losses = robust_losses.generalised_entropies(logits, targets, settings.gce_q)
    elif settings.supervised == "ce-eps-mae":
        losses = robust_losses.epsilon_entropies(logits, targets, settings.eps_m, settings.eps_mae)
    else:
        return cross_entropy(logits, targets, weights)
    return _labelled_mean(losses, targets, weights)


def _labelled_mean(losses: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor | None) -> tf.Tensor:
    """Return the mean of the losses (n,) over the labelled candidates, 0 without any; weights as of `cross_entropy`."""
    if weights is not None:
        losses *= tf.reduce_sum(targets * weights, axis=1)
    labelled = tf.reduce_sum(targets)
    return tf.math.divide_no_nan(tf.reduce_sum(losses), labelled)


def cross_hinge(logits: tf.Tensor, targets: tf.Tensor, margin: float, cap: float | None) -> tf.Tensor:
    """Return the exponential cross-hinge, a differentiable bound of 1 - AUC.

    It is the mean over all pairs of a real and a bogus of exp(min(max(0, margin - (s_real - s_bogus)), cap)) - 1. Pairs
    with s_bogus - s_real above cap - margin have no gradient, which makes it robust against wrong labels and
    insensitive to the worst mistakes.

    Parameters
    ----------
    logits, targets : (n, 2) float
        The class of a candidate is that of the larger target; unlabelled candidates are in no pair.
    margin : float
    cap : float or None

    Returns
    -------
    scalar
        0 without a pair.
    """
    score, real, bogus = _score_and_classes(logits, targets)
    hinge = tf.maximum(margin - (score[:, None] - score[None, :]), 0.0)
    hinge = tf.minimum(hinge, _UNCAPPED if cap is None else cap)
    pairs = real[:, None] * bogus[None, :]
    return tf.math.divide_no_nan(tf.reduce_sum(pairs * tf.math.expm1(hinge)), tf.reduce_sum(pairs))


def partial_auc_loss(logits: tf.Tensor, targets: tf.Tensor, margin: float, first: float, last: float) -> tf.Tensor:
    """Return the squared hinge of one minus the one-way partial AUC between two false-positive rates.

    With n bogus in the order of falling scores, s_(1) >= ... >= s_(n), it is

    sum_i sum_k w_k max(0, margin - (s_i - s_(k)))^2 / sum_i sum_k w_k, i over the reals,

    where w_k is the part of [(k - 1) / n, k / n] that lies in [first, last]. The weights are those of the empirical
    partial AUC of Narasimhan & Agarwal 2017 (1605.04337), with the squared hinge in place of the step. It is one-way,
    as every real is compared; a bogus outside of the window, such as a hidden transient at the top, is in no pair.

    Parameters
    ----------
    logits, targets : (n, 2) float
        The class of a candidate is that of the larger target; unlabelled candidates are in no pair.
    margin : float
    first, last : float
        Shares of the bogus, 0 <= first < last <= 1.

    Returns
    -------
    scalar
        0 without a pair.
    """
    score, real, bogus = _score_and_classes(logits, targets)
    falling = tf.argsort(tf.where(bogus > 0, score, -np.inf), direction="DESCENDING", stable=True)
    place = tf.cast(tf.argsort(falling), logits.dtype)
    count = tf.reduce_sum(bogus)
    overlap = tf.minimum(place + 1, last * count) - tf.maximum(place, first * count)
    pairs = real[:, None] * (bogus * tf.maximum(overlap, 0.0))[None, :]
    hinge = tf.square(tf.maximum(margin - (score[:, None] - score[None, :]), 0.0))
    return tf.math.divide_no_nan(tf.reduce_sum(pairs * hinge), tf.reduce_sum(pairs))


def _score_and_classes(logits: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return the scores, and 1 for the reals and for the bogus, each (n,)."""
    real = tf.cast(targets[:, 0] < targets[:, 1], logits.dtype)
    bogus = tf.cast(targets[:, 1] < targets[:, 0], logits.dtype)
    return logits[:, 1] - logits[:, 0], real, bogus


def divergence(logits: tf.Tensor, other_logits: tf.Tensor) -> tf.Tensor:
    """Return the mean Kullback-Leibler divergence KL(softmax(logits) || softmax(other_logits)), both (n, 2).

    Its gradient by `other_logits` is that of the cross-entropy, but it is 0 for equal logits.
    """
    logs = tf.nn.log_softmax(logits)
    return tf.reduce_mean(tf.reduce_sum(tf.exp(logs) * (logs - tf.nn.log_softmax(other_logits)), axis=1))


def consistency_loss(logits: tf.Tensor, means: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """Return the cross-entropy of unlabelled candidates' strong views with the classes of their plain views.

    The unlabelled loss of FixMatch (Sohn et al. 2020, 2001.07685, equation 4): a candidate counts where the class is
    predicted with a probability of at least `CONFIDENCE`; the sum is divided by the number of all unlabelled ones.

    Parameters
    ----------
    logits : (n, 2) float
        Of the strong views.
    means : (n, 2) float
        Predicted probabilities of the plain views, without a gradient; zeros where there is no prediction yet.
    targets : (n, 2) float

    Returns
    -------
    scalar
        0 without unlabelled candidates.
    """
    unlabelled = tf.cast(tf.reduce_sum(targets, axis=1) == 0, logits.dtype)
    confident = tf.cast(tf.reduce_max(means, axis=1) >= CONFIDENCE, logits.dtype)
    classes = tf.one_hot(tf.argmax(means, axis=1), logits.shape[1], dtype=logits.dtype)
    losses = unlabelled * confident * robust_losses.entropies(logits, classes)
    return tf.math.divide_no_nan(tf.reduce_sum(losses), tf.reduce_sum(unlabelled))


def adversarial_step(
    network: keras.Model, views: tf.Tensor, logits: tf.Tensor, settings: LossSettings, seed: tf.Tensor
) -> tf.Tensor:
    """Return the step of length epsilon that changes each candidate's prediction most (Miyato et al. 2018, 1704.03976).

    Parameters
    ----------
    network : keras.Model
        Views to logits.
    views : (n, h, w, c)
    logits : (n, 2)
        The network's output for the views.
    settings : LossSettings
        Its xi, epsilon and iterations.
    seed : (2,) int32
        Of the initial direction.

    Returns
    -------
    (n, h, w, c)
        Each of Euclidean norm epsilon.
    """
    direction = _unit(tf.random.stateless_normal(tf.shape(views), seed, dtype=views.dtype))
    for _ in range(settings.iterations):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(direction)
            change = divergence(logits, network(views + settings.xi * direction, training=False))
        direction = _unit(tape.gradient(change, direction))
    return settings.epsilon * direction


def _unit(steps: tf.Tensor) -> tf.Tensor:
    """Return steps (n, h, w, c) divided by their Euclidean norms; the largest elements are scaled to 1 first."""
    axes = (1, 2, 3)
    steps /= tf.maximum(tf.reduce_max(tf.abs(steps), axis=axes, keepdims=True), _LEAST_STEP)
    norm = tf.sqrt(tf.reduce_sum(tf.square(steps), axis=axes, keepdims=True))
    return steps / tf.maximum(norm, _LEAST_NORM)


class CandidateTrainer(keras.Model):
    """Fits a functional network with the losses; it adds no variables to the network's.

    Parameters
    ----------
    network : keras.Model
        Views (n, h, w, c) to logits (n, 2) float32.
    losses : LossSettings
    class_weights : (bogus, real), optional
        For the cross-entropy.
    seed : int
        With the optimiser's step it determines the adversarial directions, so a resumed fit repeats them.
    """

    def __init__(
        self, network: keras.Model, losses: LossSettings, class_weights: tuple[float, float] | None, *, seed: int
    ) -> None:
        super().__init__(name="trainer")
        self.network, self.settings, self.class_weights, self.seed = network, losses, class_weights, seed
        self._ce, self._ech, self._lds = effective_weights(losses)
        self._means = {name: keras.metrics.Mean(name=name) for name in ("loss", "accuracy", *PARTS)}
        self._is_consistent = losses.needs_strong_views

    def compile(self, optimizer: keras.optimizers.Optimizer, *_: Any, **__: Any) -> None:
        """Set the optimiser; other arguments are ignored, as losses and metrics are this model's own."""
        super().compile(optimizer=optimizer)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Metrics averaged over an epoch."""
        return list(self._means.values())

    def call(self, views: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Return the network's logits (n, 2) for views (n, h, w, c)."""
        return self.network(views, training=training)

    def train_step(self, data: tuple[tf.Tensor, ...]) -> dict[str, tf.Tensor]:
        """Make one optimisation step on views (n, h, w, c) and targets (n, 2); return the metrics so far.

        Early-learning regularisation and consistency take the running means (n, 2) of the predictions as a third entry;
        for consistency the channels of strong views follow those of the views, (n, h, w, 2 c).
        """
        views, targets, *means = data
        strong = views
        if self._is_consistent:
            views, strong = tf.split(views, 2, axis=-1)
        with tf.GradientTape() as tape:
            logits = self.network(views, training=True)
            loss, parts = self._labelled_loss(logits, targets)
            if self.settings.elr:
                loss += self.settings.elr * tf.reduce_mean(robust_losses.early_learning_penalties(logits, means[0]))
            if self._is_consistent:
                parts["lds"] = consistency_loss(self.network(strong, training=True), means[0], targets)
                loss += self._lds * parts["lds"]
            elif self._lds:
                with tape.stop_recording():
                    clean = tf.stop_gradient(logits)
                    step = adversarial_step(self.network, views, clean, self.settings, self._step_seed())
                parts["lds"] = divergence(clean, self.network(views + step, training=True))
                loss += self._lds * parts["lds"]
        variables = self.network.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return self._update_metrics(loss, parts, logits, targets)

    def test_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Evaluate the supervised losses on views (n, h, w, c) and targets (n, 2), without the smoothness."""
        views, targets, *_ = data
        logits = self.network(views, training=False)
        loss, parts = self._labelled_loss(logits, targets)
        return self._update_metrics(loss, parts, logits, targets)

    def _labelled_loss(self, logits: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Return the weighted sum of the supervised losses, and each loss by name."""
        weights = None if self.class_weights is None else tf.constant(self.class_weights, logits.dtype)
        parts = dict.fromkeys(PARTS, tf.zeros((), logits.dtype))
        parts["ce"] = supervised_loss(logits, targets, self.settings, weights)
        if self._ech:
            parts["ech"] = cross_hinge(logits, targets, self.settings.margin, self.settings.cap)
        if self.settings.partial_auc:
            first = self.settings.partial_auc_trim
            parts["partial_auc"] = partial_auc_loss(logits, targets, PARTIAL_AUC_MARGIN, first, PARTIAL_AUC_END)
        total = self._ce * parts["ce"] + self._ech * parts["ech"] + self.settings.partial_auc * parts["partial_auc"]
        return total, parts

    def _step_seed(self) -> tf.Tensor:
        """Return the seed of this step's adversarial directions, (2,) int32."""
        return tf.stack([tf.constant(self.seed, tf.int32), tf.cast(self.optimizer.iterations, tf.int32)])

    def _update_metrics(
        self, loss: tf.Tensor, parts: dict[str, tf.Tensor], logits: tf.Tensor, targets: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Add a batch to the metrics and return them; unlabelled candidates do not enter the accuracy."""
        labelled = tf.reduce_sum(targets, axis=1)
        correct = tf.cast(tf.argmax(logits, axis=1) == tf.argmax(targets, axis=1), labelled.dtype)
        self._means["loss"].update_state(loss)
        self._means["accuracy"].update_state(correct, sample_weight=labelled)
        for name, value in parts.items():
            self._means[name].update_state(value)
        return {name: mean.result() for name, mean in self._means.items()}
