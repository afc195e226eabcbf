"""Control charts of rates by night: are tonight's successes among its trials within what quiet nights scatter?

Nights scatter by more than a binomial does, since the sky differs, so the limits are those of a beta-binomial. Its
correlation within a night follows from the quiet nights (Williams 1982, Appl. Stat. 31, 144, without iteration), and
the scatter of the centre line is added to it. A point beyond a limit is outside, and so is a slow slide: an
exponentially weighted moving average (Lucas & Saccucci 1990, Technometrics 32, 1).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from scipy.special import betaln, ndtri

Rule = Literal["limit", "slide"]
ChartState = Literal["charted", "not_enough_quiet_nights"]
_MOST_CORRELATION = 0.99
_MOST_DEVIATE = 3.0


class ChartSettings(BaseModel):
    """When a point of a control chart is outside."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    false_alarms: float = Field(default=0.0027, gt=0, lt=0.5)
    """Share of quiet nights beyond the limits, on both sides together; the default is that of three sigma."""
    memory: float = Field(default=0.2, gt=0, le=1)
    """Weight of the newest night in the moving average."""
    slide_sigma: float = Field(default=2.86, gt=0)
    """Limit of the moving average in units of its scatter; the default is one false alarm in 370 nights."""
    least_nights: int = Field(default=8, ge=2)
    """Least number of quiet nights."""
    least_trials: int = Field(default=5, ge=1)
    """Least number of a night's trials; with fewer it is shown, and judged by no rule."""


@dataclass(frozen=True)
class NightCount:
    """Successes among the trials of one night."""

    night: str
    successes: int
    trials: int


@dataclass(frozen=True)
class ChartPoint:
    """A night on a control chart.

    Attributes
    ----------
    night : str
    rate, low, high : float
        The night's rate and its limits, which are wider for fewer trials; NaN without trials, or without a chart.
    trials : int
    average : float
        Moving average up to this night, in normal deviates from the centre; NaN where not judged.
    outside : Rule or None
        The rule that the night breaks.
    """

    night: str
    rate: float
    low: float
    high: float
    trials: int
    average: float
    outside: Rule | None


@dataclass(frozen=True)
class ControlChart:
    """The nights of one rate.

    Attributes
    ----------
    state : ChartState
        Without enough quiet nights no point is judged.
    centre : float
        Rate of the quiet nights; NaN without trials.
    correlation : float
        Of two trials of one night: 0 for a binomial.
    quiet : frozenset of str
        The nights that set centre and limits.
    points : tuple of ChartPoint
        In the order of the nights.
    """

    state: ChartState
    centre: float
    correlation: float
    quiet: frozenset[str]
    points: tuple[ChartPoint, ...]

    @property
    def outside(self) -> list[ChartPoint]:
        """The points that break a rule."""
        return [point for point in self.points if point.outside is not None]

    def to_summary(self) -> dict[str, Any]:
        """Return the chart, its last night and the nights outside with the keys of a summary."""
        last = self.points[-1] if self.points else None
        return {
            "state": self.state,
            "centre": _or_none(self.centre),
            "correlation": round(self.correlation, 5),
            "quiet_nights": len(self.quiet),
            "rate": None if last is None else _or_none(last.rate),
            "low": None if last is None else _or_none(last.low),
            "high": None if last is None else _or_none(last.high),
            "outside": {point.night: point.outside for point in self.outside},
        }


