"""Efficiency of each step in bins of a property: detection = found / injected, classification = kept / found, and their
product, completeness = kept / injected.

Chance matches with unrelated detections are corrected for. Their rate c is measured on the injections' positions
shifted by some pixels: of n injections, t truly detected, t + c (n - t) are matched.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainccinv, betaincinv


@dataclass(frozen=True)
class Rate:
    """A fraction with Jeffreys' 95 % interval and its counts; events are fractional where corrected for chance."""

    value: float
    low: float
    high: float
    events: float
    trials: int


@dataclass(frozen=True)
class EfficiencyBin:
    """The efficiencies in one bin.

    Attributes
    ----------
    low, high : float
        Edges of the bin; the upper is excluded.
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
    """Return a fraction with Jeffreys' 95 % interval; NaN and 0 to 1 without trials."""
    if not trials:
        return Rate(float("nan"), 0.0, 1.0, events, trials)
    low = 0.0 if events == 0 else float(betaincinv(events + 0.5, trials - events + 0.5, 0.025))
    high = 1.0 if events == trials else float(betainccinv(events + 0.5, trials - events + 0.5, 0.025))
    return Rate(events / trials, low, high, events, trials)


def efficiencies(
    values: NDArray, found: NDArray, kept: NDArray, chance: NDArray, edges: NDArray
) -> list[EfficiencyBin]:
    """Compute the three efficiencies in bins of `values`; bins without injections are left out.

    Parameters
    ----------
    values : ndarray of shape (n,)
        Of all injections; NaN is in no bin.
    found, kept : ndarray of bool, shape (n,)
        Matched with a detection; with one that scores above the threshold.
    chance : ndarray of bool, shape (n,)
        Matched with a detection at the shifted position.
    edges : ndarray of shape (m + 1,)
    """
    bins = []
    for low, high in pairwise(edges.tolist()):
        inside = (values >= low) & (values < high)
        injected = int(inside.sum())
        if not injected:
            continue
        matched, passed = int((inside & found).sum()), int((inside & found & kept).sum())
        elsewhere = (inside & chance).sum() / injected
        corrected = max(matched - elsewhere * injected, 0) / (1 - elsewhere) if elsewhere < 1 else 0.0
        detected = min(corrected, matched)  # it exceeds the matches by rounding alone
        # chance matches are assumed to be classified as true ones are
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
