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

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from tasks.decisions.alpha_spending import Look
from tasks.decisions.decision import Decision
from tasks.decisions.gate_figures import GateFigure
from tasks.learning.intervals import LEAST_GROUPS_FOR_INTERVAL
from tasks.learning.operating_points import LEAST_EVENTS
from tasks.learning.resampling import resampled_counts

GateVerdict = Literal["PROMOTE", "HOLD", "REJECT"]
LEAST_TAIL = 5
"""Least number of resamples beyond the quantile that decides."""
CONFIDENCE = 0.95
"""Of losses on strata together; twice the tail beyond which a challenger is worse is what is left of 1."""


class GateSettings(BaseModel):
    """When a challenger takes the champion's place."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tpr: float = Field(default=0.9, gt=0, lt=1)
    """True-positive rate of the operating point; candidates only."""
    margin: float = Field(default=0.05, ge=0, lt=1)
    """Least relative gain at the operating point."""
    tolerance: float = Field(default=0.02, ge=0, lt=1)
    """Largest loss on a stratum: a difference of rates."""
    least_events: int = Field(default=50, ge=1)
    """Fewest rows of a class, and of a stratum that counts."""
    cooldown_nights: int = Field(default=5, ge=0)
    """Nights after a change of the champion on which no challenger is promoted."""
    alpha: float = Field(default=0.05, gt=0, lt=1)
    """Chance of a false promotion in a month, at most."""
    looks: int = Field(default=31, ge=1)
    """Looks planned a month, among which `alpha` is divided; later ones promote nothing."""
    repeats: int = Field(default=4000, ge=100)
    """Resamples."""
    shadow_nights: int = Field(default=0, ge=0)
    """Nights that a challenger scores beside the champion before it may be promoted."""

    @model_validator(mode="after")
    def _tail_is_resolved(self) -> "GateSettings":
        beyond = self.repeats * self.alpha / self.looks
        if beyond < LEAST_TAIL:
            least = int(np.ceil(LEAST_TAIL * self.looks / self.alpha))
            raise ValueError(
                f"repeats={self.repeats} leave {beyond:.1f} resamples beyond the level {self.alpha / self.looks:.2g} "
                f"of a look (alpha={self.alpha:g} over looks={self.looks}), at least {LEAST_TAIL} are needed: give "
                f"repeats={least}"
            )
        return self


@dataclass(frozen=True)
class ComparedRows:
    """Two models' outputs on n rows whose labels are known.

    Attributes
    ----------
    ids : (n,) str
    groups : (n,) str
        Rows of one group are resampled together.
    labels : (n,) int
        Position of the class.
    champion, challenger : (n,) or (n, classes) float
        Logits of candidates, probabilities of galaxies; NaN where a model gives no finite output.
    weights : (n,) float
        One over the probability with which a row was chosen to be labelled; 1 where all were.
    strata : dict of name to (n,) str
        By what is divided, the stratum of each row, empty where it is in none.
    """

    ids: NDArray[np.str_]
    groups: NDArray[np.str_]
    labels: NDArray[np.int64]
    champion: NDArray[np.float64]
    challenger: NDArray[np.float64]
    weights: NDArray[np.float64]
    strata: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)


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


@dataclass(frozen=True)
class Comparison:
    """Both models' figure on the same rows, and their ratio over resamples.

    Attributes
    ----------
    champion, challenger : float
        The figure on the rows as they are.
    rows, champion_wrong, challenger_wrong, wrong : int
        Rows of the figure; those that each model, and either, decides wrongly.
    low, high : float
        Quantiles of the ratio challenger over champion, one event charged to the side that the end favours.
    strata : list of Stratum
    """

    champion: float
    challenger: float
    rows: int
    champion_wrong: int
    challenger_wrong: int
    wrong: int
    low: float
    high: float
    strata: "list[Stratum]"

    @property
    def ratio(self) -> float:
        """Challenger's figure over the champion's; 1 where both are 0."""
        if self.champion == 0:
            return 1.0 if self.challenger == 0 else float("inf")
        return self.challenger / self.champion


@dataclass(frozen=True)
class Stratum:
    """Both models on one stratum.

    Attributes
    ----------
    by, name : str
        By what is divided, and the stratum.
    rows, groups : int
    champion, challenger : float
        Share that is decided wrongly.
    low : float
        Lower end of the loss, simultaneous over all strata that count; NaN of one that does not.
    """

    by: str
    name: str
    rows: int
    groups: int
    champion: float
    challenger: float
    low: float = float("nan")

    @property
    def loss(self) -> float:
        """Challenger's share minus the champion's."""
        return self.challenger - self.champion

    def to_json(self) -> dict[str, Any]:
        """Return the stratum for the figures of a decision."""
        return {
            **{"by": self.by, "stratum": self.name, "rows": self.rows, "groups": self.groups},
            **{"champion": self.champion, "challenger": self.challenger, "loss": self.loss},
            "loss_low": _finite(self.low),
            "counts": bool(np.isfinite(self.low)),
        }


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


def compare(
    rows: ComparedRows, figure: GateFigure, settings: GateSettings, level: float, rng: np.random.Generator
) -> Comparison:
    """Return both models' figure, and the quantiles of the ratio over resamples; `level` is the upper tail's.

    The rows must be enough for the figure (`GateFigure.too_few`).
    """
    decided = figure.decided(rows.labels)
    names = [(by, str(name)) for by, words in rows.strata.items() for name in np.unique(words) if name]
    members = np.stack([decided, *(rows.strata[by] == name for by, name in names)], axis=1).astype(float)
    as_they_are = _shares(rows, figure, members, np.ones((1, len(rows))))[0]
    blocks = [_shares(rows, figure, members, counts) for counts in resampled_counts(rows.groups, rng, settings.repeats)]
    resampled = np.concatenate(blocks)
    event = 1 / int(decided.sum())
    champion, challenger = resampled[:, 0].T
    with np.errstate(divide="ignore", invalid="ignore"):
        upper = np.where(champion > 0, (challenger + event) / champion, np.inf)
        lower = np.nan_to_num(challenger / (champion + event))
    wrong = [
        figure.wrong(outputs, rows.labels, rows.weights[None])[0] & decided
        for outputs in (rows.champion, rows.challenger)
    ]
    return Comparison(
        float(as_they_are[0, 0]),
        float(as_they_are[0, 1]),
        int(decided.sum()),
        int(wrong[0].sum()),
        int(wrong[1].sum()),
        int((wrong[0] | wrong[1]).sum()),
        float(np.quantile(lower, (1 - CONFIDENCE) / 2, method="lower")),
        float(np.quantile(upper, 1 - level, method="higher")),
        _strata(rows, names, members[:, 1:], as_they_are[1:], resampled[:, 1:], settings),
    )


def describe_change(figure: GateFigure, comparison: Comparison) -> str:
    """Return the sentence with both models' figure."""
    return (
        f"The {figure.name} goes from {comparison.champion:.4f} ({comparison.champion_wrong} of {comparison.rows}) to "
        f"{comparison.challenger:.4f} ({comparison.challenger_wrong})."
    )


