"""Weighted values of one feature in one stratum: pooled, scaled by the quiet spread, and compared."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import wasserstein_distance

from tasks.learning.drift.night_features import NightFeatures

MOST_SPREADS = 6.0
"""Values further from the quiet median count as this many spreads in a night's mean."""
_LEAST_VARIANCE = 1e-3
"""Of rows within a night, in squared spreads, where they are all equal."""


class WeightedSample(NamedTuple):
    """Values (n,) with their weights (n,)."""

    values: NDArray
    weights: NDArray


def samples_by_stratum(night: NightFeatures, feature: str) -> dict[str, WeightedSample]:
    """Return the values of a night's feature by stratum, missing ones left out, strata without values too."""
    if feature not in night.values:
        return {}
    usable = np.isfinite(night.values[feature]) & (night.weights > 0)
    values, weights, strata = night.values[feature][usable], night.weights[usable], night.strata[usable]
    return {str(name): WeightedSample(values[strata == name], weights[strata == name]) for name in np.unique(strata)}


def pool_samples(samples: Sequence[WeightedSample]) -> WeightedSample:
    """Return the values of all samples with their weights, in order."""
    if not samples:
        return WeightedSample(np.empty(0), np.empty(0))
    values, weights = zip(*samples, strict=True)
    return WeightedSample(np.concatenate(values), np.concatenate(weights))


def quantile(sample: WeightedSample, fraction: float) -> float:
    """Return a weighted quantile; NaN without values."""
    if len(sample.values) == 0:
        return np.nan
    order = np.argsort(sample.values, kind="stable")
    reached = np.cumsum(sample.weights[order]) / sample.weights.sum()
    place = min(int(np.searchsorted(reached, fraction)), len(order) - 1)
    return float(sample.values[order[place]])


def measure_scale(pool: WeightedSample) -> tuple[float, float] | None:
    """Return median and spread of quiet values: half of the central 68 %, or the standard deviation where that is 0.

    None without values, or where all are equal.
    """
    if len(pool.values) == 0 or pool.values.min() == pool.values.max():
        return None
    median, low, high = (quantile(pool, float(ndtr(sigma))) for sigma in (0, -1, 1))
    mean = np.average(pool.values, weights=pool.weights)
    deviation = float(np.sqrt(np.average((pool.values - mean) ** 2, weights=pool.weights)))
    return median, (high - low) / 2 or deviation


def rescale(sample: WeightedSample, scale: tuple[float, float]) -> WeightedSample:
    """Return the values from the median of a scale (`measure_scale`), in units of its spread."""
    return WeightedSample((sample.values - scale[0]) / scale[1], sample.weights)


def distance(first: WeightedSample, second: WeightedSample) -> float:
    """Return the Wasserstein distance: how far values must be moved on average to turn one sample into the other."""
    return float(wasserstein_distance(first.values, second.values, first.weights, second.weights))


def variances_within(samples: Sequence[WeightedSample]) -> tuple[float, float]:
    """Return the variances of scaled values and of their sizes among rows of one night, from several nights."""
    total, rows = np.zeros(2), 0
    for values, _ in samples:
        total += [len(values) * np.var(values), len(values) * np.var(np.abs(values))]
        rows += len(values) - 1
    first, second = np.maximum(total / max(rows, 1), _LEAST_VARIANCE)
    return float(first), float(second)


def limit(scaled: WeightedSample) -> WeightedSample:
    """Return scaled values with the outliers moved in, so that one does not make a night's mean."""
    return WeightedSample(np.clip(scaled.values, -MOST_SPREADS, MOST_SPREADS), scaled.weights)
