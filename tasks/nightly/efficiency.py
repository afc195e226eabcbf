"""Efficiency of a night from the injections into copies of its frames: how many are detected, and kept by the champion.

Detection = detected / injected, classification = kept / scored, completeness = kept / injected. Magnitudes are those of
the frame's own zero point, so that a night of thin clouds is compared at equal brightness.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from realbogus.injection.efficiency import Rate, rate_of
from tasks.learning.drift.control_chart import ChartSettings, ControlChart, NightCount, control_chart
from tasks.store.columns import align_column, to_bool, to_float

EFFICIENCY_COLUMNS = ("id", "found", "injected_mag")
"""Columns that `night_efficiency` reads of the ledger."""
Step = Literal["detection", "classification", "completeness"]
STEPS: tuple[Step, ...] = ("detection", "classification", "completeness")
ALL_MAGNITUDES = "all magnitudes"


@dataclass(frozen=True)
class InjectionCounts:
    """Injections of one bin of magnitudes: all, detected, those of which the champion has a score, and kept."""

    injected: int
    detected: int
    scored: int
    kept: int

    def __add__(self, other: "InjectionCounts") -> "InjectionCounts":
        return InjectionCounts(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))

    def pair(self, step: Step) -> tuple[int, int]:
        """Return successes and trials of a step."""
        pairs = {
            "detection": (self.detected, self.injected),
            "classification": (self.kept, self.scored),
            "completeness": (self.kept, self.injected),
        }
        return pairs[step]

    def rate(self, step: Step) -> Rate:
        """Return the rate of a step with Jeffreys' 95 % interval."""
        return rate_of(*self.pair(step))

    def to_summary(self) -> dict[str, Any]:
        """Return counts and rates with the keys of a summary."""
        counts = {name: getattr(self, name) for name in self.__dataclass_fields__}
        rates: dict[str, float | None] = {}
        for step in STEPS:
            rate = self.rate(step)
            known = rate.trials > 0
            rates |= {step: round(rate.value, 4) if known else None}
            rates |= {f"{step}_low": round(rate.low, 4) if known else None}
            rates |= {f"{step}_high": round(rate.high, 4) if known else None}
        return {**counts, **rates}


@dataclass(frozen=True)
class NightEfficiency:
    """Efficiency of one night by bin of magnitude, brightest first; bins without injections are left out."""

    night: str
    bins: Mapping[str, InjectionCounts]

    @property
    def total(self) -> InjectionCounts:
        """The counts of all magnitudes."""
        return sum(self.bins.values(), InjectionCounts(0, 0, 0, 0))

    def to_summary(self) -> dict[str, Any]:
        """Return the night with the keys of a summary; `from_summary` reads it."""
        bins = {name: counts.to_summary() for name, counts in self.bins.items()}
        return {**self.total.to_summary(), "bins": bins}

    @classmethod
    def from_summary(cls, night: str, summary: Mapping[str, Any]) -> "NightEfficiency":
        """Return what `to_summary` gave of a night."""
        names = InjectionCounts.__dataclass_fields__
        bins = {
            name: InjectionCounts(**{key: int(counts[key]) for key in names})
            for name, counts in summary["bins"].items()
        }
        return cls(night, bins)


def night_efficiency(night: str, ledger: pa.Table, scores: pa.Table, threshold: float) -> NightEfficiency:
    """Count a night's injections in bins of one magnitude.

    Parameters
    ----------
    night : str
    ledger : Table
        The night's rows: `EFFICIENCY_COLUMNS`; ``found`` is null except for injections. Those without a magnitude are
        in no bin.
    scores : Table
        The champion's: id, logit; null where not scored. Injections that are detected and not stored, at an edge for
        example, have none.
    threshold : float
        The champion's, in logits.
    """
    injections = ledger.filter(pc.is_valid(ledger["found"]))
    mag = to_float(injections["injected_mag"])
    detected = to_bool(injections["found"])
    logit = to_float(align_column(scores, "logit", injections["id"]))
    scored = detected & np.isfinite(logit)
    kept = scored & (np.nan_to_num(logit, nan=-np.inf) >= threshold)
    floor = np.floor(mag)
    bins = {}
    for low in np.unique(floor[np.isfinite(floor)]).astype(int).tolist():
        inside = floor == low
        counts = (int((inside & chosen).sum()) for chosen in (np.ones(len(mag), bool), detected, scored, kept))
        bins[f"{low} to {low + 1} mag"] = InjectionCounts(*counts)
    return NightEfficiency(night, bins)


def efficiency_charts(
    nights: Sequence[NightEfficiency], quiet: Sequence[str], step: Step, settings: ChartSettings | None = None
) -> dict[str, ControlChart]:
    """Return the control charts of one step: of all magnitudes, and of each bin that some night has.

    Parameters
    ----------
    nights : sequence of NightEfficiency
        In their order.
    quiet : sequence of str
        Names of the nights without a known fault.
    step : Step
    settings : ChartSettings, optional
    """
    bins = sorted({name for night in nights for name in night.bins}, key=lambda name: int(name.split()[0]))
    nothing = InjectionCounts(0, 0, 0, 0)
    charts = {}
    for name in (ALL_MAGNITUDES, *bins):
        counts = [night.total if name == ALL_MAGNITUDES else night.bins.get(name, nothing) for night in nights]
        pairs = [NightCount(night.night, *count.pair(step)) for night, count in zip(nights, counts, strict=True)]
        charts[name] = control_chart(pairs, quiet, settings)
    return charts
