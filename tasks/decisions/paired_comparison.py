"""Two models on the same rows whose labels are known: one figure of each, their ratio, and the loss on strata.

Groups of rows are resampled; in each resample both models' thresholds are set anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.decisions.gate_figures import GateFigure
from tasks.decisions.gate_settings import GateSettings
from tasks.learning.intervals import LEAST_GROUPS_FOR_INTERVAL
from tasks.learning.resampling import resampled_counts

CONFIDENCE = 0.95
"""Of losses on strata together; twice the tail beyond which a challenger is worse is what is left of 1."""


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
    strata: list[Stratum]

    @property
    def ratio(self) -> float:
        """Challenger's figure over the champion's; 1 where both are 0."""
        if self.champion == 0:
            return 1.0 if self.challenger == 0 else float("inf")
        return self.challenger / self.champion


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


def _finite(value: float) -> float | None:
    """Return a number for JSON, None where it is not finite."""
    return float(value) if np.isfinite(value) else None
