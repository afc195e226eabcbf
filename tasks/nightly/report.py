"""The page of all nights: what each brought, what the champion made of it, and what was decided."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from tasks.learning.measures import rate
from tasks.nightly.night_record import STATE_WORDS, NightRecord, read_records
from tasks.nightly.quiet_nights import night_charts
from tasks.nightly.request import NightlyRequest
from tasks.reports.canvas import canvas
from tasks.reports.colours import BLUE, GREEN, GREY, ORANGE, VERMILION
from tasks.reports.control_charts import control_figure
from tasks.reports.drawing import Drawing
from tasks.reports.page import Block, Figure, Heading, Headline, Headlines, Link, Table, Text, page
from tasks.runtime.workspace import Workspace
from tasks.store.files import whole_file

COLOURS = {
    "done": GREEN,
    "redelivered": BLUE,
    "set_aside": ORANGE,
    "clouds": GREY,
    "no_data": GREY,
    "waiting": ORANGE,
    "failed": VERMILION,
}
"""Colour of a night's state."""
VERDICTS = {"PROMOTE": (GREEN, "^"), "HOLD": (GREY, "o"), "REJECT": (VERMILION, "v")}
"""Colour and marker of a verdict."""


def write_nights_page(workspace: Workspace, request: NightlyRequest, judged: Sequence[Block] = ()) -> Path:
    """Write the page of a training set's nights; return its path. `judged` is the section on people's verdicts."""
    nights = [record for record in read_records(workspace, request.training_set) if record.summary is not None]
    path = workspace.reports / f"nights-{request.training_set}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = "simulated pixels" if request.source == "simulated" else "real pixels"
    with whole_file(path) as unfinished:
        text = page(
            f"Nights of {request.training_set}",
            [*night_blocks(nights, path.parent), *judged],
            f"{len(nights)} nights; {pixels}",
        )
        unfinished.write_text(text, encoding="utf-8")
    return path


def night_blocks(nights: Sequence[NightRecord], folder: Path) -> list[Block]:
    """Return the page's blocks; `folder` is where the page lies."""
    summaries = [record.summary or {} for record in nights]
    newest = summaries[-1]
    verdicts = [summary["decision"] for summary in summaries if summary["decision"]]
    blocks: list[Block] = [
        Headlines(
            [
                Headline(f"Night {newest['night']}", STATE_WORDS[newest["state"]], newest["message"]),
                Headline("Champion", (newest["champion"] or "none").removeprefix("models:/"), "of the newest night"),
                Headline("Promotions", verdicts.count("PROMOTE"), f"of {len(verdicts)} challengers"),
                Headline("Drift", sum(_has_drifted(summary) for summary in summaries), "nights"),
            ]
        ),
        Figure("By night, as far as it is known", nights_figure(summaries), "Counts, rates and decisions by night"),
    ]
    charts = night_charts(nights)
    if charts:
        caption = (
            "Detected / injected and kept / scored, all magnitudes. From eight quiet nights on: their rate, and the "
            "limits that their scatter sets."
        )
        drawing = control_figure(charts, "share of the injections")
        blocks.append(Figure(caption, drawing, "Control charts of detection and classification by night"))
    blocks += [Heading("Nights"), _table(summaries), Heading("What was found")]
    for summary in reversed(summaries):
        reasons = "; ".join([*(summary["drift"] or {}).get("reasons", []), *summary["reasons"]])
        blocks.append(Text(f"{summary['night']}: {summary['message']}{'. ' if reasons else ''}{reasons}"))
        if summary.get("night_report"):
            blocks.append(Link("Best candidates", os.path.relpath(summary["night_report"], folder)))
    return blocks


def nights_figure(summaries: Sequence[Mapping[str, Any]]) -> Drawing:
    """Draw candidates, false-positive rate, completeness and decisions by night."""
    names = [summary["night"] for summary in summaries]
    panels: list[tuple[str, Callable[[Axes, Sequence[Mapping[str, Any]]], None]]] = [
        ("candidates", _draw_counts),
        ("false positives", _draw_false_positives),
        ("completeness", _draw_completeness),
        ("decision", _draw_decisions),
    ]
    heights = [1.0, 1.0, 1.0, 0.55]
    with canvas(max(7.0, 0.26 * len(names) + 2), 7.6) as (figure, finish):
        for axes, (label, draw) in zip(
            figure.subplots(len(panels), 1, sharex=True, height_ratios=heights), panels, strict=True
        ):
            draw(axes, summaries)
            axes.set_ylabel(label)
            for place, summary in enumerate(summaries):
                if summary["state"] != "done":
                    axes.axvspan(place - 0.5, place + 0.5, color=COLOURS[summary["state"]], alpha=0.15, linewidth=0)
        axes.set_xticks(range(len(names)), [name[5:] for name in names], rotation=90 if len(names) > 8 else 0)
        axes.set_xlim(-0.6, len(names) - 0.4)
        return finish()


