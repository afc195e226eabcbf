"""Suspect labels, by out-of-fold class probabilities of networks, and their handling before another training.

Labels are positions in the scheme's classes, -1 (`UNLABELLED`) where there is none; an unlabelled sample is never
suspect. Probabilities are (n, classes).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tasks.learning.split_parts import UNLABELLED

FoldRule = Literal["misclassified", "threshold", "confident"]
SuspectRule = Literal[FoldRule, "two-views", "hidden-reals", "dynamics"]
"""The rules of `suggest_labels`, and those of `two_views`, `hidden_positives` and `dynamics` beside this module."""
Handling = Literal["keep", "remove", "unlabel", "flip", "relabel", "weight", "soft"]
MOST_OF_STRATUM = 0.2
SUSPECT_THRESHOLD = 0.65
"""A lower one finds more wrong labels, and more correct ones that are hard; tuned on triplets not used in a study."""
LEAST_IN_STRATUM = 50
"""Smaller strata are not checked."""
STRATA_BINS = 4


class SuspectError(ValueError):
    """An implausible fraction of labels is suspect; the message has the counts."""


def suggest_labels(
    probabilities: NDArray, labels: NDArray, rule: FoldRule, threshold: float = SUSPECT_THRESHOLD
) -> NDArray[np.int32]:
    """Return the class that a rule holds for right, (n,) int32: another one than the label where the label is suspect.

    Parameters
    ----------
    probabilities : (n, classes) float
        Out of fold.
    labels : (n,) int
    rule : str
        ``misclassified``: another class is more probable than the label. ``threshold``: another class has a
        probability above `threshold`. ``confident``: another class is the most probable of those whose probability is
        at least `class_thresholds` (confident learning, Northcutt et al. 2021, 1911.00068).
    threshold : float
        At least 0.5, so that no two classes pass it.
    """
    labels = np.asarray(labels, np.int32)
    rows = np.flatnonzero(labels != UNLABELLED)
    suggested = labels.copy()
    if rule == "confident":
        counted = _counted_classes(probabilities, labels)
        suggested[rows] = np.where(counted >= 0, counted, labels)[rows]
        return suggested
    others = _other_probabilities(probabilities, labels)
    limit = threshold if rule == "threshold" else own_probabilities(probabilities, labels)
    suspect = (labels != UNLABELLED) & (others.max(axis=1) > limit)
    suggested[suspect] = others[suspect].argmax(axis=1)
    return suggested


def class_thresholds(probabilities: NDArray, labels: NDArray) -> NDArray[np.float64]:
    """Return the mean probability of each class over the samples with that label, (classes,); infinite without any.

    Equation 2 of Northcutt et al. 2021.
    """
    thresholds = np.full(probabilities.shape[1], np.inf)
    for label in range(len(thresholds)):
        if (labels == label).any():
            thresholds[label] = probabilities[labels == label, label].mean()
    return thresholds


def confident_joint(probabilities: NDArray, labels: NDArray) -> NDArray[np.int64]:
    """Return counts (classes, classes) of samples by label (rows) and by the class they confidently belong to.

    Equation 1 of Northcutt et al. 2021: a sample counts for the most probable of the classes whose probability is at
    least the class's threshold, and nowhere if there is none.
    """
    classes = probabilities.shape[1]
    counted = _counted_classes(probabilities, labels)
    is_counted = (labels != UNLABELLED) & (counted >= 0)
    joint = np.zeros((classes, classes), np.int64)
    np.add.at(joint, (np.asarray(labels)[is_counted], counted[is_counted]), 1)
    return joint


def estimated_joint(joint: NDArray, labels: NDArray) -> NDArray[np.float64]:
    """Return the estimated share of samples by label (rows) and true class, (classes, classes), sum 1.

    Equation 3 of Northcutt et al. 2021: the rows of the confident joint, scaled to the number of labels of each class.
    A class without a confident sample is taken as labelled correctly.
    """
    counts = np.bincount(labels[labels != UNLABELLED], minlength=len(joint)).astype(float)
    rows = np.where(joint.sum(axis=1, keepdims=True) > 0, joint, np.eye(len(joint)))
    scaled = rows / rows.sum(axis=1, keepdims=True) * counts[:, None]
    return np.asarray(scaled / max(scaled.sum(), 1))


def own_probabilities(probabilities: NDArray, labels: NDArray) -> NDArray[np.float64]:
    """Return the self-confidence (n,): the probability of the label itself; NaN without a label."""
    own = probabilities[np.arange(len(labels)), np.maximum(labels, 0)].astype(float)
    return np.where(labels == UNLABELLED, np.nan, own)


def normalised_margins(probabilities: NDArray, labels: NDArray) -> NDArray[np.float64]:
    """Return the probability of the label minus that of the most probable other class, (n,) in [-1, 1].

    The label-quality score "normalised margin" of Kuan & Mueller 2022 (ICML DataPerf); the lowest is the most suspect.
    NaN without a label.
    """
    return own_probabilities(probabilities, labels) - _other_probabilities(probabilities, labels).max(axis=1)


def estimated_errors(probabilities: NDArray, labels: NDArray) -> float:
    """Return the share of wrong labels as confident learning estimates it; too high where the networks often err."""
    return 1 - float(np.trace(estimated_joint(confident_joint(probabilities, labels), labels)))


def check_whole_classes(suspect: NDArray[np.bool_], labels: NDArray, classes: Sequence[str]) -> None:
    """Raise `SuspectError` if all labels of a class are suspect; arguments as of `check_suspect_shares`."""
    for label, name in enumerate(classes):
        of_class = labels == label
        if of_class.any() and suspect[of_class].all():
            counts = [(word, int((labels == other).sum())) for other, word in enumerate(classes) if other != label]
            others = ", ".join(f"{count} are {word}" for word, count in counts)
            raise SuspectError(
                f"all {int(of_class.sum())} {name} labels are suspect ({others}): the networks have learnt nothing, or "
                "the labels are swapped"
            )


def check_suspect_shares(
    suspect: NDArray[np.bool_],
    labels: NDArray,
    strata: Mapping[str, NDArray],
    classes: Sequence[str],
    most: float = MOST_OF_STRATUM,
) -> None:
    """Raise if all labels of a class are suspect, or more than a fraction of a stratum.

    Parameters
    ----------
    suspect : (n,) bool
    labels : (n,) int
    strata : mapping of name to (n,) str
        Stratum of each sample by the name of the property, such as its bin of magnitude; empty text is no stratum.
    classes : sequence of str
        Names of the classes.
    most : float
        Largest fraction of a stratum.

    Raises
    ------
    SuspectError
    """
    check_whole_classes(suspect, labels, classes)
    is_labelled = labels != UNLABELLED
    for name, strata_of_rows in strata.items():
        for stratum in np.unique(strata_of_rows[is_labelled]):
            rows = is_labelled & (strata_of_rows == stratum)
            size, count = int(rows.sum()), int(suspect[rows].sum())
            if stratum != "" and size >= LEAST_IN_STRATUM and count > most * size:
                raise SuspectError(
                    f"{count} of {size} labels with {name} {stratum} are suspect, more than {most:.0%}: the rule "
                    "mistakes a kind of sample for errors; choose another rule, or raise most_of_stratum"
                )


def quantile_strata(values: NDArray) -> NDArray[np.str_]:
    """Return the quartile of each of the values (n,), such as ``bin 1 of 4``; empty text for NaN.

    Fewer values than there are quartiles are not divided.
    """
    is_known = np.isfinite(values)
    words = np.full(len(values), "", object)
    if is_known.sum() >= STRATA_BINS:
        edges = np.quantile(values[is_known], np.linspace(0, 1, STRATA_BINS + 1)[1:-1])
        words[is_known] = [
            f"bin {position + 1} of {STRATA_BINS}" for position in np.searchsorted(edges, values[is_known])
        ]
    return np.array(words, str)


def handle_suspects(labels: NDArray, suggested: NDArray, handling: Handling) -> NDArray[np.int32]:
    """Return labels (n,) int32 with the suspect ones kept, unlabelled, or replaced by the suggested class.

    ``remove`` unlabels as well: the caller drops unlabelled samples. ``weight`` and ``soft`` keep the label; what they
    change is the sample's target in the loss.

    Parameters
    ----------
    labels : (n,) int
    suggested : (n,) int
        As `suggest_labels` returns it.
    handling : str
    """
    labels = np.asarray(labels, np.int32)
    if handling in ("flip", "relabel"):
        return np.asarray(suggested, np.int32).copy()
    if handling in ("remove", "unlabel"):
        return np.where(suggested != labels, UNLABELLED, labels).astype(np.int32)
    return labels.copy()


@dataclass(frozen=True)
class SuspectScore:
    """Suspect labels compared with wrong ones.

    Attributes
    ----------
    precision, recall : float
        NaN without suspects, or without wrong labels.
    suspects, wrong, both : int
        Numbers of labels.
    """

    precision: float
    recall: float
    suspects: int
    wrong: int
    both: int


def score_suspects(suspect: NDArray[np.bool_], labels: NDArray, truth: NDArray) -> SuspectScore:
    """Compare suspects (n,) bool with the labels (n,) that differ from the truth (n,).

    Samples without truth (-1) or without a label are left out.
    """
    has_truth = (truth != UNLABELLED) & (labels != UNLABELLED)
    is_wrong = has_truth & (labels != truth)
    is_suspect = has_truth & suspect
    both = int((is_wrong & is_suspect).sum())
    return SuspectScore(
        both / is_suspect.sum() if is_suspect.any() else float("nan"),
        both / is_wrong.sum() if is_wrong.any() else float("nan"),
        int(is_suspect.sum()),
        int(is_wrong.sum()),
        both,
    )


def recall_at_precision(doubts: NDArray, labels: NDArray, truth: NDArray, precision: float = 0.8) -> float:
    """Return the largest recall of wrong labels over all thresholds of doubt whose precision is at least `precision`.

    Samples without truth (-1) or without a label are left out.

    Parameters
    ----------
    doubts : (n,) float
        The higher, the more suspect.
    labels, truth : (n,)
    precision : float

    Returns
    -------
    float
        NaN without wrong labels, 0 if no threshold is precise enough.
    """
    has_truth = (truth != UNLABELLED) & (labels != UNLABELLED)
    is_wrong = (labels != truth)[has_truth]
    if not is_wrong.any():
        return float("nan")
    doubts = np.asarray(doubts, float)[has_truth]
    order = np.argsort(-doubts, kind="stable")
    wrong_above = np.cumsum(is_wrong[order])
    # Equal doubts are suspect together, so only the last of a run is a threshold.
    is_threshold = np.append(np.diff(doubts[order]) != 0, True)
    is_precise = is_threshold & (wrong_above >= precision * np.arange(1, len(wrong_above) + 1))
    return float(wrong_above[is_precise].max(initial=0) / is_wrong.sum())


def _counted_classes(probabilities: NDArray, labels: NDArray) -> NDArray[np.int64]:
    """Return the most probable of the classes that reach their threshold, (n,); -1 where none does."""
    confident = np.where(probabilities >= class_thresholds(probabilities, labels), probabilities, -1.0)
    return np.where(confident.max(axis=1) > 0, confident.argmax(axis=1), -1)


def _other_probabilities(probabilities: NDArray, labels: NDArray) -> NDArray[np.float64]:
    """Return the probabilities (n, classes) with that of the label replaced by -1."""
    others = np.array(probabilities, float)
    others[np.arange(len(labels)), np.maximum(labels, 0)] = -1
    return others
