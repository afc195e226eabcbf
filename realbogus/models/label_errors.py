"""How many labels are wrong: a stratified sample by score for human eyes, and what its verdicts come to.

A bin is one label and a stretch of the logit that a network gave out of fold. Errors are rare where score and label
agree and common in the tails, so bins are sampled apart and weighted by their size (Takahashi et al. 2022, where the
tails were taken as wrong throughout; here they are sampled too).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

EDGES = np.arange(-4.0, 5.0)
"""Logits between bins of width 1; beyond -4 and 4 lies a bin each."""
RIGHT, WRONG, UNSURE = "right", "wrong", "unsure"
VERDICTS = (RIGHT, WRONG, UNSURE)
DRAWS = 20_000


@dataclass(frozen=True)
class BinCount:
    """Verdicts of one bin.

    Attributes
    ----------
    label, bin : int
    size : int
        Candidates in it.
    judged, wrong : int
        Verdicts that decide, and those that say the label is wrong.
    """

    label: int
    bin: int
    size: int
    judged: int
    wrong: int


@dataclass(frozen=True)
class ErrorRate:
    """Share of a class's labels that are wrong, with a 95 % interval."""

    value: float
    low: float
    high: float
    labelled: int
    judged: int
    wrong: int


def assign_bins(logits: NDArray) -> NDArray[np.int64]:
    """Return the bin of each logit, 0 to 9."""
    return np.searchsorted(EDGES, logits, side="right")


def draw_sample(logits: NDArray, labels: NDArray, per_bin: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return positions to look at: at most `per_bin` of every label and bin, chosen at random, ascending."""
    bins = assign_bins(logits)
    chosen = [
        rng.permutation(np.flatnonzero((labels == label) & (bins == number)))[:per_bin]
        for label in (0, 1)
        for number in range(len(EDGES) + 1)
    ]
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def count_bins(logits: NDArray, labels: NDArray, judged: NDArray[np.int64], verdicts: Sequence[str]) -> list[BinCount]:
    """Return the verdicts by label and bin; bins without candidates are left out."""
    bins, said = assign_bins(logits), np.array(verdicts, str)
    counts = []
    for label in (0, 1):
        for number in range(len(EDGES) + 1):
            size = int(((labels == label) & (bins == number)).sum())
            mine = (labels[judged] == label) & (bins[judged] == number) & (said != UNSURE)
            if size:
                counts.append(BinCount(label, number, size, int(mine.sum()), int((said[mine] == WRONG).sum())))
    return counts


def error_rates(counts: Sequence[BinCount], rng: np.random.Generator) -> Mapping[int, ErrorRate]:
    """Return the error rate of each label.

    The value is the plain stratified estimate. For the ends the rate of each bin is drawn from the distributions that
    bound it from below and above (those of Clopper & Pearson 1934), and of the candidates that nobody judged as many
    are wrong as a draw says; so the interval covers at least 95 %. A bin without verdicts may hold anything.
    """
    rates = {}
    for label in (0, 1):
        mine = [count for count in counts if count.label == label]
        size = sum(count.size for count in mine)
        if not size:
            continue
        least, most = np.zeros(DRAWS), np.zeros(DRAWS)
        value = 0.0
        for count in mine:
            right, rest = count.judged - count.wrong, count.size - count.judged
            least += count.wrong + rng.binomial(rest, rng.beta(count.wrong, right + 1, DRAWS) if count.wrong else 0.0)
            most += count.wrong + rng.binomial(rest, rng.beta(count.wrong + 1, right, DRAWS) if right else 1.0)
            value += count.size * (count.wrong / count.judged if count.judged else 0.5)
        low, high = np.quantile(least, 0.025) / size, np.quantile(most, 0.975) / size
        rates[label] = ErrorRate(
            value / size,
            float(low),
            float(high),
            size,
            sum(count.judged for count in mine),
            sum(count.wrong for count in mine),
        )
    return rates
