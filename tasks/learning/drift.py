"""Drift: do tonight's samples differ from those of quiet nights by more than quiet nights differ from each other?

Every feature is compared in every stratum (a detector, say) and over all of them. Effects are distances of
distributions, so that a small change is not drift because samples are many. The test is on nights, not on rows: a quiet
night's seeing shifts all its rows alike, so that a test over rows would alarm every night.

Over all strata the night's mean is compared, which the whole camera shares; in a stratum its difference from the other
strata of the night, in which that cancels. So poor seeing is a finding over all, a faulty detector one of its own.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.special import ndtr
from scipy.stats import wasserstein_distance

from tasks.learning.night_features import NightFeatures
from tasks.learning.quiet_scatter import Deviations, estimate_prior_degrees, measure_deviations, reject

ALL = "all strata"
"""The stratum of all strata together."""
RATE = "rate"
"""The feature of the number of samples per visit."""
_LEAST_STRATA_FOR_CONTRAST = 3
_LEAST_STRATA_FOR_TRIM = 4
_MOST_SPREADS = 6.0
"""Values further from the quiet median count as this many spreads in a night's mean."""
_LEAST_VARIANCE = 1e-3
"""Of rows within a night, in squared spreads, where they are all equal."""

State = Literal["compared", "unknown", "few_nights", "few_rows", "constant"]
"""What became of a comparison: made; no quiet night has the stratum or feature; too few have it; tonight has too few
rows; or all quiet values are equal, so that they have no scatter to judge another value by."""
Verdict = Literal["quiet", "drifted", "not_enough_quiet_nights"]


class DriftSettings(BaseModel):
    """When a difference is called drift."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    false_discovery_rate: float = Field(default=0.05, gt=0, lt=1)
    """Over all strata and features of a night."""
    least_effect: float = Field(default=0.25, ge=0)
    """Least effect of a drift."""
    least_nights: int = Field(default=8, ge=3)
    """Least number of quiet nights, of the check and of each stratum and feature."""
    least_rows: int = Field(default=5, ge=2)
    """Least number of tonight's samples in a comparison."""


@dataclass(frozen=True)
class Finding:
    """The comparison of one feature in one stratum.

    Attributes
    ----------
    stratum, feature : str
    state : State
    effect : float
        Wasserstein distance between tonight and the quiet nights, in units of the quiet spread; of `RATE` the absolute
        logarithm of the ratio. NaN unless compared.
    p_value : float
        Of the quiet nights' scatter; 1 unless compared.
    drifted : bool
        The effect is large enough, and the p-value rejected at the false-discovery rate.
    tonight, quiet : float
        Median, of `RATE` samples per visit; NaN without samples.
    rows, nights : int
        Tonight's samples with a value, and the quiet nights that have some.
    """

    stratum: str
    feature: str
    state: State
    effect: float
    p_value: float
    drifted: bool
    tonight: float
    quiet: float
    rows: int
    nights: int

    def __str__(self) -> str:
        """Return the finding in words."""
        if self.state != "compared":
            return f"{self.stratum} {self.feature}: {self.state} ({self.rows} rows, {self.nights} quiet nights)"
        unit = "ln of the ratio" if self.feature == RATE else "quiet spreads"
        return (
            f"{self.stratum} {self.feature}: {self.tonight:.4g} instead of {self.quiet:.4g}, effect {self.effect:.2f} "
            f"{unit}, p {self.p_value:.1g}"
        )


@dataclass(frozen=True)
class DriftCheck:
    """The check of one night.

    Attributes
    ----------
    night : str
    verdict : Verdict
    quiet_nights : int
    findings : tuple of Finding
        By stratum and feature, `ALL` first; empty without enough quiet nights.
    """

    night: str
    verdict: Verdict
    quiet_nights: int
    findings: tuple[Finding, ...]

    @property
    def drifted(self) -> list[Finding]:
        """The findings that are drift, the largest effect first."""
        return sorted((finding for finding in self.findings if finding.drifted), key=lambda found: -found.effect)

    def to_table(self) -> pa.Table:
        """Return the findings, one a row."""
        return pa.Table.from_pylist([asdict(finding) for finding in self.findings], schema=_FINDINGS)

    def to_summary(self) -> dict[str, Any]:
        """Return the check with the keys of a summary."""
        states = Counter(finding.state for finding in self.findings)
        unknown = sorted({finding.stratum for finding in self.findings if finding.state == "unknown"} - {ALL})
        return {
            "verdict": self.verdict,
            "quiet_nights": self.quiet_nights,
            "compared": states.pop("compared", 0),
            "not_compared": dict(states),
            "unknown": unknown,
            "drifted": [
                {
                    "stratum": finding.stratum,
                    "feature": finding.feature,
                    "effect": round(finding.effect, 3) if np.isfinite(finding.effect) else None,
                    "p_value": finding.p_value,
                }
                for finding in self.drifted
            ],
        }


