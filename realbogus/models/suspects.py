"""Suspect labels, by out-of-fold scores of networks, and their handling before another training.

Labels are 1 real, 0 bogus, -1 unlabelled. An unlabelled candidate is never suspect.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

SuspectRule = Literal["misclassified", "threshold", "confident"]
Handling = Literal["keep", "remove", "unlabel", "flip"]
UNLABELLED = -1
CLASSES = ("bogus", "real")
MOST_OF_STRATUM = 0.2
SUSPECT_THRESHOLD = 0.65
"""A lower one finds more wrong labels, and more correct ones that are hard; tuned on triplets not used in a study."""
LEAST_IN_STRATUM = 50
"""Smaller strata are not checked."""


class SuspectError(ValueError):
    """An implausible fraction of labels is suspect; the message has the counts."""


def find_suspects(
    logits: NDArray, labels: NDArray, rule: SuspectRule, threshold: float = SUSPECT_THRESHOLD
) -> NDArray[np.bool_]:
    """Return whether each label is suspect, (n,) bool.

    Parameters
    ----------
    logits : (n,) float
        Out-of-fold logit of being real.
    labels : (n,) int
    rule : str
        ``misclassified``: the other class has a probability above 0.5 (the published rule). ``threshold``: it has one
        above `threshold`. ``confident``: it is the most probable of the classes whose probability is at least the mean
        over the candidates with that label (confident learning, Northcutt et al. 2021, 1911.00068).
    threshold : float
    """
    real = expit(np.asarray(logits, float))
    probabilities = np.stack([1 - real, real], axis=1)
    is_labelled = labels != UNLABELLED
    other = np.where(labels == 1, probabilities[:, 0], probabilities[:, 1])
    if rule == "misclassified":
        return is_labelled & (other > 0.5)
    if rule == "threshold":
        return is_labelled & (other > threshold)
    self_confidence = np.full(len(CLASSES), np.inf)
    for label in range(len(CLASSES)):
        if (labels == label).any():
            self_confidence[label] = probabilities[labels == label, label].mean()
    confident = np.where(probabilities >= self_confidence, probabilities, -1.0)
    predicted = np.where(confident.max(axis=1) > 0, confident.argmax(axis=1), labels)
    return is_labelled & (predicted != labels)


def check_suspect_shares(
    suspect: NDArray[np.bool_], labels: NDArray, strata: Mapping[str, NDArray], most: float = MOST_OF_STRATUM
) -> None:
    """Raise if all labels of a class are suspect, or more than a fraction of a stratum.

    Parameters
    ----------
    suspect : (n,) bool
    labels : (n,) int
    strata : mapping of name to (n,) str
        Stratum of each candidate by the name of the property, such as its bin of magnitude; empty text is no stratum.
    most : float
        Largest fraction of a stratum.

    Raises
    ------
    SuspectError
    """
    for label, name in enumerate(CLASSES):
        of_class = labels == label
        if of_class.any() and suspect[of_class].all():
            raise SuspectError(
                f"all {int(of_class.sum())} {name} labels are suspect ({int((labels == 1 - label).sum())} are "
                f"{CLASSES[1 - label]}): the networks have learnt nothing, or the labels are swapped"
            )
    is_labelled = labels != UNLABELLED
    for name, strata_of_rows in strata.items():
        for stratum in np.unique(strata_of_rows[is_labelled]):
            rows = is_labelled & (strata_of_rows == stratum)
            size, count = int(rows.sum()), int(suspect[rows].sum())
            if stratum != "" and size >= LEAST_IN_STRATUM and count > most * size:
                raise SuspectError(
                    f"{count} of {size} labels with {name} {stratum} are suspect, more than {most:.0%}: the rule "
                    "mistakes a kind of candidate for errors; choose another rule, or raise most_of_stratum"
                )


def handle_suspects(labels: NDArray, suspect: NDArray[np.bool_], handling: Handling) -> NDArray[np.int32]:
    """Return labels (n,) int32 with the suspect ones, (n,) bool, kept, flipped, or unlabelled.

    ``remove`` unlabels as well: the caller drops unlabelled candidates.
    """
    changed = np.asarray(labels, np.int32).copy()
    if handling == "flip":
        changed[suspect] = 1 - changed[suspect]
    elif handling != "keep":
        changed[suspect] = UNLABELLED
    return changed


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

    Candidates without truth (-1) or without a label are left out.
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


def recall_at_precision(logits: NDArray, labels: NDArray, truth: NDArray, precision: float = 0.8) -> float:
    """Return the largest recall of wrong labels over all thresholds whose precision is at least `precision`.

    The threshold is on the logit of the other class. Candidates without truth (-1) or without a label are left out.

    Parameters
    ----------
    logits, labels, truth : (n,)
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
    doubt = np.where(labels == 1, -1.0, 1.0)[has_truth] * np.asarray(logits, float)[has_truth]
    order = np.argsort(-doubt, kind="stable")
    wrong_above = np.cumsum(is_wrong[order])
    # Equal doubts are suspect together, so only the last of a run is a threshold.
    is_threshold = np.append(np.diff(doubt[order]) != 0, True)
    is_precise = is_threshold & (wrong_above >= precision * np.arange(1, len(wrong_above) + 1))
    return float(wrong_above[is_precise].max(initial=0) / is_wrong.sum())
