"""Drift: do tonight's samples differ from those of quiet nights by more than quiet nights differ from each other?

Every feature is compared in every stratum (a detector, say) and over all of them. Effects are distances of
distributions, so that a small change is not drift because samples are many. The test is on nights, not on rows: a quiet
night's seeing shifts all its rows alike, so that a test over rows would alarm every night.

Over all strata the night's mean is compared, which the whole camera shares; in a stratum its difference from the other
strata of the night, in which that cancels. So poor seeing is a finding over all, a faulty detector one of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from tasks.learning.drift.findings import ALL, RATE, DriftCheck, Finding, State, Verdict
from tasks.learning.drift.night_features import NightFeatures
from tasks.learning.drift.quiet_scatter import Deviations, estimate_prior_degrees, measure_deviations, reject
from tasks.learning.drift.stratum_moments import Moments, contrasts, log_rates, overall, score_nights
from tasks.learning.drift.weighted_samples import (
    WeightedSample,
    distance,
    limit,
    measure_scale,
    pool_samples,
    quantile,
    rescale,
    samples_by_stratum,
    variances_within,
)


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
    findings = _mark_drift(_test(comparisons), settings)
    verdict: Verdict = "drifted" if any(finding.drifted for finding in findings) else "quiet"
    return DriftCheck(tonight.night, verdict, len(quiet), tuple(findings))


def _test(comparisons: Sequence[_Comparison]) -> list[Finding]:
    """Return the findings of all comparisons with their p-values, `ALL` first."""
    prior = estimate_prior_degrees([one for comparison in comparisons for one in comparison.of_strata])
    findings = [finding for comparison in comparisons for finding in _with_p_values(comparison, prior)]
    return sorted(findings, key=lambda finding: (finding.stratum != ALL, finding.stratum, finding.feature))


def _mark_drift(findings: Sequence[Finding], settings: DriftSettings) -> list[Finding]:
    """Return the findings, those marked that are rejected at the false-discovery rate and have a large effect."""
    marked = list(findings)
    tested = [place for place, finding in enumerate(findings) if finding.state == "compared"]
    rejected = reject(np.array([findings[place].p_value for place in tested]), settings.false_discovery_rate)
    for place, is_rejected in zip(tested, rejected.tolist(), strict=True):
        drifted = is_rejected and findings[place].effect >= settings.least_effect
        marked[place] = replace(findings[place], drifted=drifted)
    return marked


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


@dataclass(frozen=True)
class _Feature:
    """One feature of tonight (`new`) and of the quiet nights (`old`), by stratum.

    `pools` have the values of all quiet nights, and `scales` their median and spread where they scatter.
    """

    name: str
    new: Mapping[str, WeightedSample]
    old: Sequence[Mapping[str, WeightedSample]]
    pools: Mapping[str, WeightedSample]
    scales: Mapping[str, tuple[float, float]]

    def describe(self, stratum: str, strata: Sequence[str], nights: int, settings: DriftSettings) -> Finding:
        """Return a finding with its effect, of which the strata are scaled each by its own quiet spread."""
        now, before = (
            pool_samples([group[name] for name in strata if name in group]) for group in (self.new, self.pools)
        )
        scatters = bool(strata) and all(name in self.scales for name in strata)
        state = _state(len(now.values), nights, scatters, settings)
        effect = self._effect(strata) if state == "compared" else np.nan
        medians = quantile(now, 0.5), quantile(before, 0.5)
        return Finding(stratum, self.name, state, effect, 1.0, False, *medians, len(now.values), nights)

    def _effect(self, strata: Sequence[str]) -> float:
        scaled = (
            pool_samples([rescale(group[name], self.scales[name]) for name in strata])
            for group in (self.new, self.pools)
        )
        return distance(*scaled)

    def variances(self, stratum: str) -> tuple[float, float]:
        """Return `variances_within` of the quiet nights that have the stratum."""
        nights = [night[stratum] for night in self.old if stratum in night]
        return variances_within([limit(rescale(sample, self.scales[stratum])) for sample in nights])


def _read_feature(name: str, tonight: NightFeatures, quiet: Sequence[NightFeatures]) -> _Feature:
    old = [samples_by_stratum(night, name) for night in quiet]
    pools = {stratum: pool_samples([night[stratum] for night in old if stratum in night]) for stratum in tonight.names}
    scales = {stratum: scale for stratum, pool in pools.items() if (scale := measure_scale(pool)) is not None}
    return _Feature(name, samples_by_stratum(tonight, name), old, pools, scales)


def _compare_feature(
    name: str, tonight: NightFeatures, quiet: Sequence[NightFeatures], settings: DriftSettings
) -> _Comparison:
    """Compare one feature over all strata, and in each that tonight has."""
    feature = _read_feature(name, tonight, quiet)
    known = [stratum for stratum in feature.scales if stratum in feature.new]
    everywhere = known or [stratum for stratum in feature.new if len(feature.pools[stratum].values)]
    nights = {stratum: sum(stratum in night for night in feature.old) for stratum in tonight.names}
    findings = [
        feature.describe(ALL, everywhere, sum(bool(night) for night in feature.old), settings),
        *(feature.describe(stratum, [stratum], count, settings) for stratum, count in nights.items()),
    ]
    within = {stratum: feature.variances(stratum) for stratum in known}
    of_new, of_old = (score_nights(group, known, feature.scales, within) for group in ([feature.new], feature.old))
    return _compare(findings, known, of_new, of_old)


def _compare_rates(tonight: NightFeatures, quiet: Sequence[NightFeatures], settings: DriftSettings) -> _Comparison:
    """Compare the number of samples per visit over all strata, and in each that was visited tonight."""
    strata = [name for name in tonight.names if tonight.visits.get(name, 0) > 0]
    new, old = log_rates([tonight], strata), log_rates(quiet, strata)
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


def _compare(findings: list[Finding], strata: list[str], new: Sequence[Moments], old: Sequence[Moments]) -> _Comparison:
    """Return the comparison of findings whose statistics are given, each of tonight (1, m) and of n quiet nights."""
    compared = [place for place, finding in enumerate(findings) if place and finding.state == "compared"]
    columns = [strata.index(findings[place].stratum) for place in compared]
    of_strata, of_all = [], []
    for now, before in zip(new, old, strict=True):
        if columns:
            pair = (contrasts(now), contrasts(before))
            now_kept, before_kept = (Moments(one.values[:, columns], one.noise[:, columns]) for one in pair)
            of_strata.append(_deviate(now_kept, before_kept, alike=True))
        if findings[0].state == "compared":
            of_all.append(_deviate(overall(now), overall(before), alike=False))
    return _Comparison(list(findings), compared, of_strata, of_all)


def _deviate(now: Moments, before: Moments, *, alike: bool) -> Deviations:
    return measure_deviations(now.values[0], now.noise[0], before.values, before.noise, alike=alike)


def _state(rows: int, nights: int, scatters: bool, settings: DriftSettings) -> State:
    if nights == 0:
        return "unknown"
    if nights < settings.least_nights:
        return "few_nights"
    if rows < settings.least_rows:
        return "few_rows"
    return "compared" if scatters else "constant"


def _rate(night: NightFeatures, strata: Sequence[str]) -> float:
    """Return samples per visit of some strata; NaN without visits."""
    visits = sum(night.visits.get(name, 0) for name in strata)
    return float(night.weights[np.isin(night.strata, strata)].sum()) / visits if visits else np.nan