_FINDINGS = pa.schema(
    [
        *((name, pa.string()) for name in ("stratum", "feature", "state")),
        *((name, pa.float64()) for name in ("effect", "p_value")),
        ("drifted", pa.bool_()),
        *((name, pa.float64()) for name in ("tonight", "quiet")),
        *((name, pa.int64()) for name in ("rows", "nights")),
    ]
)


class _Sample(NamedTuple):
    """Values (n,) with their weights (n,)."""

    values: NDArray
    weights: NDArray


class _Moments(NamedTuple):
    """A statistic by night and stratum, and the variance that its few rows give it, both (n, m); NaN without rows."""

    values: NDArray
    noise: NDArray


@dataclass(frozen=True)
class _Comparison:
    """The findings of one feature, `ALL` first, without p-values, and the deviations that p-values follow from.

    `compared` are the positions of the findings of strata that were compared; `of_strata` has their deviations, of each
    statistic, and `of_all` those over all strata, empty if they were not compared.
    """

    findings: list[Finding]
    compared: list[int]
    of_strata: list[Deviations]
    of_all: list[Deviations]


def check_drift(
    tonight: NightFeatures, quiet: Sequence[NightFeatures], settings: DriftSettings | None = None
) -> DriftCheck:
    """Compare a night with quiet ones.

    Parameters
    ----------
    tonight : NightFeatures
    quiet : sequence of NightFeatures
        Nights without a known fault, `tonight` not among them.
    settings : DriftSettings, optional
    """
    settings = settings or DriftSettings()
    if len(quiet) < settings.least_nights:
        return DriftCheck(tonight.night, "not_enough_quiet_nights", len(quiet), ())
    names = sorted({name for night in (tonight, *quiet) for name in night.values})
    comparisons = [_compare_feature(name, tonight, quiet, settings) for name in names]
    if tonight.visits:
        comparisons.append(_compare_rates(tonight, quiet, settings))
    prior = estimate_prior_degrees([one for comparison in comparisons for one in comparison.of_strata])
    findings = [finding for comparison in comparisons for finding in _with_p_values(comparison, prior)]
    findings.sort(key=lambda finding: (finding.stratum != ALL, finding.stratum, finding.feature))
    tested = [place for place, finding in enumerate(findings) if finding.state == "compared"]
    rejected = reject(np.array([findings[place].p_value for place in tested]), settings.false_discovery_rate)
    for place, is_rejected in zip(tested, rejected.tolist(), strict=True):
        drifted = is_rejected and findings[place].effect >= settings.least_effect
        findings[place] = replace(findings[place], drifted=drifted)
    verdict: Verdict = "drifted" if any(finding.drifted for finding in findings) else "quiet"
    return DriftCheck(tonight.night, verdict, len(quiet), tuple(findings))


def _with_p_values(comparison: _Comparison, prior_degrees: float) -> list[Finding]:
    """Return the findings with their p-values: the least of the statistics', times their number (Bonferroni)."""
    findings = list(comparison.findings)
    for places, deviations, degrees in (
        (comparison.compared, comparison.of_strata, prior_degrees),
        ([0], comparison.of_all, 0.0),
    ):
        if deviations:
            p_values = np.minimum(1, len(deviations) * np.min([one.p_values(degrees) for one in deviations], axis=0))
            for place, p_value in zip(places, p_values.tolist(), strict=True):
                findings[place] = replace(findings[place], p_value=p_value)
    return findings


