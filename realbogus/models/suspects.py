"""Which labels are suspect, from scores of networks that have not seen them, and what becomes of those.

Labels are 1 real, 0 bogus, -1 unlabelled; logits are out of fold. An unlabelled candidate is never suspect.
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
"""A lower one finds more wrong labels and takes more hard right ones; chosen on triplets that a study left out."""
LEAST_IN_STRATUM = 50
"""A smaller stratum is no evidence of a rule that picks on a kind."""


class SuspectError(ValueError):
    """A rule takes so much that it must be wrong; the message has the counts."""


def find_suspects(
    logits: NDArray, labels: NDArray, rule: SuspectRule, threshold: float = SUSPECT_THRESHOLD
) -> NDArray[np.bool_]:
    """Return which labels are suspect.

    Parameters
    ----------
    logits : (n,) float
        Logit of being real.
    labels : (n,) int
    rule : str
        ``misclassified``: the likelier class is the other one (the published rule). ``threshold``: the other one has
        more than `threshold`. ``confident``: the other one is at least as likely as it is on average for those that
        bear its label, and likelier than any class of which that holds (confident learning, Northcutt et al. 2021,
        1911.00068).
    threshold : float
    """
    real = expit(np.asarray(logits, float))
    chances = np.stack([1 - real, real], axis=1)
    labelled = labels != UNLABELLED
    other = np.where(labels == 1, chances[:, 0], chances[:, 1])
    if rule == "misclassified":
        return labelled & (other > 0.5)
    if rule == "threshold":
        return labelled & (other > threshold)
    usual = np.array([chances[labels == at, at].mean() if (labels == at).any() else np.inf for at in (0, 1)])
    confident = np.where(chances >= usual, chances, -1.0)
    chosen = np.where(confident.max(axis=1) > 0, confident.argmax(axis=1), labels)
    return labelled & (chosen != labels)


def check_suspect_shares(
    suspect: NDArray[np.bool_], labels: NDArray, strata: Mapping[str, NDArray], most: float = MOST_OF_STRATUM
) -> None:
    """Refuse a rule that takes a whole class, or more than `most` of a stratum.

    Parameters
    ----------
    suspect : (n,) bool
    labels : (n,) int
    strata : mapping of name to (n,) str
        By what candidates are cut, such as bins of magnitude; an empty word is no stratum.
    most : float

    Raises
    ------
    SuspectError
    """
    for at, name in enumerate(CLASSES):
        mine = labels == at
        if mine.any() and suspect[mine].all():
            raise SuspectError(
                f"all {int(mine.sum())} {name} labels are suspect ({int((labels == 1 - at).sum())} are "
                f"{CLASSES[1 - at]}): the networks have learnt nothing, or the labels are turned round"
            )
    labelled = labels != UNLABELLED
    for name, words in strata.items():
        for word in np.unique(words[labelled]):
            mine = labelled & (words == word)
            taken = int(suspect[mine].sum())
            if word != "" and mine.sum() >= LEAST_IN_STRATUM and taken > most * mine.sum():
                raise SuspectError(
                    f"{taken} of {int(mine.sum())} labels with {name} {word} are suspect, more than {most:.0%}: the "
                    "rule takes a kind of candidate for errors; choose another rule, or raise most_of_stratum"
                )


def handle_suspects(labels: NDArray, suspect: NDArray[np.bool_], handling: Handling) -> NDArray[np.int32]:
    """Return the labels after suspects were kept, unlabelled (``remove`` too) or flipped."""
    changed = np.asarray(labels, np.int32).copy()
    if handling == "flip":
        changed[suspect] = 1 - changed[suspect]
    elif handling != "keep":
        changed[suspect] = UNLABELLED
    return changed


@dataclass(frozen=True)
class SuspectScore:
    """How well suspects are the wrong labels.

    Attributes
    ----------
    precision, recall : float
        NaN where there are no suspects, or nothing is wrong.
    suspects, wrong, both : int
    """

    precision: float
    recall: float
    suspects: int
    wrong: int
    both: int


def score_suspects(suspect: NDArray[np.bool_], labels: NDArray, truth: NDArray) -> SuspectScore:
    """Compare suspects with labels that differ from the truth; what has no truth (-1) or no label does not count."""
    known = (truth != UNLABELLED) & (labels != UNLABELLED)
    wrong = known & (labels != truth)
    picked = known & suspect
    both = int((wrong & picked).sum())
    return SuspectScore(
        both / picked.sum() if picked.any() else float("nan"),
        both / wrong.sum() if wrong.any() else float("nan"),
        int(picked.sum()),
        int(wrong.sum()),
        both,
    )


def recall_at_precision(logits: NDArray, labels: NDArray, truth: NDArray, precision: float = 0.8) -> float:
    """Return the most of the wrong labels that any threshold finds with at least `precision`.

    Labels are ranked by how much the scores speak for the other class; equal ones are suspect together. NaN where
    nothing is wrong, 0 where no threshold is as precise; what has no truth (-1) or no label does not count.
    """
    known = (truth != UNLABELLED) & (labels != UNLABELLED)
    wrong = (labels != truth)[known]
    if not wrong.any():
        return float("nan")
    doubt = np.where(labels == 1, -1.0, 1.0)[known] * np.asarray(logits, float)[known]
    order = np.argsort(-doubt, kind="stable")
    found = np.cumsum(wrong[order])
    last = np.append(np.diff(doubt[order]) != 0, True)
    good = last & (found >= precision * np.arange(1, len(found) + 1))
    return float(found[good].max(initial=0) / wrong.sum())
