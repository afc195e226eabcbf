"""The gate: whether a challenger takes the champion's place, judged on rows whose labels are known.

Both models are compared on the same rows by one figure (`tasks.decisions.gate_figures`), with groups of rows resampled.

**Win.** In each resample both models' thresholds are set anew and the ratio of their figures, challenger over champion,
is taken with one event charged to the challenger. The challenger wins if the quantile ``1 - level`` of the ratio lies
below 1, and the gain ``1 - ratio`` on the rows as they are is at least `margin`. `level` is what `alpha_spending`
leaves for the look. The charge makes up for the tails of a percentile bootstrap of few events, which are too narrow:
with 10 rows on which two equal models differ it finds a win at the level 0.0016 in 0.0022 of the cases without the
charge, in 0.0015 with it. A figure that rests on fewer than `operating_points.LEAST_EVENTS` wrong rows decides nothing.

**Worse.** The challenger is worse if the ratio's quantile 0.025, one event charged to the champion, lies above 1.

**Loss on a stratum.** The loss is the share of a stratum's rows that are decided wrongly, challenger's minus
champion's. All strata with at least `least_events` rows in enough groups are judged together by the maximum of their
studentised deviations over the same resamples (Romano & Wolf 2005, Econometrica 73, 1237): with 95 % confidence no
stratum's true loss is below its lower end. A stratum is lost if its lower end exceeds `tolerance`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

import numpy as np

from tasks.decisions.alpha_spending import Look
from tasks.decisions.decision import Decision
from tasks.decisions.gate_figures import GateFigure
from tasks.decisions.gate_settings import GateSettings
from tasks.decisions.paired_comparison import (
    ComparedRows,
    Comparison,
    compare,
    comparison_figures,
    describe_change,
)
from tasks.learning.operating_points import LEAST_EVENTS

GateVerdict = Literal["PROMOTE", "HOLD", "REJECT"]


@dataclass(frozen=True)
class Situation:
    """What decides beside the rows.

    Attributes
    ----------
    night : date
    look : Look
    validation_passed : bool
        Of the night's data and of the challenger's training.
    same_model : bool
        The challenger is the champion.
    last_change : date, optional
        Night on which the champion changed last.
    nights_in_shadow : int
        Nights on which the challenger scored beside the champion.
    """

    night: date
    look: Look
    validation_passed: bool = True
    same_model: bool = False
    last_change: date | None = None
    nights_in_shadow: int = 0


@dataclass(frozen=True)
class Judgement:
    """A verdict with its reasons and what it rests on; `figures` are JSON values."""

    verdict: GateVerdict
    reasons: tuple[str, ...]
    figures: dict[str, Any] = field(default_factory=dict)


def last_change(history: Iterable[Decision]) -> date | None:
    """Return the night on which the champion of a name changed last, the first model aside; None if it never did.

    A decision without a night, as by hand, has the date of its time (UTC).
    """
    nights = [
        date.fromisoformat(decision.night) if decision.night else decision.at.date()
        for decision in history
        if decision.kind != "first"
        and decision.champion_after is not None
        and decision.champion_after != decision.champion_before
    ]
    return max(nights, default=None)


def judge_beforehand(situation: Situation) -> Judgement | None:
    """Return the judgement that needs no comparison, or None."""
    if not situation.validation_passed:
        return Judgement("REJECT", ("Validation did not pass, so the challenger was not compared.",))
    if situation.same_model:
        return Judgement("HOLD", ("The challenger is the champion: there is nothing to decide.",))
    return None


def judge(
    rows: ComparedRows, figure: GateFigure, settings: GateSettings, situation: Situation, rng: np.random.Generator
) -> Judgement:
    """Return whether the challenger takes the champion's place; the module says by which rule.

    REJECT: validation failed, an output of the challenger is not finite, it is worse, or it loses on a stratum. HOLD:
    too few rows, no win, a cool-down, too few nights in shadow, the month's looks used up, or a champion whose outputs
    are not finite. A judgement that rests on the figure has a ``look`` among its figures.
    """
    beforehand = judge_beforehand(situation)
    if beforehand is not None:
        return beforehand
    counts = {"rows": len(rows), "groups": len(np.unique(rows.groups))}
    for name, outputs in (("challenger", rows.challenger), ("champion", rows.champion)):
        broken = np.flatnonzero(~np.isfinite(outputs).all(axis=tuple(range(1, outputs.ndim))))
        if len(broken):
            reason = (
                f"The {name}'s output is not finite for {len(broken)} of {len(rows)} rows, such as "
                f"{rows.ids[broken[0]]}: the {name} is broken."
            )
            return Judgement("REJECT" if name == "challenger" else "HOLD", (reason,), counts)
    too_few = figure.too_few(rows.labels, rows.groups, settings.least_events)
    if too_few is not None:
        return Judgement("HOLD", (too_few,), counts)
    comparison = compare(rows, figure, settings, situation.look.level, rng)
    figures = counts | {
        "look": _look_json(situation.look),
        **comparison_figures(figure, comparison),
    }
    rejecting = _worse(figure, comparison) + _lost_strata(comparison, settings)
    if rejecting:
        return Judgement("REJECT", tuple(rejecting), figures)
    holding = _no_win(figure, comparison, settings, situation.look) + _waiting(settings, situation)
    if holding:
        return Judgement("HOLD", tuple(holding), figures)
    return Judgement("PROMOTE", (_win(figure, comparison, settings, situation.look),), figures)


def _worse(figure: GateFigure, comparison: Comparison) -> list[str]:
    if not comparison.low > 1:
        return []
    return [
        f"{describe_change(figure, comparison)} The ratio is at least {comparison.low:.3g}: the challenger is worse."
    ]


def _lost_strata(comparison: Comparison, settings: GateSettings) -> list[str]:
    return [
        f"On {stratum.by} {stratum.name} ({stratum.rows} rows) the share decided wrongly goes from "
        f"{stratum.champion:.4f} to {stratum.challenger:.4f}: the loss is at least {stratum.low:.4f}, more than the "
        f"tolerance {settings.tolerance:g}."
        for stratum in comparison.strata
        if stratum.low > settings.tolerance
    ]


def _no_win(figure: GateFigure, comparison: Comparison, settings: GateSettings, look: Look) -> list[str]:
    """Return why the comparison is not won; empty if it is."""
    if look.level <= 0:
        return [
            f"This is look {look.number} of {look.month} at the holdout, {look.planned} are planned: the month's error "
            f"probability of {look.alpha:g} is spent."
        ]
    changes, gain = describe_change(figure, comparison), 1 - comparison.ratio
    if comparison.wrong < LEAST_EVENTS:
        return [f"{changes} With {comparison.wrong} wrong rows, fewer than {LEAST_EVENTS}, the ratio is not resolved."]
    if not comparison.high < 1:
        return [
            f"{changes} The ratio is {comparison.ratio:.3g}, and at most {_number(comparison.high)} at the level "
            f"{look.level:.2g} of {_look_words(look)}: a win is not shown."
        ]
    if gain < settings.margin:
        return [f"{changes} The gain of {gain:.1%} is below the margin of {settings.margin:.1%}."]
    return []


def _waiting(settings: GateSettings, situation: Situation) -> list[str]:
    """Return why no challenger is promoted now, however good."""
    reasons = []
    changed = situation.last_change
    if changed is not None and (situation.night - changed).days <= settings.cooldown_nights:
        since = (situation.night - changed).days
        when = f"{since} nights ago" if since >= 0 else "after this night"
        reasons.append(
            f"The champion changed on {changed.isoformat()}, {when}: the cool-down takes {settings.cooldown_nights} "
            "nights."
        )
    if situation.nights_in_shadow < settings.shadow_nights:
        reasons.append(
            f"The challenger has scored beside the champion on {situation.nights_in_shadow} of "
            f"{settings.shadow_nights} nights."
        )
    return reasons


def _win(figure: GateFigure, comparison: Comparison, settings: GateSettings, look: Look) -> str:
    counted = sum(np.isfinite(stratum.low) for stratum in comparison.strata)
    return (
        f"{describe_change(figure, comparison)} The ratio is {comparison.ratio:.3g}, and at most {comparison.high:.3g} "
        f"at the level {look.level:.2g} of {_look_words(look)}; the gain of {1 - comparison.ratio:.1%} reaches the "
        f"margin of {settings.margin:.1%}; none of {counted} strata is lost."
    )


def _look_words(look: Look) -> str:
    return f"look {look.number} of {look.planned} in {look.month}"


def _look_json(look: Look) -> dict[str, Any]:
    return {
        **{"month": look.month, "number": look.number, "planned": look.planned, "alpha": look.alpha},
        **{"level": look.level, "spent": look.spent},
    }


def _number(value: float) -> str:
    return f"{value:.3g}" if np.isfinite(value) else "unlimited"
