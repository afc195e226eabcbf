"""Losses for labels of which some are wrong, as the candidates' trainer adds them up.

Logits z are (n, 2), bogus and real, p = softmax(z); targets t are (n, 2), one-hot or smoothed, a row of zeros where a
candidate is unlabelled. Losses of candidates are (n,), 0 where unlabelled.
"""

import tensorflow as tf

_LEAST_PROBABILITY = 1e-4


def entropies(logits: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """Return the cross-entropy of each candidate, -sum_k t_k log p_k, (n,)."""
    return -tf.reduce_sum(targets * tf.nn.log_softmax(logits), axis=1)


def generalised_entropies(logits: tf.Tensor, targets: tf.Tensor, q: float) -> tf.Tensor:
    """Return the generalised cross-entropy of each candidate, sum_k t_k (1 - p_k^q) / q, (n,).

    The L_q of Zhang & Sabuncu 2018 (1805.07836). It is bounded by 1 / q; q = 1 is half the absolute error, and for
    q -> 0 it is the cross-entropy.

    Parameters
    ----------
    logits, targets : (n, 2) float
    q : float
        In (0, 1].
    """
    powers = tf.exp(q * tf.nn.log_softmax(logits))
    return tf.reduce_sum(targets * (1 - powers), axis=1) / q


def epsilon_entropies(logits: tf.Tensor, targets: tf.Tensor, m: float, mae: float) -> tf.Tensor:
    """Return -sum_k t_k log p'_k + mae * 2 sum_k t_k (1 - p_k) of each candidate, (n,).

    p' = (p + m onehot(argmax p)) / (m + 1) is the epsilon-softmax of Wang et al. 2024 (NeurIPS, "epsilon-Softmax"),
    whose cross-entropy they combine with the absolute error, sum_k |t_k - p_k| = 2 (1 - p_y) of a label y. The larger
    m, the less a label that is the most probable class pulls. m = 0 and mae = 0 is the cross-entropy.

    Parameters
    ----------
    logits, targets : (n, 2) float
    m, mae : float
        At least 0.
    """
    probabilities = tf.nn.softmax(logits)
    largest = tf.one_hot(tf.argmax(logits, axis=1), logits.shape[1], dtype=logits.dtype)
    of_largest = tf.math.log((tf.where(largest > 0, probabilities, 1.0) + m) / (m + 1))  # finite in both branches
    logs = tf.where(largest > 0, of_largest, tf.nn.log_softmax(logits) - tf.math.log1p(tf.cast(m, logits.dtype)))
    return tf.reduce_sum(targets * (2 * mae * (1 - probabilities) - logs), axis=1)


def early_learning_penalties(logits: tf.Tensor, means: tf.Tensor) -> tf.Tensor:
    """Return log(1 - sum_k p_k m_k) of each candidate, (n,), at most 0.

    The regulariser of early-learning regularisation (Liu et al. 2020, 2007.00151): it keeps predictions
    where those of earlier epochs were, however the label is. p is clipped to [1e-4, 1 - 1e-4].

    Parameters
    ----------
    logits : (n, 2) float
    means : (n, 2) float
        Running means of the predicted probabilities; zeros have no effect.
    """
    probabilities = tf.clip_by_value(tf.nn.softmax(logits), _LEAST_PROBABILITY, 1 - _LEAST_PROBABILITY)
    return tf.math.log(1 - tf.reduce_sum(probabilities * means, axis=1))


def non_negative_risk(logits: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor | None = None) -> tf.Tensor:
    """Return the non-negative risk of learning from positive and unlabelled candidates.

    Kiryo et al. 2017 (1703.00593), with the logistic loss l(s) = log(1 + e^-s) of the score s = z1 - z0 in place of
    their sigmoid loss, under which a network that calls all candidates bogus has no gradient and stays so:
    R = pi E_P l(s) + max(0, E_X l(-s) - pi E_P l(-s)). P are the candidates labelled real, and X is the whole batch of
    N candidates, the bogus labels B among it holding hidden reals: pi N = n_P + sum of their numbers. A real stands for
    itself and for v hidden ones, so that

    N R = sum_P (1 + v) l(s) + max(0, sum_B l(-s) - sum_P v l(-s)).

    With v = 0 it is the cross-entropy of the labels as they are. Where the difference is negative, the gradient is
    that of its negative alone, as in their algorithm 1 with beta = 0, gamma = 1.

    Parameters
    ----------
    logits : (n, 2) float
    targets : (n, 2) float
        (0, 1 + v) of a real, (1, 0) of a bogus, zeros of an unlabelled one.
    weights : (2,), optional
        Factors of the first and of the second term's class: bogus, real.

    Returns
    -------
    scalar
        0 without labels.
    """
    score = logits[:, 1] - logits[:, 0]
    as_real, as_bogus = tf.nn.softplus(-score), tf.nn.softplus(score)
    is_real = tf.cast(targets[:, 1] > targets[:, 0], logits.dtype)
    hidden = tf.maximum(targets[:, 1] - 1, 0) * is_real
    positive = tf.reduce_sum(targets[:, 1] * is_real * as_real)
    difference = tf.reduce_sum(targets[:, 0] * as_bogus) - tf.reduce_sum(hidden * as_bogus)
    if weights is not None:
        positive, difference = weights[1] * positive, weights[0] * difference
    risk = positive + tf.nn.relu(difference)
    followed = tf.where(difference < 0, -difference, positive + difference)
    count = tf.reduce_sum(is_real + targets[:, 0])
    return tf.math.divide_no_nan(followed + tf.stop_gradient(risk - followed), count)
