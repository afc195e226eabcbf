"""Training dynamics: what a network predicts of its training samples after each epoch, and what that says of labels.

Outputs are logits (epochs, n, classes) or (n, classes); labels are positions in the scheme's classes, -1
(`UNLABELLED`) where there is none.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tasks.learning.split_parts import UNLABELLED

SETTLED_WINDOW = 3
INDICATOR_SHARE = 0.05
"""Fraction of the samples of a class that is mislabelled on purpose."""
INDICATOR_PERCENTILE = 99.0


def are_wrong(labels: NDArray, truth: NDArray) -> NDArray[np.bool_]:
    """Return which labels (n,) differ from the truth (n,); none where either is missing."""
    return np.asarray((labels != UNLABELLED) & (truth != UNLABELLED) & (labels != truth))


def memorised_share(outputs: NDArray, labels: NDArray, truth: NDArray) -> float:
    """Return P(prediction = label | the label is wrong), the fraction of the wrong labels that a network repeats.

    Parameters
    ----------
    outputs : (n, classes)
    labels, truth : (n,) int
        Samples without a label or truth are left out.

    Returns
    -------
    float
        NaN without wrong labels.
    """
    is_wrong = are_wrong(labels, truth)
    if not is_wrong.any():
        return float("nan")
    return float((outputs.argmax(axis=1) == labels)[is_wrong].mean())


def prediction_changes(outputs: NDArray) -> NDArray[np.int64]:
    """Return how many samples change their predicted class from each epoch to the next, (epochs - 1,)."""
    predicted = outputs.argmax(axis=2)
    return np.asarray((predicted[1:] != predicted[:-1]).sum(axis=1))


def settled_epoch(changes: NDArray | Sequence[int], window: int = SETTLED_WINDOW) -> int:
    """Return the epoch, from 1, at which the predictions of the training samples change least for the first time.

    The first local minimum of the moving average of `prediction_changes` (Label Wave, Yuan et al. 2025, 2502.07551):
    until then a network learns what samples share, later the labels of single ones. It needs no validation labels.

    Parameters
    ----------
    changes : (epochs - 1,)
    window : int
        Epochs of the average, up to the present one.

    Returns
    -------
    int
        The last epoch if the average does not rise, or is of fewer epochs than the window. More changes alter the
        result only where it is the last epoch.
    """
    if len(changes) < window:
        return len(changes) + 1
    averages = np.convolve(changes, np.ones(window) / window, mode="valid")
    rises = np.flatnonzero(np.diff(averages) > 0)
    return int(rises[0]) + window + 1 if len(rises) else len(changes) + 1


def early_means(outputs: NDArray) -> NDArray[np.float64]:
    """Return the mean logits of each sample over the epochs up to `settled_epoch`, (n, classes)."""
    return np.asarray(outputs[: settled_epoch(prediction_changes(outputs))].mean(axis=0, dtype=np.float64))


def areas_under_margin(means: NDArray, labels: NDArray) -> NDArray[np.float64]:
    """Return the logit of the label minus the largest other one, averaged over epochs, (n,); NaN without a label.

    The area under the margin (AUM) of Pleiss et al. 2020 (2001.10528), of the means over epochs of the logits of plain
    views after each epoch; of two classes the mean of the margins is the margin of the means.

    Parameters
    ----------
    means : (n, classes)
    labels : (n,) int
    """
    own = means[np.arange(len(labels)), np.maximum(labels, 0)]
    return np.where(labels == UNLABELLED, np.nan, own - _others(means, labels).max(axis=1))


def _others(means: NDArray, labels: NDArray) -> NDArray[np.float64]:
    """Return the mean logits (n, classes) with minus infinity for the label's class."""
    others = np.array(means, float)
    others[np.arange(len(labels)), np.maximum(labels, 0)] = -np.inf
    return others


def draw_indicators(
    labels: NDArray, eligible: NDArray[np.bool_], classes: int, rng: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[np.int32]]:
    """Choose samples to mislabel on purpose, whose margins show what a wrong label looks like.

    Returns
    -------
    indicators : (n,) bool
        `INDICATOR_SHARE` of the labelled and eligible ones, at least one of each class.
    labels : (n,) int32
        Theirs is the next class.
    """
    indicators = np.zeros(len(labels), bool)
    for label in range(classes):
        rows = rng.permutation(np.flatnonzero(eligible & (labels == label)))
        indicators[rows[: max(1, round(INDICATOR_SHARE * len(rows)))]] = True
    return indicators, np.where(indicators, (labels + 1) % classes, labels).astype(np.int32)


def margin_limits(
    means: NDArray, indicators: NDArray[np.bool_], given: NDArray, percentile: float = INDICATOR_PERCENTILE
) -> NDArray[np.float64]:
    """Return the area under the margin (n,) below which a sample's label is suspect.

    It is a percentile of the indicators that were given the same label (99 in Pleiss et al. 2020); minus infinity for
    the indicators, and for a label that no indicator was given.

    Parameters
    ----------
    means : (n, classes)
        As `early_means` returns them, of a network fitted to the given labels.
    indicators : (n,) bool
    given : (n,) int
        Labels with those of the indicators changed.
    percentile : float
        0 to 100.
    """
    areas, limits = areas_under_margin(means, given), np.full(len(given), -np.inf)
    for label in np.unique(given[indicators]):
        limit = np.percentile(areas[indicators & (given == label)], percentile)
        limits[~indicators & (given == label)] = limit
    return limits


def suggest_by_margin(means: NDArray, labels: NDArray, limits: NDArray) -> NDArray[np.int32]:
    """Return the most probable other class where the area under the margin is below its limit, else the label, (n,).

    Parameters
    ----------
    means : (n, classes)
    labels : (n,) int
        Unlabelled ones are never suspect.
    limits : (n,)
    """
    labels = np.asarray(labels, np.int32)
    suspect = (labels != UNLABELLED) & (areas_under_margin(means, labels) < limits)
    return np.where(suspect, _others(means, labels).argmax(axis=1), labels).astype(np.int32)
