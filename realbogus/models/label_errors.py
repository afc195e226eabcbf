"""The rate of label errors, from a visual review of a sample stratified by label and score.

A stratum is one label and one bin of the out-of-fold logit. Errors are rare where score and label agree and common
where they disagree, so strata are sampled separately and weighted by size. Takahashi et al. 2022 take all labels in
the tails as wrong; here the tails are sampled too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

EDGES = np.arange(-4.0, 5.0)
"""Edges of the bins of the logit: eight of width 1, and one on either end."""
RIGHT, WRONG, UNSURE = "right", "wrong", "unsure"
VERDICTS = (RIGHT, WRONG, UNSURE)
DRAWS = 20_000


@dataclass(frozen=True)
class BinCount:
    """Verdicts of one stratum.

    Attributes
    ----------
    label, bin : int
    size : int
        Number of candidates.
    reviewed, wrong : int
        Number of verdicts right or wrong, and of those that the label is wrong.
    """

    label: int
    bin: int
    size: int
    reviewed: int
    wrong: int


@dataclass(frozen=True)
class ErrorRate:
    """Fraction of a class's labels that are wrong, with a 95 % interval and the counts behind it."""

    value: float
    low: float
    high: float
    labelled: int
    reviewed: int
    wrong: int


def assign_bins(logits: NDArray) -> NDArray[np.int64]:
    """Return the bin of each logit (n,), as (n,) from 0 to 9; an edge belongs to the higher bin."""
    return np.searchsorted(EDGES, logits, side="right")


def draw_sample(logits: NDArray, labels: NDArray, per_bin: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw the candidates to review: at random up to `per_bin` of each label and bin.

    Parameters
    ----------
    logits, labels : (n,)
    per_bin : int
    rng : numpy.random.Generator

    Returns
    -------
    (m,) int64
        Row numbers, ascending.
    """
    bins = assign_bins(logits)
    rows = [
        rng.permutation(np.flatnonzero((labels == label) & (bins == number)))[:per_bin]
        for label in (0, 1)
        for number in range(len(EDGES) + 1)
    ]
    return np.sort(np.concatenate(rows)).astype(np.int64)


def count_bins(logits: NDArray, labels: NDArray, sample: NDArray[np.int64], verdicts: Sequence[str]) -> list[BinCount]:
    """Count the verdicts by label and bin; bins without candidates are left out.

    Parameters
    ----------
    logits, labels : (n,)
    sample : (m,)
        Row numbers of the reviewed candidates.
    verdicts : (m,) str
        Of `VERDICTS`.
    """
    bins, verdict = assign_bins(logits), np.array(verdicts, str)
    counts = []
    for label in (0, 1):
        for number in range(len(EDGES) + 1):
            size = int(((labels == label) & (bins == number)).sum())
            decided = (labels[sample] == label) & (bins[sample] == number) & (verdict != UNSURE)
            if size:
                wrong = int((verdict[decided] == WRONG).sum())
                counts.append(BinCount(label, number, size, int(decided.sum()), wrong))
    return counts


def error_rates(counts: Sequence[BinCount], rng: np.random.Generator) -> Mapping[int, ErrorRate]:
    """Return the error rate of each label that has candidates.

    The value is the stratified estimate, 0.5 for a stratum without verdicts. For the interval, the error rate of each
    stratum is drawn from the distributions that bound it from below and above (Clopper and Pearson 1934), and the
    number of errors among candidates without a verdict from the binomial distribution of that rate. The interval
    covers the true rate with a probability of at least 95 %.
    """
    rates = {}
    for label in (0, 1):
        strata = [count for count in counts if count.label == label]
        if strata:
            rates[label] = _estimate_rate(strata, rng)
    return rates


def _estimate_rate(strata: Sequence[BinCount], rng: np.random.Generator) -> ErrorRate:
    """Return the error rate of one label."""
    least, most = np.zeros(DRAWS), np.zeros(DRAWS)
    size, value = sum(stratum.size for stratum in strata), 0.0
    for stratum in strata:
        wrong, right = stratum.wrong, stratum.reviewed - stratum.wrong
        unseen = stratum.size - stratum.reviewed
        least += wrong + rng.binomial(unseen, rng.beta(wrong, right + 1, DRAWS) if wrong else 0.0)
        most += wrong + rng.binomial(unseen, rng.beta(wrong + 1, right, DRAWS) if right else 1.0)
        value += stratum.size * (wrong / stratum.reviewed if stratum.reviewed else 0.5)
    return ErrorRate(
        value / size,
        float(np.quantile(least, 0.025) / size),
        float(np.quantile(most, 0.975) / size),
        size,
        sum(stratum.reviewed for stratum in strata),
        sum(stratum.wrong for stratum in strata),
    )