def _draw_counts(axes: Axes, summaries: Sequence[Mapping[str, Any]]) -> None:
    places = np.arange(len(summaries))
    axes.plot(
        places, [summary["scored"] or np.nan for summary in summaries], color=BLUE, marker="o", label="detections"
    )
    selected = [summary["selected"] if summary["scored"] else np.nan for summary in summaries]
    axes.plot(places, np.array(selected, float), color=ORANGE, marker="s", linestyle="--", label="selected")
    axes.set_yscale("symlog", linthresh=10)
    axes.legend(loc="lower left", ncols=2, fontsize=8, bbox_to_anchor=(0, 1))


def _draw_false_positives(axes: Axes, summaries: Sequence[Mapping[str, Any]]) -> None:
    _draw_rate(axes, summaries, lambda truth: (truth["bogus_selected"], truth["bogus"]), VERMILION, "selected bogus")


def _draw_completeness(axes: Axes, summaries: Sequence[Mapping[str, Any]]) -> None:
    _draw_rate(axes, summaries, lambda truth: (truth["real_selected"], truth["real"]), GREEN, "selected reals")
    places = [place for place, summary in enumerate(summaries) if _value(summary, "detection") is not None]
    for kind, color in (("detection", BLUE), ("classification", ORANGE)):
        values = [_value(summaries[place], kind) for place in places]
        axes.plot(places, values, color=color, marker=".", linewidth=1.2, label=f"{kind} of injections")
    axes.set_ylim(0, 1.02)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower left", ncols=3, fontsize=8, bbox_to_anchor=(0, 1))


def _draw_rate(
    axes: Axes,
    summaries: Sequence[Mapping[str, Any]],
    counts: Callable[[Mapping[str, int]], tuple[int, int]],
    color: str,
    label: str,
) -> None:
    """Draw a rate against the hidden truth with Wilson's intervals, on the nights that have it."""
    known = [(place, *counts(summary["truth"])) for place, summary in enumerate(summaries) if summary.get("truth")]
    known = [(place, part, whole) for place, part, whole in known if whole]
    rates = [rate(part, whole) for _, part, whole in known]
    values = np.array([interval.value for interval in rates])
    errors = np.array([[r.value - r.low for r in rates], [r.high - r.value for r in rates]])
    if len(rates):
        axes.errorbar([place for place, *_ in known], values, errors, color=color, marker="o", label=label)


def _draw_decisions(axes: Axes, summaries: Sequence[Mapping[str, Any]]) -> None:
    for verdict, (color, marker) in VERDICTS.items():
        places = [place for place, summary in enumerate(summaries) if summary["decision"] == verdict]
        axes.plot(places, [0] * len(places), color=color, marker=marker, linestyle="", label=verdict)
    drifted = [place for place, summary in enumerate(summaries) if _has_drifted(summary)]
    axes.plot(drifted, [1] * len(drifted), color=VERMILION, marker="x", linestyle="", label="drift")
    axes.set_ylim(-0.6, 1.6)
    axes.set_yticks([0, 1], ["gate", "drift"])
    axes.legend(loc="lower left", ncols=4, fontsize=8, bbox_to_anchor=(0, 1))


def _table(summaries: Sequence[Mapping[str, Any]]) -> Table:
    columns = ["night", "state", "ingested", "rejected", "scored", "selected", "drift", "challenger", "decision", "s"]
    rows = [
        [
            summary["night"],
            STATE_WORDS[summary["state"]],
            summary["ingested"],
            sum(summary["rejected"].values()),
            summary["scored"],
            summary["selected"],
            "yes" if _has_drifted(summary) else "no",
            (summary["challenger"] or "").removeprefix("models:/") or None,
            summary["decision"],
            summary["seconds"],
        ]
        for summary in reversed(summaries)
    ]
    return Table("Newest first", columns, rows)


def _has_drifted(summary: Mapping[str, Any]) -> bool:
    return bool((summary["drift"] or {}).get("drifted"))


def _value(summary: Mapping[str, Any], step: str) -> float | None:
    return (summary["efficiency"] or {}).get(step)
