"""Plots of an evaluation; curves differ in colour and also in marker or dash, for grey prints."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from tasks.learning.intervals import Interval
from tasks.learning.measures import ReliabilityBin
from tasks.reports.canvas import canvas
from tasks.reports.colours import BLUE, CELL, GREEN, GREY, INK, ON_CELL, ORANGE, PURPLE, SKY, VERMILION
from tasks.reports.drawing import Drawing

HISTOGRAM_BINS = 16
_FULL = 0.75
"""Opacity of a cell above which light text has the larger contrast."""

_CURVES = (
    (BLUE, "-", "o"),
    (ORANGE, "--", "s"),
    (GREEN, ":", "D"),
    (VERMILION, "-.", "^"),
    (PURPLE, "-", "v"),
    (SKY, "--", "P"),
    (INK, ":", "X"),
    (GREY, "-.", "*"),
)
"""Colour, dash and marker of the first, second, ... curve of a figure."""


def confusion_figure(counts: NDArray, classes: Sequence[str], xlabel: str = "predicted") -> Drawing:
    """Draw a confusion matrix: fractions of each row as shade and per cent, counts below.

    `counts` is (class, class), rows labelled, columns predicted, or what `xlabel` says.
    """
    size = max(3.6, 0.62 * len(classes) + 1.6)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    with canvas(size + 0.3, size) as (figure, finish):
        axes = figure.subplots()
        axes.set(xlim=(-0.5, len(classes) - 0.5), ylim=(len(classes) - 0.5, -0.5), aspect="equal")
        axes.set_xticks(range(len(classes)), classes, rotation=45 if len(classes) > 4 else 0)
        axes.set_yticks(range(len(classes)), classes)
        axes.set(xlabel=xlabel, ylabel="labelled")
        axes.grid(False)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        for (row, column), share in np.ndenumerate(shares):
            axes.add_patch(Rectangle((column - 0.49, row - 0.49), 0.98, 0.98, color=CELL, alpha=share, linewidth=0))
            shade = ON_CELL if share > _FULL else INK
            axes.text(column, row - 0.1, f"{share:.0%}", ha="center", va="center", color=shade, fontsize=10)
            count = f"{counts[row, column]:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
            axes.text(column, row + 0.22, count, ha="center", va="center", color=shade, fontsize=7)
        return finish()


def reliability_figure(curves: Mapping[str, Sequence[ReliabilityBin]]) -> Drawing:
    """Draw accuracy against confidence in equal-count bins, one curve per name, with Wilson intervals."""
    with canvas(5.4, 4.6) as (figure, finish):
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (4, 3)), label="perfectly calibrated")
        for (name, bins), (color, _, marker) in zip(curves.items(), cycle(_CURVES), strict=False):
            confidence = [part.confidence for part in bins]
            _interval_points(axes, confidence, [part.accuracy for part in bins], color, marker, name)
        start = min((part.confidence for bins in curves.values() for part in bins), default=0.0)
        axes.set(xlim=(max(0.0, start - 0.05), 1.01), ylim=(0, 1.02))
        axes.set(xlabel="confidence in the predicted class", ylabel="accuracy")
        axes.legend(loc="lower right")
        return finish()


def coverage_figure(curves: Mapping[str, tuple[NDArray, NDArray]]) -> Drawing:
    """Draw accuracy on the most confident fraction of the sample against that fraction, each (n,)."""
    with canvas(5.4, 3.8) as (figure, finish):
        axes = figure.subplots()
        lowest = 1.0
        for (name, (share, accuracy)), (color, dash, _) in zip(curves.items(), cycle(_CURVES), strict=False):
            settled = share >= min(0.02, share[-1])  # the first few samples are noise and would stretch the axis
            axes.plot(share[settled], accuracy[settled], color=color, linestyle=dash, label=name)
            lowest = min(lowest, float(accuracy[settled].min()))
        axes.set(xlim=(0, 1), ylim=(max(0.0, lowest - 0.05), 1.005))
        axes.set(xlabel="share of the sample, most confident first", ylabel="accuracy on that share")
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.legend(loc="lower left")
        return finish()


def training_figure(history: Mapping[str, Sequence[float]], best_epoch: int | None = None) -> Drawing:
    """Draw accuracy and loss against epoch, training beside validation.

    ``history`` holds ``train_accuracy``, ``validation_accuracy``, ``train_loss``, ``validation_loss``,
    one value per epoch.
    """
    with canvas(8.6, 3.6) as (figure, finish):
        for axes, measure in zip(figure.subplots(1, 2), ("accuracy", "loss"), strict=True):
            for part, color, dash in (("train", BLUE, "--"), ("validation", VERMILION, "-")):
                values = history.get(f"{part}_{measure}", ())
                marker = "o" if len(values) < 4 else None
                axes.plot(range(1, len(values) + 1), values, color=color, linestyle=dash, label=part, marker=marker)
            if best_epoch is not None:
                axes.axvline(best_epoch, color=GREY, linewidth=1, linestyle=":", label="kept epoch")
            axes.set(xlabel="epoch", title=measure)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(loc="best")
        return finish()


def covariate_figure(covariates: Mapping[str, Sequence[tuple[float, Interval]]], ylabel: str = "error rate") -> Drawing:
    """Draw rates in bins of covariates; by covariate, a sequence of (bin centre, rate)."""
    columns = min(3 if len(covariates) > 4 else 2, len(covariates))
    lines = -(-len(covariates) // columns)
    with canvas(3.2 * columns if columns > 2 else 4.3 * columns, 2.9 * lines) as (figure, finish):
        panels = figure.subplots(lines, columns, sharey=True, squeeze=False).ravel()
        for axes, (title, bins) in zip(panels, covariates.items(), strict=False):
            _interval_points(axes, [part[0] for part in bins], [part[1] for part in bins], BLUE, "o", None)
            axes.set(xlabel=title)
        for axes in panels[::columns]:
            axes.set(ylabel=ylabel)
        for axes in panels[len(covariates) :]:
            axes.set_visible(False)
        highest = max((part[1].high for bins in covariates.values() for part in bins), default=1.0)
        panels[0].set_ylim(0, min(1.0, highest + 0.03))
        return finish()


def roc_figure(curves: Mapping[str, tuple[NDArray, NDArray]]) -> Drawing:
    """Draw ROC curves; by name, false-positive and true-positive rates, each (n,)."""
    with canvas(4.6, 4.4) as (figure, finish):
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (4, 3)), label="chance")
        for (name, (false, true)), (color, dash, _) in zip(curves.items(), cycle(_CURVES), strict=False):
            axes.plot(false, true, color=color, linestyle=dash, label=name)
        axes.set(xlim=(-0.01, 1), ylim=(0, 1.01), xlabel="false-positive rate", ylabel="true-positive rate")
        axes.legend(loc="lower right")
        return finish()


def operating_figure(curves: Mapping[str, tuple[NDArray, NDArray]], least_fpr: float) -> Drawing:
    """Draw ROC curves, each (n,) by name, with a logarithmic axis of false-positive rates from `least_fpr` on."""
    with canvas(6.2, 4.2) as (figure, finish):
        axes = figure.subplots()
        for (name, (false, true)), (color, dash, _) in zip(curves.items(), cycle(_CURVES), strict=False):
            axes.step(np.maximum(false, least_fpr / 2), true, color=color, linestyle=dash, label=name, where="post")
        axes.axhline(0.9, color=GREY, linewidth=1, linestyle=(0, (4, 3)))
        axes.set(
            xscale="log", xlim=(least_fpr, 1), ylim=(0, 1.01), xlabel="false-positive rate", ylabel="true-positive rate"
        )
        axes.legend(loc="lower right", fontsize=8)
        return finish()


def precision_figure(curves: Mapping[str, tuple[NDArray, NDArray]]) -> Drawing:
    """Draw precision against recall; by name, recall and precision, each (n,)."""
    with canvas(6.2, 4.2) as (figure, finish):
        axes = figure.subplots()
        for (name, (recall, precision)), (color, dash, _) in zip(curves.items(), cycle(_CURVES), strict=False):
            axes.step(recall, precision, color=color, linestyle=dash, label=name, where="post")
        axes.axvline(0.9, color=GREY, linewidth=1, linestyle=(0, (4, 3)))
        axes.set(xlim=(0, 1.01), ylim=(0, 1.02), xlabel="recall (true-positive rate)", ylabel="precision")
        axes.legend(loc="best", fontsize=8)
        return finish()


def histogram_figure(samples: Mapping[str, NDArray], marks: Mapping[str, float], xlabel: str) -> Drawing:
    """Draw histograms of samples, each (n,), with a logarithmic axis of counts and named marks along x."""
    with canvas(6.6, 3.8) as (figure, finish):
        axes = figure.subplots()
        everything = np.concatenate([values for values in samples.values() if len(values)])
        low, high = np.quantile(everything, [0.0005, 0.9995])
        edges = np.linspace(low, high, 50)
        for (name, values), (color, dash, _) in zip(samples.items(), cycle(_CURVES), strict=False):
            if len(values):
                clipped = np.clip(values, edges[0], edges[-1])
                axes.hist(clipped, edges, histtype="step", color=color, linestyle=dash, label=name, linewidth=1.6)
        for name, place in marks.items():
            axes.axvline(place, color=GREY, linewidth=1, linestyle=(0, (4, 3)), label=name)
        axes.set(yscale="log", xlabel=xlabel, ylabel="candidates", ylim=(0.6, None))
        axes.legend(fontsize=8)
        return finish()


def rates_figure(curves: Mapping[str, Sequence[tuple[float, Interval]]], xlabel: str, ylabel: str) -> Drawing:
    """Draw rates with intervals against a quantity; by name, a sequence of (quantity, rate)."""
    with canvas(5.4, 3.6) as (figure, finish):
        axes = figure.subplots()
        for (name, bins), (color, _, marker) in zip(curves.items(), cycle(_CURVES), strict=False):
            _interval_points(axes, [place for place, _ in bins], [rate for _, rate in bins], color, marker, name)
        if all(float(place).is_integer() for bins in curves.values() for place, _ in bins):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(ylim=(-0.02, 1.02), xlabel=xlabel, ylabel=ylabel)
        axes.legend(fontsize=8)
        return finish()


def bars_figure(values: Mapping[str, Interval], xlabel: str, *, logarithmic: bool = False) -> Drawing:
    """Draw values with their intervals, one row per name, the first at the top."""
    with canvas(6.6, 0.42 * len(values) + 1.2) as (figure, finish):
        axes = figure.subplots()
        places = np.arange(len(values))[::-1]
        middle = np.array([value.value for value in values.values()])
        below = middle - [value.low for value in values.values()]
        above = np.array([value.high for value in values.values()]) - middle
        axes.errorbar(
            middle,
            places,
            xerr=np.maximum([below, above], 0),
            fmt="o",
            color=BLUE,
            markersize=5,
            elinewidth=1.4,
            capsize=3,
        )
        axes.set(yticks=places, yticklabels=list(values), xlabel=xlabel, ylim=(-0.6, len(values) - 0.4))
        if logarithmic and (middle > 0).any():
            axes.set(xscale="log")
        return finish()


def size_figure(panels: Mapping[str, Mapping[str, Sequence[tuple[float, Interval]]]]) -> Drawing:
    """Draw values with intervals against the number of training samples on a logarithmic axis.

    By the title of a panel and the name of a curve, a sequence of (samples, value). Curves are a little apart, so that
    their intervals do not hide each other.
    """
    names = list(dict.fromkeys(name for curves in panels.values() for name in curves))
    steps = dict(zip(names, np.linspace(-0.5, 0.5, len(names)) * 0.03 * min(len(names), 6), strict=True))
    styles = dict(zip(names, cycle(_CURVES), strict=False))
    with canvas(4.2 * len(panels) + 2.2, 4.0) as (figure, finish):
        drawn: dict[str, Any] = {}
        for axes, (title, curves) in zip(
            figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
        ):
            for name, points in curves.items():
                color, _, marker = styles[name]
                places = [samples * np.exp(steps[name]) for samples, _ in points]
                _interval_points(axes, places, [value for _, value in points], color, marker, name)
            ticks = sorted({samples for points in curves.values() for samples, _ in points})
            axes.set(xscale="log", xlabel="training images", title=title)
            axes.set_xticks(ticks, [f"{round(tick):,}".replace(",", "\N{NARROW NO-BREAK SPACE}") for tick in ticks])
            axes.minorticks_off()
            drawn |= {name: handle for handle, name in zip(*axes.get_legend_handles_labels(), strict=True)}
        figure.legend([drawn[name] for name in names], names, loc="outside right upper", fontsize=8)
        return finish()


def epochs_figure(fits: Mapping[str, Sequence[Mapping[str, Sequence[float]]]]) -> Drawing:
    """Draw the validation accuracy of several fits against the epoch, training accuracy dashed and pale.

    Parameters
    ----------
    fits : dict
        By name, the repetitions of a fit; each holds ``validation_accuracy`` and ``train_accuracy``, a value an epoch.
    """
    with canvas(7.6, 3.9) as (figure, finish):
        axes = figure.subplots()
        for (name, repetitions), (color, _, marker) in zip(fits.items(), cycle(_CURVES), strict=False):
            for number, history in enumerate(repetitions):
                values, training = history["validation_accuracy"], history["train_accuracy"]
                epochs, label = range(1, len(values) + 1), None if number else name
                every = max(1, len(values) // 8)
                axes.plot(epochs, training, color=color, linestyle="--", linewidth=1, alpha=0.45)
                axes.plot(
                    epochs,
                    values,
                    color=color,
                    label=label,
                    marker=marker,
                    markersize=4,
                    markevery=every,
                    linewidth=1.5,
                )
        axes.plot([], [], color=GREY, linestyle="--", linewidth=1, label="training part")
        axes.set(xlabel="epoch", ylabel="accuracy")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        figure.legend(loc="outside right upper", fontsize=8)
        return finish()


def completeness_figure(
    curves: Mapping[str, Sequence[tuple[float, Interval]]], fitted: tuple[float, float] | None
) -> Drawing:
    """Draw completeness in bins of magnitude by kind of injection, and the fitted logistic (50 % magnitude, width)."""
    with canvas(5.4, 3.6) as (figure, finish):
        axes = figure.subplots()
        for (name, bins), (color, _, marker) in zip(curves.items(), cycle(_CURVES), strict=False):
            _interval_points(
                axes, [place for place, _ in bins], [fraction for _, fraction in bins], color, marker, name
            )
        if fitted is not None:
            places = [place for bins in curves.values() for place, _ in bins]
            mag = np.linspace(min(places), max(places), 200)
            axes.plot(mag, 1 / (1 + np.exp((mag - fitted[0]) / fitted[1])), color=GREY, label="fitted to all")
            axes.axvline(fitted[0], color=GREY, linewidth=1, linestyle=(0, (4, 3)))
        axes.set(ylim=(-0.02, 1.02), xlabel="magnitude of the injection", ylabel="completeness")
        axes.legend(loc="lower left")
        return finish()


def histogram_panels(
    panels: Mapping[str, Mapping[str, NDArray]],
    marks: Mapping[str, Mapping[str, float]],
    limits: Mapping[str, float],
) -> Drawing:
    """Draw histograms side by side, each kind of sample scaled to a sum of 1.

    Parameters
    ----------
    panels : dict
        By axis title: the values (n,) of each kind of sample, by its name.
    marks : dict
        By axis title: named places, drawn dotted.
    limits : dict
        By axis title: a place that is drawn dashed.
    """
    with canvas(4.8 * len(panels), 3.6) as (figure, finish):
        for axes, (title, kinds) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
            everything = np.concatenate(list(kinds.values()))
            edges = np.linspace(everything.min(), max(everything.max(), everything.min() + 1e-3), HISTOGRAM_BINS + 1)
            for (name, values), color, filled in zip(kinds.items(), (BLUE, VERMILION), (True, False), strict=True):
                weights = np.full(len(values), 1 / max(len(values), 1))
                drawn = {"alpha": 0.35, "linewidth": 0} if filled else {"fill": False, "linewidth": 1.8}
                axes.hist(
                    values,
                    edges,
                    weights=weights,
                    histtype="stepfilled" if filled else "step",
                    color=color,
                    label=f"{name}, {len(values)}",
                    **drawn,
                )
            low, high = axes.get_xlim()
            for name, place in marks.get(title, {}).items():
                if low <= place <= high:
                    axes.axvline(place, color=GREY, linewidth=1, linestyle=":")
                    axes.annotate(name, (place, 1), (2, -10), ("data", "axes fraction"), "offset points", fontsize=8)
            if title in limits and low <= limits[title] <= high:
                axes.axvline(limits[title], color=INK, linewidth=1.2, linestyle="--")
            axes.set(xlabel=title, ylabel="share of the kind")
            axes.legend(fontsize=8)
        return finish()


def _interval_points(
    axes: Axes, places: Sequence[float], intervals: Sequence[Interval], color: str, marker: str, name: str | None
) -> None:
    values = np.array([interval.value for interval in intervals])
    below = values - [interval.low for interval in intervals]
    above = [interval.high for interval in intervals] - values
    axes.errorbar(
        places,
        values,
        yerr=np.maximum([below, above], 0),
        color=color,
        marker=marker,
        markersize=4.5,
        linewidth=0.9,
        elinewidth=1,
        capsize=2,
        label=name,
    )
