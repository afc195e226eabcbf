"""Figures of an evaluation as PNG bytes, drawn without pyplot, so that no state is shared between threads.

Colours are from Okabe and Ito, distinct for colour-blind readers; curves also differ in marker or dash, for grey
prints.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from tasks.learning.intervals import Interval
from tasks.learning.measures import ReliabilityBin

BLUE, ORANGE, GREEN, VERMILION, PURPLE, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#8A8F96"
INK = "#22262b"
PIXELS_PER_INCH = 160

_CURVES = (
    (BLUE, "-", "o"),
    (ORANGE, "--", "s"),
    (GREEN, ":", "D"),
    (VERMILION, "-.", "^"),
    (PURPLE, "-", "v"),
)
"""Colour, dash and marker of the first, second, ... curve of a figure."""

_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": "#b9bcc0",
    "axes.labelcolor": INK,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#ececea",
    "xtick.color": "#5b6168",
    "ytick.color": "#5b6168",
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
}


def confusion_figure(counts: NDArray, classes: Sequence[str]) -> bytes:
    """Draw a confusion matrix: fractions of each row as shade and per cent, counts below.

    `counts` is (class, class), rows labelled, columns predicted.
    """
    size = max(3.6, 0.62 * len(classes) + 1.6)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    with _figure(size + 0.3, size) as (figure, finish):
        axes = figure.subplots()
        axes.imshow(shares, cmap=_blues(), vmin=0, vmax=1)
        axes.set_xticks(range(len(classes)), classes, rotation=45 if len(classes) > 4 else 0)
        axes.set_yticks(range(len(classes)), classes)
        axes.set(xlabel="predicted", ylabel="labelled")
        axes.grid(False)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        for (row, column), share in np.ndenumerate(shares):
            shade = "white" if share > 0.4 else INK
            axes.text(column, row - 0.1, f"{share:.0%}", ha="center", va="center", color=shade, fontsize=10)
            count = f"{counts[row, column]:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
            axes.text(column, row + 0.22, count, ha="center", va="center", color=shade, fontsize=7, alpha=0.8)
        return finish()


def reliability_figure(curves: Mapping[str, Sequence[ReliabilityBin]]) -> bytes:
    """Draw accuracy against confidence in equal-count bins, one curve per name, with Wilson intervals."""
    with _figure(5.4, 4.6) as (figure, finish):
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


def coverage_figure(curves: Mapping[str, tuple[NDArray, NDArray]]) -> bytes:
    """Draw accuracy on the most confident fraction of the sample against that fraction, each (n,)."""
    with _figure(5.4, 3.8) as (figure, finish):
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


def training_figure(history: Mapping[str, Sequence[float]], best_epoch: int | None = None) -> bytes:
    """Draw accuracy and loss against epoch, training beside validation.

    ``history`` holds ``train_accuracy``, ``validation_accuracy``, ``train_loss``, ``validation_loss``,
    one value per epoch.
    """
    with _figure(8.6, 3.6) as (figure, finish):
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


def covariate_figure(covariates: Mapping[str, Sequence[tuple[float, Interval, int]]]) -> bytes:
    """Draw accuracy in bins of covariates; by covariate, a sequence of (bin centre, accuracy, count)."""
    columns = min(2, len(covariates))
    lines = -(-len(covariates) // columns)
    with _figure(4.3 * columns, 3.1 * lines) as (figure, finish):
        panels = figure.subplots(lines, columns, sharey=True, squeeze=False).ravel()
        for axes, (title, bins) in zip(panels, covariates.items(), strict=False):
            _interval_points(axes, [part[0] for part in bins], [part[1] for part in bins], BLUE, "o", None)
            axes.set(xlabel=title)
        for axes in panels[::columns]:
            axes.set(ylabel="accuracy")
        for axes in panels[len(covariates) :]:
            axes.set_visible(False)
        lowest = min((part[1].low for bins in covariates.values() for part in bins), default=0.0)
        panels[0].set_ylim(max(0.0, lowest - 0.03), 1.01)
        return finish()


def roc_figure(curves: Mapping[str, tuple[NDArray, NDArray]]) -> bytes:
    """Draw ROC curves; by name, false-positive and true-positive rates, each (n,)."""
    with _figure(4.6, 4.4) as (figure, finish):
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (4, 3)), label="chance")
        for (name, (false, true)), (color, dash, _) in zip(curves.items(), cycle(_CURVES), strict=False):
            axes.plot(false, true, color=color, linestyle=dash, label=name)
        axes.set(xlim=(-0.01, 1), ylim=(0, 1.01), xlabel="false-positive rate", ylabel="true-positive rate")
        axes.legend(loc="lower right")
        return finish()


def operating_figure(curves: Mapping[str, tuple[NDArray, NDArray]], least_fpr: float) -> bytes:
    """Draw ROC curves, each (n,) by name, with a logarithmic axis of false-positive rates from `least_fpr` on."""
    with _figure(6.2, 4.2) as (figure, finish):
        axes = figure.subplots()
        for (name, (false, true)), (color, dash, _) in zip(curves.items(), cycle(_CURVES), strict=False):
            axes.step(np.maximum(false, least_fpr / 2), true, color=color, linestyle=dash, label=name, where="post")
        axes.axhline(0.9, color=GREY, linewidth=1, linestyle=(0, (4, 3)))
        axes.set(
            xscale="log", xlim=(least_fpr, 1), ylim=(0, 1.01), xlabel="false-positive rate", ylabel="true-positive rate"
        )
        axes.legend(loc="lower right", fontsize=8)
        return finish()


def precision_figure(curves: Mapping[str, tuple[NDArray, NDArray]]) -> bytes:
    """Draw precision against recall; by name, recall and precision, each (n,)."""
    with _figure(6.2, 4.2) as (figure, finish):
        axes = figure.subplots()
        for (name, (recall, precision)), (color, dash, _) in zip(curves.items(), cycle(_CURVES), strict=False):
            axes.step(recall, precision, color=color, linestyle=dash, label=name, where="post")
        axes.axvline(0.9, color=GREY, linewidth=1, linestyle=(0, (4, 3)))
        axes.set(xlim=(0, 1.01), ylim=(0, 1.02), xlabel="recall (true-positive rate)", ylabel="precision")
        axes.legend(loc="best", fontsize=8)
        return finish()


def histogram_figure(samples: Mapping[str, NDArray], marks: Mapping[str, float], xlabel: str) -> bytes:
    """Draw histograms of samples, each (n,), with a logarithmic axis of counts and named marks along x."""
    with _figure(6.6, 3.8) as (figure, finish):
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


def rates_figure(curves: Mapping[str, Sequence[tuple[float, Interval]]], xlabel: str, ylabel: str) -> bytes:
    """Draw rates with intervals against a quantity; by name, a sequence of (quantity, rate)."""
    with _figure(5.4, 3.6) as (figure, finish):
        axes = figure.subplots()
        for (name, bins), (color, _, marker) in zip(curves.items(), cycle(_CURVES), strict=False):
            _interval_points(axes, [place for place, _ in bins], [rate for _, rate in bins], color, marker, name)
        axes.set(ylim=(-0.02, 1.02), xlabel=xlabel, ylabel=ylabel)
        axes.legend(fontsize=8)
        return finish()


def bars_figure(values: Mapping[str, Interval], xlabel: str, *, logarithmic: bool = False) -> bytes:
    """Draw values with their intervals, one row per name, the first at the top."""
    with _figure(6.6, 0.42 * len(values) + 1.2) as (figure, finish):
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


def completeness_figure(
    curves: Mapping[str, Sequence[tuple[float, Interval]]], fitted: tuple[float, float] | None
) -> bytes:
    """Draw completeness in bins of magnitude by kind of injection, and the fitted logistic (50 % magnitude, width)."""
    with _figure(5.4, 3.6) as (figure, finish):
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


def image_strip(images: NDArray, captions: Sequence[str], columns: int = 6) -> bytes:
    """Draw images, (n, height, width, 1 or 3) uint8, in rows, each above its caption."""
    lines = -(-len(images) // columns)
    caption_lines = max((caption.count("\n") + 1 for caption in captions), default=1)
    with _figure(1.55 * columns, (1.6 + 0.17 * caption_lines) * lines) as (figure, finish):
        panels = figure.subplots(lines, columns, squeeze=False).ravel()
        for axes in panels:
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        for axes, image, caption in zip(panels, images, captions, strict=False):
            axes.imshow(image if image.shape[-1] == 3 else image[..., 0], cmap="gray")
            axes.set_xlabel(caption, fontsize=7.5)
        return finish()


@contextmanager
def _figure(width_in: float, height_in: float) -> Iterator[tuple[Figure, "_Finish"]]:
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width_in, height_in), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1))
        yield figure, _Finish(figure)


class _Finish:
    """Turns a figure into PNG bytes."""

    def __init__(self, figure: Figure) -> None:
        self.figure = figure

    def __call__(self) -> bytes:
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", dpi=PIXELS_PER_INCH, facecolor="white")
        return buffer.getvalue()


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


def _blues() -> mpl.colors.LinearSegmentedColormap:
    return mpl.colors.LinearSegmentedColormap.from_list("shares", ["#ffffff", "#9ecae1", BLUE, "#043a5c"])
