"""Plots of control charts."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from tasks.learning.drift.control_chart import ControlChart
from tasks.reports.canvas import canvas
from tasks.reports.colours import BLUE, GREY, ORANGE, PAPER, SKY, VERMILION
from tasks.reports.drawing import Drawing


def control_figure(charts: Mapping[str, ControlChart], ylabel: str) -> Drawing:
    """Draw control charts below each other, by title: rates by night, centre line, limits, and the points outside."""
    nights = max((len(chart.points) for chart in charts.values()), default=1)
    width = min(11.0, 3.4 + 0.22 * nights)
    with canvas(width, 0.8 + 1.5 * len(charts)) as (figure, finish):
        panels = figure.subplots(len(charts), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (title, chart) in zip(panels, charts.items(), strict=True):
            _control_panel(axes, chart)
            axes.set_title(title, fontsize=9)
            axes.set(ylim=(-0.04, 1.04))
        points = next(iter(charts.values())).points
        every = max(1, -(-len(points) // 12))
        shown = range(0, len(points), every)
        panels[-1].set_xticks(list(shown), [points[place].night for place in shown])
        panels[-1].tick_params(axis="x", labelrotation=45 if max(len(point.night) for point in points) > 4 else 0)
        figure.supylabel(ylabel, fontsize=10)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), fontsize=8)
        return finish()


def _control_panel(axes: Axes, chart: ControlChart) -> None:
    places = np.arange(len(chart.points))
    rate, low, high = (np.array([getattr(point, name) for point in chart.points]) for name in ("rate", "low", "high"))
    rule = np.array([point.outside or "" for point in chart.points])
    quiet = np.array([point.night in chart.quiet for point in chart.points], bool)
    axes.fill_between(places, low, high, step="mid", color=SKY, alpha=0.25, linewidth=0, label="limits")
    axes.axhline(chart.centre, color=GREY, linewidth=1, linestyle=(0, (4, 3)), label="quiet nights")
    kinds = (
        ("quiet night", (rule == "") & quiet, BLUE, "o", BLUE),
        ("other night", (rule == "") & ~quiet, BLUE, "o", PAPER),
        ("beyond a limit", rule == "limit", VERMILION, "X", VERMILION),
        ("slide", rule == "slide", ORANGE, "D", ORANGE),
    )
    for name, chosen, color, marker, face in kinds:
        axes.plot(
            places[chosen],
            rate[chosen],
            linestyle="",
            marker=marker,
            markersize=5,
            color=color,
            markerfacecolor=face,
            label=name,
        )