def control_chart(
    counts: Sequence[NightCount], quiet: Collection[str], settings: ChartSettings | None = None
) -> ControlChart:
    """Return the control chart of a rate.

    Parameters
    ----------
    counts : sequence of NightCount
        In the order of the nights, each once.
    quiet : collection of str
        Names of nights without a known fault; those without trials do not count.
    settings : ChartSettings, optional

    Raises
    ------
    ValueError
        A night has more successes than trials, or comes twice.
    """
    settings = settings or ChartSettings()
    _check(counts)
    setting = [count for count in counts if count.night in quiet and count.trials > 0]
    names = frozenset(count.night for count in setting)
    successes, trials = (np.array([getattr(count, name) for count in setting], float) for name in _COLUMNS)
    centre = float(successes.sum() / trials.sum()) if len(setting) else np.nan
    if len(setting) < settings.least_nights:
        shown = tuple(ChartPoint(c.night, _rate(c), np.nan, np.nan, c.trials, np.nan, None) for c in counts)
        return ControlChart("not_enough_quiet_nights", centre, 0.0, names, shown)
    correlation = estimate_correlation(successes, trials)
    # A centre of 0 or 1 would allow no other rate at all: half a success and half a failure are added.
    expected = (successes.sum() + 0.5) / (trials.sum() + 1)
    of_centre = float((trials * (1 + (trials - 1) * correlation)).sum() / trials.sum() ** 2)
    spread = min(correlation + of_centre, _MOST_CORRELATION)
    shapes = expected * (1 / spread - 1), (1 - expected) * (1 / spread - 1)
    points: list[ChartPoint] = []
    average = weight = 0.0
    for count in counts:
        point = _judge(count, shapes, average, weight, settings)
        if np.isfinite(point.average):
            average = point.average
            weight = (1 - settings.memory) ** 2 * weight + settings.memory**2
        points.append(point)
    return ControlChart("charted", centre, correlation, names, tuple(points))


_COLUMNS = ("successes", "trials")


def estimate_correlation(successes: np.ndarray, trials: np.ndarray) -> float:
    """Return the correlation of two trials of one night, 0 to 0.99, from nights (n,): 0 where they scatter no more than
    a binomial does.
    """
    centre = successes.sum() / trials.sum()
    if centre in (0, 1) or len(trials) < 2:
        return 0.0
    excess = ((successes - trials * centre) ** 2 / (trials * centre * (1 - centre))).sum() - (len(trials) - 1)
    slope = ((trials - 1) * (1 - trials / trials.sum())).sum()
    return float(np.clip(excess / slope, 0, _MOST_CORRELATION)) if slope > 0 else 0.0


def _judge(
    count: NightCount, shapes: tuple[float, float], average: float, weight: float, settings: ChartSettings
) -> ChartPoint:
    """Return the point of a night after others, whose moving average has the variance `weight`."""
    if count.trials == 0:
        return ChartPoint(count.night, np.nan, np.nan, np.nan, 0, np.nan, None)
    chances = _beta_binomial(count.trials, *shapes)
    up_to, half = np.cumsum(chances), settings.false_alarms / 2
    low, high = (int(np.searchsorted(up_to, tail)) / count.trials for tail in (half, 1 - half))
    rate = count.successes / count.trials
    if count.trials < settings.least_trials:
        return ChartPoint(count.night, rate, low, high, count.trials, np.nan, None)
    middle = min(up_to[count.successes] - chances[count.successes] / 2, 1.0)
    # One night beyond the limits is no slide: it counts in the average like one at the limit.
    deviate = float(np.clip(ndtri(middle), -_MOST_DEVIATE, _MOST_DEVIATE))
    average = (1 - settings.memory) * average + settings.memory * deviate
    scatter = np.sqrt((1 - settings.memory) ** 2 * weight + settings.memory**2)
    outside: Rule | None = None
    if rate < low or rate > high:
        outside = "limit"
    elif abs(average) > settings.slide_sigma * scatter:
        outside = "slide"
    return ChartPoint(count.night, rate, float(low), float(high), count.trials, average, outside)


def _beta_binomial(trials: int, a: float, b: float) -> np.ndarray:
    """Return the probabilities of 0 to `trials` successes, (trials + 1,), of a beta-binomial of shapes a and b."""
    count = np.arange(trials + 1)
    ways = -betaln(count + 1, trials - count + 1) - np.log(trials + 1)
    return np.asarray(np.exp(ways + betaln(count + a, trials - count + b) - betaln(a, b)))


def _check(counts: Sequence[NightCount]) -> None:
    seen: set[str] = set()
    for count in counts:
        if not 0 <= count.successes <= count.trials:
            raise ValueError(f"night {count.night}: {count.successes} successes of {count.trials} trials")
        if count.night in seen:
            raise ValueError(f"night {count.night} comes twice")
        seen.add(count.night)


def _rate(count: NightCount) -> float:
    return count.successes / count.trials if count.trials else np.nan


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)