def _compare_feature(
    feature: str, tonight: NightFeatures, quiet: Sequence[NightFeatures], settings: DriftSettings
) -> _Comparison:
    """Compare one feature over all strata, and in each that tonight has."""
    new = _samples(tonight, feature)
    old = [_samples(night, feature) for night in quiet]
    pools = {name: _pool([night[name] for night in old if name in night]) for name in tonight.names}
    scales = {name: scale for name, pool in pools.items() if (scale := _scale(pool)) is not None}
    known = [name for name in scales if name in new]

    def describe(stratum: str, strata: Sequence[str], nights: int) -> Finding:
        """Return a finding with its effect, of which the strata are scaled each by its own quiet spread."""
        now, before = (_pool([group[name] for name in strata if name in group]) for group in (new, pools))
        scatters = all(name in scales for name in strata) and bool(strata)
        state = _state(len(now.values), nights, scatters, settings)
        effect = np.nan
        if state == "compared":
            now_scaled, before_scaled = (
                _pool([_rescale(group[name], scales[name]) for name in strata]) for group in (new, pools)
            )
            effect = _distance(now_scaled, before_scaled)
        medians = _quantile(now, 0.5), _quantile(before, 0.5)
        return Finding(stratum, feature, state, effect, 1.0, False, *medians, len(now.values), nights)

    everywhere = known or [name for name in new if len(pools[name].values)]
    findings = [describe(ALL, everywhere, sum(bool(night) for night in old))]
    findings += [describe(name, [name], sum(name in night for night in old)) for name in tonight.names]
    within = {
        name: _measure_within([_limit(_rescale(night[name], scales[name])) for night in old if name in night])
        for name in known
    }
    of_new, of_old = (_score_nights(nights, known, scales, within) for nights in ([new], old))
    return _compare(findings, known, of_new, of_old)


def _compare_rates(tonight: NightFeatures, quiet: Sequence[NightFeatures], settings: DriftSettings) -> _Comparison:
    """Compare the number of samples per visit over all strata, and in each that was visited tonight."""
    strata = [name for name in tonight.names if tonight.visits.get(name, 0) > 0]
    new, old = _log_rates([tonight], strata), _log_rates(quiet, strata)
    findings = []
    for stratum in (ALL, *strata):
        names = strata if stratum == ALL else [stratum]
        rates = [_rate(night, names) for night in (tonight, *quiet)]
        seen = [rate for rate in rates[1:] if np.isfinite(rate)]
        rows = int(np.isin(tonight.strata, names).sum())
        state = _state(settings.least_rows, len(seen), True, settings)  # a rate of 0 is a value too
        middle = float(np.median(seen)) if seen else np.nan
        findings.append(Finding(stratum, RATE, state, np.nan, 1.0, False, rates[0], middle, rows, len(seen)))
    comparison = _compare(findings, strata, [new], [old])
    for place in (0, *comparison.compared):
        if findings[place].state == "compared":
            columns = slice(None) if place == 0 else [strata.index(findings[place].stratum)]
            effect = abs(np.nanmean(new.values[:, columns]) - np.nanmean(old.values[:, columns]))
            comparison.findings[place] = replace(findings[place], effect=float(effect))
    return comparison


def _compare(
    findings: list[Finding], strata: list[str], new: Sequence[_Moments], old: Sequence[_Moments]
) -> _Comparison:
    """Return the comparison of findings whose statistics are given, each of tonight (1, m) and of n quiet nights."""
    compared = [place for place, finding in enumerate(findings) if place and finding.state == "compared"]
    columns = [strata.index(findings[place].stratum) for place in compared]
    of_strata, of_all = [], []
    for now, before in zip(new, old, strict=True):
        if columns:
            pair = (_contrasts(now), _contrasts(before))
            now_kept, before_kept = (_Moments(one.values[:, columns], one.noise[:, columns]) for one in pair)
            of_strata.append(_deviate(now_kept, before_kept, alike=True))
        if findings[0].state == "compared":
            of_all.append(_deviate(_overall(now), _overall(before), alike=False))
    return _Comparison(list(findings), compared, of_strata, of_all)


def _deviate(now: _Moments, before: _Moments, *, alike: bool) -> Deviations:
    return measure_deviations(now.values[0], now.noise[0], before.values, before.noise, alike=alike)


def _state(rows: int, nights: int, scatters: bool, settings: DriftSettings) -> State:
    if nights == 0:
        return "unknown"
    if nights < settings.least_nights:
        return "few_nights"
    if rows < settings.least_rows:
        return "few_rows"
    return "compared" if scatters else "constant"


def _samples(night: NightFeatures, feature: str) -> dict[str, _Sample]:
    """Return the values of a night's feature by stratum, missing ones left out, strata without values too."""
    if feature not in night.values:
        return {}
    usable = np.isfinite(night.values[feature]) & (night.weights > 0)
    values, weights, strata = night.values[feature][usable], night.weights[usable], night.strata[usable]
    return {str(name): _Sample(values[strata == name], weights[strata == name]) for name in np.unique(strata)}


def _pool(samples: Sequence[_Sample]) -> _Sample:
    if not samples:
        return _Sample(np.empty(0), np.empty(0))
    values, weights = zip(*samples, strict=True)
    return _Sample(np.concatenate(values), np.concatenate(weights))


