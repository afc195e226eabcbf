"""Whether a dataset is large enough for the question that a page answers, and how much more to ask for."""

import math
from collections.abc import Mapping
from typing import Any

from expectations.split_shares import PART_SHARES
from tasks.learning.operating_points import LEAST_EVENTS
from tasks.reports.page import Sufficiency

NARROW_FACTOR = 1.5
"""A rate is known well if the ends of its interval lie within this factor of it."""
RATE_ASKED = 0.01
"""The rate that a larger set is asked to resolve where nothing is known yet."""
NARROW_SHARE = 0.02
"""A share is known well if the ends of its interval lie within this of it."""
LEAST_OF_A_CLASS = 10
"""Fewest samples of a class for a rate of it to be given."""


def rate_sufficiency(
    passed: int, count: int, low: float | None, high: float | None, noun: str, visits: int | None = None
) -> tuple[Sufficiency, str]:
    """Return whether a small rate is known, and the sentence that says so.

    Parameters
    ----------
    passed, count : int
        Events, and samples of which they are events.
    low, high : float or None
        Ends of the rate's interval; None where groups are too few for one.
    noun : str
        What the samples are called, such as ``bogus``.
    visits : int, optional
        Visits of the survey that they come from, where more can be asked for.
    """
    if passed < LEAST_EVENTS:
        wanted = math.ceil(max(LEAST_EVENTS / max(passed / count, RATE_ASKED), 2 * count))
        return "too few", (
            f"{count:,} {noun}, of which {passed} pass, give an upper limit and no rate; a rate needs some "
            f"{wanted:,} {noun}, {_times(wanted / count, visits)}."
        )
    if low is None or high is None or low <= 0:
        return "little", f"{count:,} {noun} come from too few groups for an interval: add visits or fields."
    rate = passed / count
    factor = max(high / rate, rate / low)
    said = f"{count:,} {noun}, of which {passed:,} pass, give the rate within a factor of {factor:.2g}"
    if factor <= NARROW_FACTOR:
        return "enough", f"{said}."
    more = (math.log(factor) / math.log(NARROW_FACTOR)) ** 2
    return "little", f"{said}; {_times(more, visits)} would give it within {NARROW_FACTOR:g}."


def share_sufficiency(count: int, low: float, high: float, noun: str) -> tuple[Sufficiency, str]:
    """Return whether a share such as an accuracy is known, and the sentence that says so."""
    half = (high - low) / 2
    if not math.isfinite(half):
        return "little", f"{count:,} {noun} come from too few groups for an interval."
    said = f"{count:,} {noun} give it within {half:.3f}"
    if half <= NARROW_SHARE:
        return "enough", f"{said}."
    wanted = math.ceil(count * (half / NARROW_SHARE) ** 2)
    return "little", f"{said}; some {wanted:,} would give it within {NARROW_SHARE:g}."


def class_sufficiency(counts: Mapping[str, int], visits: int | None = None) -> tuple[Sufficiency, str]:
    """Return whether the smallest of the classes can be tested, and the sentence that says so.

    `visits` as in `rate_sufficiency`.
    """
    name, least = min(counts.items(), key=lambda item: item[1])
    tested = round(least * PART_SHARES["test"])
    said = f"The smallest class, {name}, has {least:,} samples, some {tested} of them in the test part"
    if tested >= LEAST_OF_A_CLASS:
        return "enough", f"{said}."
    times = LEAST_OF_A_CLASS / PART_SHARES["test"] / max(least, 1)
    verdict: Sufficiency = "too few" if tested < LEAST_OF_A_CLASS / 5 else "little"
    return verdict, f"{said}; {_times(times, visits)} would give {LEAST_OF_A_CLASS} to test."


def visits_of(manifest: Mapping[str, Any]) -> int | None:
    """Return the number of visits that a simulated survey was asked for; None for any other dataset."""
    request = manifest.get("parameters") or {}
    return request.get("visits") if request.get("source") == "simulated" else None


def _times(factor: float, visits: int | None) -> str:
    times = f"{factor:.1f} times" if factor < 10 else f"{factor:,.0f} times"
    return f"{times} as many" + ("" if visits is None else f" (visits={math.ceil(visits * factor):,})")
