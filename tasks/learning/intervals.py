"""Intervals of measured values, and how they are shown."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

LEAST_GROUPS_FOR_INTERVAL = 10
"""Of fewer groups a bootstrap gives no interval: it knows only the scatter among the groups at hand, so the interval of
few is too narrow (Cameron, Gelbach & Miller 2008, Rev. Econ. Stat. 90, 414), and that of one has no width."""
NO_INTERVAL = f"no interval: fewer than {LEAST_GROUPS_FOR_INTERVAL} groups"


class Interval(NamedTuple):
    """A value between the ends of its interval; the ends are NaN where there is none."""

    value: float
    low: float
    high: float

    @classmethod
    def from_summary(cls, summary: Mapping[str, Any], name: str) -> "Interval":
        """Return what `to_summary` gave of an interval called `name`."""
        values = (summary[name], summary[f"{name}_low"], summary[f"{name}_high"])
        return cls(*(math.nan if value is None else value for value in values))

    def to_summary(self, name: str) -> dict[str, float | None]:
        """Return the entries ``name, name_low, name_high`` of a summary; None for NaN."""
        values = dict(zip((name, f"{name}_low", f"{name}_high"), self, strict=True))
        return {key: None if math.isnan(value) else value for key, value in values.items()}

    def ends(self, spec: str, between: str = " to ") -> str:
        """Return the ends as text, each in the format `spec`, or `NO_INTERVAL`."""
        return format_ends(self.low, self.high, spec, between)


def format_ends(low: float | None, high: float | None, spec: str, between: str = " to ") -> str:
    """Return the ends of an interval as text, each in the format `spec`; `NO_INTERVAL` where they are None or NaN."""
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return NO_INTERVAL
    return f"{low:{spec}}{between}{high:{spec}}"


def intervals_among(numbers: Mapping[str, float]) -> dict[str, Interval]:
    """Return named numbers, each with the ends of its interval where ``NAME_low`` and ``NAME_high`` are beside it.

    Those two are no numbers of their own then.
    """
    ends = {name for name in numbers if name.endswith(("_low", "_high")) and name.rpartition("_")[0] in numbers}
    return {
        name: Interval(value, numbers.get(f"{name}_low", math.nan), numbers.get(f"{name}_high", math.nan))
        for name, value in numbers.items()
        if name not in ends
    }
