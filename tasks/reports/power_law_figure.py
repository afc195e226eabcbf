"""The figure of rates that fall as powers of a size."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np
from numpy.typing import NDArray

from tasks.learning.intervals import Interval
from tasks.reports.canvas import canvas
from tasks.reports.colours import BLUE, GREEN, ORANGE
from tasks.reports.drawing import Drawing

_STYLES = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "D"))


@dataclass(frozen=True)
class PowerLaw:
    """Rates at some sizes, and the line fitted to their logarithms: rate = scale size^-exponent.

    Attributes
    ----------
    sizes : (n,)
    rates : sequence of Interval
    exponent, scale : float
    """

    sizes: Sequence[float]
    rates: Sequence[Interval]
    exponent: float
    scale: float

    def line(self, sizes: NDArray) -> NDArray[np.float64]:
        """Return the rates (n,) of the line at sizes (n,)."""
        return np.asarray(self.scale * sizes**-self.exponent)


def fit_power_law(sizes: Sequence[float], rates: Sequence[float]) -> tuple[float, float]:
    """Return exponent and scale of rate = scale size^-exponent by least squares of the logarithms; all are positive."""
    slope, intercept = np.polyfit(np.log(sizes), np.log(rates), 1)
    return -float(slope), float(np.exp(intercept))


def power_law_figure(curves: Mapping[str, PowerLaw], xlabel: str, ylabel: str) -> Drawing:
    """Draw rates with intervals and the fitted lines by name, both axes logarithmic."""
    with canvas(6.0, 4.2) as (figure, finish):
        axes = figure.subplots()
        for (name, curve), (color, marker) in zip(curves.items(), cycle(_STYLES), strict=False):
            sizes = np.asarray(curve.sizes, float)
            values = np.array([rate.value for rate in curve.rates])
            ends = [[rate.value - rate.low for rate in curve.rates], [rate.high - rate.value for rate in curve.rates]]
            label = f"{name}: exponent {curve.exponent:.2f}"
            axes.errorbar(
                sizes, values, yerr=np.maximum(ends, 0), fmt=marker, color=color, capsize=2, markersize=5, label=label
            )
            axes.plot(sizes, curve.line(sizes), color=color, linewidth=1, linestyle="--")
        axes.set(xscale="log", yscale="log", xlabel=xlabel, ylabel=ylabel)
        axes.legend(fontsize=8)
        return finish()