def comparison_figures(figure: GateFigure, comparison: Comparison) -> dict[str, Any]:
    """Return a comparison for the figures of a decision."""
    return {
        "figure": {
            "name": figure.name,
            **{"rows": comparison.rows, "champion": comparison.champion, "challenger": comparison.challenger},
            **{"champion_wrong": comparison.champion_wrong, "challenger_wrong": comparison.challenger_wrong},
            **{"wrong": comparison.wrong, "ratio": _finite(comparison.ratio)},
            **{"ratio_low": _finite(comparison.low), "ratio_high": _finite(comparison.high)},
        },
        "strata": [stratum.to_json() for stratum in comparison.strata],
    }


def _shares(rows: ComparedRows, figure: GateFigure, members: NDArray, counts: NDArray) -> NDArray[np.float64]:
    """Return the share decided wrongly, (b, k, 2): of k sets of rows, `members` (n, k), by champion and challenger.

    `counts`, (b, n), is how often each row is drawn. NaN where a set has no row.
    """
    weights = counts * rows.weights
    totals = weights @ members
    shares = [
        (weights * figure.wrong(outputs, rows.labels, weights)) @ members / np.where(totals > 0, totals, np.nan)
        for outputs in (rows.champion, rows.challenger)
    ]
    return np.stack(shares, axis=-1)


def _strata(
    rows: ComparedRows,
    names: list[tuple[str, str]],
    members: NDArray,
    shares: NDArray,
    resampled: NDArray,
    settings: GateSettings,
) -> list[Stratum]:
    """Return the strata, those that count with the simultaneous lower end of their loss.

    `members` is (n, k), `shares` (k, 2), `resampled` (b, k, 2).
    """
    strata = [
        Stratum(
            by, name, int(inside.sum()), len(np.unique(rows.groups[inside > 0])), float(champion), float(challenger)
        )
        for (by, name), inside, (champion, challenger) in zip(names, members.T, shares, strict=True)
    ]
    counting = [
        number
        for number, stratum in enumerate(strata)
        if stratum.rows >= settings.least_events and stratum.groups >= LEAST_GROUPS_FOR_INTERVAL
    ]
    if not counting:
        return strata
    losses = resampled[:, counting, 1] - resampled[:, counting, 0]
    loss = shares[counting, 1] - shares[counting, 0]
    spread = np.nanstd(losses, axis=0, ddof=1)
    deviations = np.where(
        np.isfinite(losses) & (spread > 0), (losses - loss) / np.where(spread > 0, spread, 1), -np.inf
    )
    factor = np.quantile(deviations.max(axis=1), CONFIDENCE, method="higher")
    lows = loss - max(float(factor), 0.0) * spread  # without any spread the factor is -inf, and the loss is certain
    for number, low in zip(counting, lows, strict=True):
        stratum = strata[number]
        strata[number] = Stratum(
            *(stratum.by, stratum.name, stratum.rows, stratum.groups, stratum.champion, stratum.challenger), float(low)
        )
    return strata


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


def _finite(value: float) -> float | None:
    """Return a number for JSON, None where it is not finite."""
    return float(value) if np.isfinite(value) else None


def _number(value: float) -> str:
    return f"{value:.3g}" if np.isfinite(value) else "unlimited"
