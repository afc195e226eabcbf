"""Statistics of nights by stratum, and what they tell of a stratum among the others and of all of them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.learning.drift.night_features import NightFeatures
from tasks.learning.drift.weighted_samples import WeightedSample, limit, rescale

_LEAST_STRATA_FOR_CONTRAST = 3
_LEAST_STRATA_FOR_TRIM = 4


class Moments(NamedTuple):
    """A statistic by night and stratum, and the variance that its few rows give it, both (n, m); NaN without rows."""

    values: NDArray
    noise: NDArray


def score_nights(
    nights: Sequence[Mapping[str, WeightedSample]],
    strata: Sequence[str],
    scales: Mapping[str, tuple[float, float]],
    within: Mapping[str, tuple[float, float]],
) -> list[Moments]:
    """Return mean and mean size of the nights' scaled values by stratum: they tell a shift, and a change of width.

    `within` has the variances of both among the rows of one night.
    """
    shift, width, noise, width_noise = (np.full((len(nights), len(strata)), np.nan) for _ in range(4))
    for column, name in enumerate(strata):
        for row, night in enumerate(nights):
            if name in night:
                scaled = limit(rescale(night[name], scales[name]))
                share = scaled.weights / scaled.weights.sum()
                shift[row, column], width[row, column] = share @ scaled.values, share @ np.abs(scaled.values)
                noise[row, column], width_noise[row, column] = (share @ share * one for one in within[name])
    return [Moments(shift, noise), Moments(width, width_noise)]


def overall(moments: Moments) -> Moments:
    """Return the mean over all strata, (n, 1), without the lowest and the highest, which one faulty stratum makes."""
    values, noise = (np.full((len(moments.values), 1), np.nan) for _ in range(2))
    for row, (of_strata, its_noise) in enumerate(zip(moments.values, moments.noise, strict=True)):
        seen = np.flatnonzero(np.isfinite(of_strata))
        if len(seen) >= _LEAST_STRATA_FOR_TRIM:
            seen = seen[np.argsort(of_strata[seen], kind="stable")][1:-1]
        if len(seen):
            values[row], noise[row] = of_strata[seen].mean(), its_noise[seen].sum() / len(seen) ** 2
    return Moments(values, noise)


def contrasts(moments: Moments) -> Moments:
    """Return each stratum minus the median of the others, (n, m); nights with too few others keep the value itself."""
    values, noise = moments.values.copy(), moments.noise.copy()
    for row, (of_strata, its_noise) in enumerate(zip(moments.values, moments.noise, strict=True)):
        seen = np.flatnonzero(np.isfinite(of_strata))
        if len(seen) < _LEAST_STRATA_FOR_CONTRAST:
            continue
        for column in seen:
            others = seen[seen != column]
            values[row, column] -= np.median(of_strata[others])
            # The median of n values scatters pi / 2 times as much as their mean does.
            noise[row, column] += np.pi / 2 * its_noise[others].sum() / len(others) ** 2
    return Moments(values, noise)


def log_rates(nights: Sequence[NightFeatures], strata: Sequence[str]) -> Moments:
    """Return the logarithm of samples per visit, (n, m), with half a sample added so that it is finite."""
    values, noise = (np.full((len(nights), len(strata)), np.nan) for _ in range(2))
    for row, night in enumerate(nights):
        for column, name in enumerate(strata):
            if night.visits.get(name, 0) > 0:
                count = float(night.weights[night.strata == name].sum()) + 0.5
                values[row, column], noise[row, column] = np.log(count / night.visits[name]), 1 / count
    return Moments(values, noise)