def _quantile(sample: _Sample, fraction: float) -> float:
    """Return a weighted quantile; NaN without values."""
    if len(sample.values) == 0:
        return np.nan
    order = np.argsort(sample.values, kind="stable")
    reached = np.cumsum(sample.weights[order]) / sample.weights.sum()
    place = min(int(np.searchsorted(reached, fraction)), len(order) - 1)
    return float(sample.values[order[place]])


def _scale(pool: _Sample) -> tuple[float, float] | None:
    """Return median and spread of quiet values: half of the central 68 %, or the standard deviation where that is 0.

    None without values, or where all are equal.
    """
    if len(pool.values) == 0 or pool.values.min() == pool.values.max():
        return None
    median, low, high = (_quantile(pool, float(ndtr(sigma))) for sigma in (0, -1, 1))
    mean = np.average(pool.values, weights=pool.weights)
    deviation = float(np.sqrt(np.average((pool.values - mean) ** 2, weights=pool.weights)))
    return median, (high - low) / 2 or deviation


def _rescale(sample: _Sample, scale: tuple[float, float]) -> _Sample:
    return _Sample((sample.values - scale[0]) / scale[1], sample.weights)


def _distance(first: _Sample, second: _Sample) -> float:
    """Return the Wasserstein distance: how far values must be moved on average to turn one sample into the other."""
    return float(wasserstein_distance(first.values, second.values, first.weights, second.weights))


def _score_nights(
    nights: Sequence[Mapping[str, _Sample]],
    strata: Sequence[str],
    scales: Mapping[str, tuple[float, float]],
    within: Mapping[str, tuple[float, float]],
) -> list[_Moments]:
    """Return mean and mean size of the nights' scaled values by stratum: they tell a shift, and a change of width.

    `within` has the variances of both among the rows of one night.
    """
    shift, width, noise, width_noise = (np.full((len(nights), len(strata)), np.nan) for _ in range(4))
    for column, name in enumerate(strata):
        for row, night in enumerate(nights):
            if name in night:
                scaled = _limit(_rescale(night[name], scales[name]))
                share = scaled.weights / scaled.weights.sum()
                shift[row, column], width[row, column] = share @ scaled.values, share @ np.abs(scaled.values)
                noise[row, column], width_noise[row, column] = (share @ share * one for one in within[name])
    return [_Moments(shift, noise), _Moments(width, width_noise)]


def _measure_within(samples: Sequence[_Sample]) -> tuple[float, float]:
    """Return the variances of scaled values and of their sizes among rows of one night, from several nights."""
    total, rows = np.zeros(2), 0
    for values, _ in samples:
        total += [len(values) * np.var(values), len(values) * np.var(np.abs(values))]
        rows += len(values) - 1
    first, second = np.maximum(total / max(rows, 1), _LEAST_VARIANCE)
    return float(first), float(second)


def _limit(scaled: _Sample) -> _Sample:
    """Return scaled values with the outliers moved in, so that one does not make a night's mean."""
    return _Sample(np.clip(scaled.values, -_MOST_SPREADS, _MOST_SPREADS), scaled.weights)


def _overall(moments: _Moments) -> _Moments:
    """Return the mean over all strata, (n, 1), without the lowest and the highest, which one faulty stratum makes."""
    values, noise = (np.full((len(moments.values), 1), np.nan) for _ in range(2))
    for row, (of_strata, its_noise) in enumerate(zip(moments.values, moments.noise, strict=True)):
        seen = np.flatnonzero(np.isfinite(of_strata))
        if len(seen) >= _LEAST_STRATA_FOR_TRIM:
            seen = seen[np.argsort(of_strata[seen], kind="stable")][1:-1]
        if len(seen):
            values[row], noise[row] = of_strata[seen].mean(), its_noise[seen].sum() / len(seen) ** 2
    return _Moments(values, noise)


def _contrasts(moments: _Moments) -> _Moments:
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
    return _Moments(values, noise)


def _log_rates(nights: Sequence[NightFeatures], strata: Sequence[str]) -> _Moments:
    """Return the logarithm of samples per visit, (n, m), with half a sample added so that it is finite."""
    values, noise = (np.full((len(nights), len(strata)), np.nan) for _ in range(2))
    for row, night in enumerate(nights):
        for column, name in enumerate(strata):
            if night.visits.get(name, 0) > 0:
                count = float(night.weights[night.strata == name].sum()) + 0.5
                values[row, column], noise[row, column] = np.log(count / night.visits[name]), 1 / count
    return _Moments(values, noise)


def _rate(night: NightFeatures, strata: Sequence[str]) -> float:
    """Return samples per visit of some strata; NaN without visits."""
    visits = sum(night.visits.get(name, 0) for name in strata)
    return float(night.weights[np.isin(night.strata, strata)].sum()) / visits if visits else np.nan
