"""Resampling of groups: rows of one group are not independent, so whole groups are drawn."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from tasks.learning.intervals import LEAST_GROUPS_FOR_INTERVAL, Interval


def resampled_rows(
    groups: Sequence[str] | NDArray, rng: np.random.Generator, repeats: int
) -> Iterator[NDArray[np.int64]]:
    """Yield, for each repeat, the row numbers (m,) of as many groups as there are, drawn with replacement.

    The rows of a group that is drawn twice come twice. Of fewer than `LEAST_GROUPS_FOR_INTERVAL` groups nothing is
    drawn.

    Parameters
    ----------
    groups : (n,)
        Group of each row.
    rng : Generator
    repeats : int
    """
    names, group_of_row = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < LEAST_GROUPS_FOR_INTERVAL:
        return
    order = np.argsort(group_of_row, kind="stable")
    sizes = np.bincount(group_of_row)
    starts = np.cumsum(sizes) - sizes
    for _ in range(repeats):
        drawn = rng.integers(len(names), size=len(names))
        yield order[_runs(starts[drawn], sizes[drawn])]


def resampled_counts(
    groups: Sequence[str] | NDArray, rng: np.random.Generator, repeats: int, block_cells: int = 2_000_000
) -> Iterator[NDArray[np.float64]]:
    """Yield blocks (b, n) of how often each of n rows is drawn in b repeats; together there are `repeats`.

    As in `resampled_rows` as many groups are drawn as there are, with replacement; of fewer than
    `LEAST_GROUPS_FOR_INTERVAL` groups nothing is drawn.

    Parameters
    ----------
    groups : (n,)
        Group of each row.
    rng : Generator
    repeats : int
    block_cells : int
        Largest number of values of a block with more than one repeat.
    """
    names, group_of_row = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < LEAST_GROUPS_FOR_INTERVAL:
        return
    most = max(1, block_cells // len(group_of_row))
    chances = np.full(len(names), 1 / len(names))
    for first in range(0, repeats, most):
        drawn = rng.multinomial(len(names), chances, size=min(most, repeats - first))
        yield drawn[:, group_of_row].astype(np.float64)


def percentile_interval(value: float, resampled: Sequence[float] | NDArray, level: float = 0.95) -> Interval:
    """Return `value` between the percentiles of its resampled values (repeats,), of which NaN are left out.

    `level` is the fraction of the values between the ends; they are NaN where there are no values.
    """
    values = np.asarray(resampled, float)
    values = values[~np.isnan(values)]
    tail = (1 - level) / 2
    low, high = np.quantile(values, [tail, 1 - tail]) if len(values) else (math.nan, math.nan)
    return Interval(value, float(low), float(high))


def _runs(starts: NDArray, sizes: NDArray) -> NDArray[np.int64]:
    """Return start, start + 1, ... for each run, one after another."""
    offsets = np.cumsum(sizes) - sizes
    return np.repeat(starts - offsets, sizes) + np.arange(sizes.sum())
