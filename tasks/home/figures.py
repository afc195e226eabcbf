"""Figures with their intervals, from what summaries and ledgers tell of them."""

import math
from collections.abc import Mapping
from typing import Any

from tasks.home.status import Figure
from tasks.learning.intervals import Interval, intervals_among


def figure_of(name: str, interval: Interval) -> Figure:
    """Return a figure; ends that are NaN are none."""
    low, high = (None if math.isnan(end) else end for end in (interval.low, interval.high))
    return Figure(name=name, value=interval.value, low=low, high=high)


def known_figures(summary: Mapping[str, Any], names: Mapping[str, str]) -> tuple[Figure, ...]:
    """Return the numbers of a summary under some names, called as these say; what is None or absent is left out."""
    numbers = {name: value for name, value in summary.items() if isinstance(value, int | float)}
    measured = intervals_among(numbers)
    return tuple(figure_of(text, measured[name]) for name, text in names.items() if name in measured)


def gate_figures(figures: Mapping[str, Any]) -> tuple[Figure, ...]:
    """Return what the gate compared two models by, from the figures of its decision; nothing if it could not.

    The ends of the ratio are at the gate's level of that night, not of 95 %.
    """
    compared = figures.get("figure") or {}
    called = compared.get("name", "share decided wrongly")
    names = {
        "champion": f"{called}: champion",
        "challenger": "challenger",
        "ratio": "challenger over champion",
    }
    return known_figures(compared, names)
