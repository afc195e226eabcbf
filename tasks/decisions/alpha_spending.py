"""How the significance of a month is spent over the looks at a holdout.

Every night another challenger is compared on the same rows, so that one of many may win by luck alone. A spending
function (Lan & DeMets 1983, Biometrika 70, 659) says how much of the month's error probability is spent by the k-th of
the planned looks; a look is judged at what its own step adds. The steps of a month sum to ``alpha``, so that by the
union bound the chance of any false promotion in a month is at most ``alpha``, however the looks depend on each other.
The boundaries of group-sequential trials, which use the correlation of one accumulating statistic, do not apply: the
challengers differ.

The spending function is the power family's even one, ``alpha * t`` (Kim & DeMets 1987, Biometrika 74, 149, with
exponent 1). O'Brien-Fleming-like spending keeps nearly all for the last look, where a trial has most data. A holdout is
as large on the first night of a month as on the last, and a better model is worth as much: every look gets the same.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from tasks.decisions.decision import Decision

COMPARED = ("champion", "challenger", "holdout")
"""Digests of a decision that say which comparison was looked at."""


@dataclass(frozen=True)
class Look:
    """One look at a holdout.

    Attributes
    ----------
    month : str
        YYYY-MM of the night.
    number : int
        From 1 in each month.
    planned : int
        Looks a month among which ``alpha`` is divided.
    alpha : float
        Probability of a false promotion in a month.
    """

    month: str
    number: int
    planned: int
    alpha: float

    @property
    def level(self) -> float:
        """One-sided significance level of this look; 0 beyond the planned looks."""
        return cumulative_spending(self.number, self.planned, self.alpha) - cumulative_spending(
            self.number - 1, self.planned, self.alpha
        )

    @property
    def spent(self) -> float:
        """What the month has spent with this look."""
        return cumulative_spending(self.number, self.planned, self.alpha)


def cumulative_spending(looks: int, planned: int, alpha: float) -> float:
    """Return the error probability that the first `looks` of the planned ones spend: ``alpha * t``, at most alpha."""
    return alpha * min(looks / planned, 1.0)


def next_look(history: Iterable[Decision], night: str, compared: dict[str, str], planned: int, alpha: float) -> Look:
    """Return the look at a holdout that a comparison is.

    Looks are the decisions of the gate in the night's calendar month on the same holdout whose figures have a look. The
    comparison of the same models on the same rows has the answer that it had, so that a repeat takes its number again.

    Parameters
    ----------
    history : iterable of Decision
        Of one name.
    night : str
        YYYY-MM-DD.
    compared : dict
        Digests of `COMPARED`.
    planned : int
    alpha : float
    """
    month = night[:7]
    looked: list[tuple[str, ...]] = []
    for decision in history:
        digests = tuple(decision.digests.get(name, "") for name in COMPARED)
        is_look = decision.kind == "gate" and (decision.night or "").startswith(month) and decision.figures.get("look")
        if is_look and digests[-1] == compared["holdout"] and digests not in looked:
            looked.append(digests)
    this = tuple(compared[name] for name in COMPARED)
    number = looked.index(this) + 1 if this in looked else len(looked) + 1
    return Look(month, number, planned, alpha)
