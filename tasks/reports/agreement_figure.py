"""The figure of two detectors' scores of the same samples."""

from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

from tasks.reports.canvas import canvas
from tasks.reports.colours import BLUE, GREY, INK, VERMILION
from tasks.reports.drawing import Drawing

MOST_POINTS = 4000
"""Points of one colour; of more an even choice is drawn."""


@dataclass(frozen=True)
class Judgements:
    """Scores of one detector.

    Attributes
    ----------
    name : str
    scores : (n,) float64
        NaN where there is none.
    threshold : float
        Least score of a selected sample.
    """

    name: str
    scores: NDArray[np.float64]
    threshold: float


def agreement_figure(first: Judgements, second: Judgements) -> Drawing:
    """Draw the scores of two detectors against each other as density, with those that only one selects in colour."""
    rows = np.isfinite(first.scores) & np.isfinite(second.scores)
    x, y = first.scores[rows], second.scores[rows]
    by_first, by_second = x >= first.threshold, y >= second.threshold
    with canvas(5.6, 5.0) as (figure, finish):
        axes = figure.subplots()
        if len(x):
            limits = [_limits(values, side.threshold) for values, side in ((x, first), (y, second))]
            axes.hexbin(
                *(np.clip(values, *ends) for values, ends in zip((x, y), limits, strict=True)),
                gridsize=45,
                bins="log",
                cmap=_densities(),
                mincnt=1,
                linewidths=0.2,
                extent=(*limits[0], *limits[1]),
            )
            for chosen, color, marker, side in (
                (by_first & ~by_second, BLUE, "o", first),
                (by_second & ~by_first, VERMILION, "s", second),
            ):
                at = np.flatnonzero(chosen)
                shown = at[:: -(-len(at) // MOST_POINTS)] if len(at) else at
                axes.scatter(
                    np.clip(x[shown], *limits[0]),
                    np.clip(y[shown], *limits[1]),
                    s=14,
                    color=color,
                    marker=marker,
                    alpha=0.9,
                    rasterized=True,
                    linewidths=0,
                    label=f"only {side.name} ({len(at):,})",
                )
            axes.legend(loc="upper left", fontsize=8)
        axes.axvline(first.threshold, color=GREY, linewidth=1, linestyle=(0, (4, 3)))
        axes.axhline(second.threshold, color=GREY, linewidth=1, linestyle=(0, (4, 3)))
        axes.set(xlabel=f"logit of {first.name}", ylabel=f"logit of {second.name}")
        return finish()


def _limits(values: NDArray[np.float64], threshold: float) -> tuple[float, float]:
    """Return the range that is drawn: all but the outermost scores, which are drawn at its ends, and the threshold."""
    low, high = np.quantile(values, [0.0005, 0.9995])
    low, high = min(low, threshold), max(high, threshold)
    margin = 0.03 * (high - low) or 1.0
    return float(low - margin), float(high + margin)


def _densities() -> mpl.colors.LinearSegmentedColormap:
    """Return ink that thickens."""
    ends = [mpl.colors.to_rgba(INK, opacity) for opacity in (0.08, 0.9)]
    return mpl.colors.LinearSegmentedColormap.from_list("densities", ends)
