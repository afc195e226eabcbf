"""How many transients survive each step: detection = found / injected, classification = kept / found, and their
product, completeness = kept / injected, in bins of what they may depend on.

An injection that a detection met by chance would count as found; how often that happens is known from injections
moved by some pixels, and is taken off: of n injections, t truly detected, and a share c of all places with a detection
that has nothing to do with them, t + c (n - t) are matched.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainccinv, betaincinv


@dataclass(frozen=True)
class Rate:
    """A share with Jeffreys' 95 % interval and its counts; events are what is expected where chance is taken off."""

    value: float
    low: float
    high: float
    events: float
    trials: int


@dataclass(frozen=True)
class EfficiencyBin:
    """One bin.

    Attributes
    ----------
    low, high : float
        Its ends.
    centre : float
        Median of the values in it.
    detection, classification, completeness : Rate
    """

    low: float
    high: float
    centre: float
    detection: Rate
    classification: Rate
    completeness: Rate


def rate_of(events: float, trials: int) -> Rate:
    """Return a share with Jeffreys' interval; NaN and 0 to 1 without trials."""
    if not trials:
        return Rate(float("nan"), 0.0, 1.0, events, trials)
    low = 0.0 if events == 0 else float(betaincinv(events + 0.5, trials - events + 0.5, 0.025))
    high = 1.0 if events == trials else float(betainccinv(events + 0.5, trials - events + 0.5, 0.025))
    return Rate(events / trials, low, high, events, trials)


def efficiencies(
    values: NDArray, found: NDArray, kept: NDArray, chance: NDArray, edges: NDArray
) -> list[EfficiencyBin]:
    """Return the three efficiencies in bins of `values`; bins without injections are left out.

    Parameters
    ----------
    values : ndarray, (n,)
        Of every injection, found or not.
    found, kept : ndarray of bool, (n,)
        Matched by a detection; and that detection scored above the threshold.
    chance : ndarray of bool, (n,)
        Matched by a detection when moved away.
    edges : ndarray, (m + 1,)
    """
    bins = []
    for low, high in pairwise(edges.tolist()):
        inside = (values >= low) & (values < high)
        injected = int(inside.sum())
        if not injected:
            continue
        matched, passed = int((inside & found).sum()), int((inside & found & kept).sum())
        elsewhere = (inside & chance).sum() / injected
        detected = max(matched - elsewhere * injected, 0) / (1 - elsewhere) if elsewhere < 1 else 0.0
        # What was met by chance has no class of its own, so it is taken off in equal parts.
        complete = detected * passed / matched if matched else 0.0
        bins.append(
            EfficiencyBin(
                low,
                high,
                float(np.median(values[inside])),
                rate_of(detected, injected),
                rate_of(passed, matched),
                rate_of(complete, injected),
            )
        )
    return bins
