"""The page on which two models are compared: counts, rates, logits, and the stamps that they decide differently."""

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from realbogus.audits.pictures import draw_triplet
from tasks.learning.intervals import format_ends
from tasks.learning.operating_points import LEAST_EVENTS
from tasks.night.blocks import PLANES
from tasks.night.report import stamps_of
from tasks.past_nights.model_difference import SIDES, Difference
from tasks.reports.agreement_figure import Judgements, agreement_figure
from tasks.reports.contact_sheet import contact_sheet, to_jpeg
from tasks.reports.page import Block, Cell, Figure, Heading, Headline, Headlines, Link, Table, Text, page
from tasks.store.files import whole_file

SHOWN = 24
"""Stamps of each sheet."""
_COLUMNS = 3
_TRIPLET_PX = 240
"""Least width of a triplet on a sheet, which its caption needs."""
_COUNTS = {"both": "both", "only_model": "only {model}", "only_against": "only {against}", "neither": "neither"}
_RATES = {
    "recall": "recall of true transients",
    "injected_recall": "recall of injections",
    "fpr": "false-positive rate",
}


def write_difference_page(path: Path, difference: Difference, summary: Mapping[str, Any], rows: Path) -> None:
    """Write the page; the stamps that are shown are read from the source once more."""
    names = {side: summary[side] for side in SIDES}
    blocks: list[Block] = [
        *count_blocks(difference, summary, names),
        *rate_blocks(summary, names),
        Heading("Logits"),
        Figure(
            "Every candidate with a logit of both models; lines are the thresholds, colours the candidates that one "
            "model alone selects.",
            agreement_figure(_judgements(difference, "model"), _judgements(difference, "against")),
            "logits of one model against those of the other",
        ),
    ]
    for side in SIDES:
        blocks += sheet_blocks(difference, side, names)
    blocks += [
        Heading("All candidates that differ"),
        Link(f"{rows.name} ({difference.rows.num_rows:,} rows)", os.path.relpath(rows, path.parent)),
    ]
    title = f"{names['model']} and {names['against']} on night {summary['night']}"
    pixels = f"; {summary['pixels']} pixels" if summary["pixels"] else ""
    thresholds = ", ".join(f"threshold {summary[f'threshold_version_{side}']}" for side in SIDES)
    with whole_file(path) as unfinished:
        unfinished.write_text(page(title, blocks, f"{thresholds}{pixels}"), encoding="utf-8")


def _judgements(difference: Difference, side: str) -> Judgements:
    judged = difference.judged[SIDES.index(side)]
    return Judgements(judged.model.name, judged.logit, judged.threshold)


def count_blocks(difference: Difference, summary: Mapping[str, Any], names: Mapping[str, str]) -> list[Block]:
    """Return the counts of agreement, also by what is known of the candidates."""
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in summary["not_compared"].items())
    headlines = [
        Headline("Differ", summary["differing"], f"of {summary['count']:,} candidates"),
        *(Headline(f"Only {names[side]}", summary[f"only_{side}"], "selects them") for side in SIDES),
        Headline("Not compared", sum(summary["not_compared"].values()), reasons or "all have a logit of both models"),
    ]
    blocks: list[Block] = [Headlines(headlines)]
    if summary["source_changed"]:
        blocks.append(Text("The source has changed since the night was scored: these are its present candidates."))
    columns = ["candidates", *(words.format(**names) for words in _COUNTS.values())]
    rows: list[Sequence[Cell]] = []
    if difference.truth is not None:
        words = difference.truth.words()
        kinds = {"transient": "true transients", "injection": "injections", "bogus": "bogus", "": "of unknown truth"}
        for word, label in kinds.items():
            if (words == word).any():
                rows.append([label, *difference.counts(words == word).values()])
    rows.append(["all", *difference.counts().values()])
    return [*blocks, Heading("Selected by"), Table("Candidates by the models that select them", columns, rows)]


def rate_blocks(summary: Mapping[str, Any], names: Mapping[str, str]) -> list[Block]:
    """Return the rates by the known truth, with their counts and intervals."""
    truth = summary["truth"]
    if truth is None:
        return [Heading("By the truth"), Text("The truth of this night's candidates is not known.")]
    columns = ["", *(f"{names[side]}" for side in SIDES), f"{names['against']} minus {names['model']}"]
    rows: list[Sequence[Cell]] = []
    for name, label in _RATES.items():
        rate = truth[name]
        if rate is not None:
            ends = format_ends(rate["difference_low"], rate["difference_high"], "+.2%")
            cells = [rate_text(rate[side]) for side in SIDES]
            rows.append([label, *cells, f"{rate['difference']:+.2%} ({ends})"])
    seen = summary["overlap_with_training"]
    left_out = "it is not known which candidates the models were trained on: they may be among these"
    if seen is not None:
        left_out = f"{seen:,} candidates that a model was trained on are left out"
    caption = f"Truth: {truth['origin']}; {left_out}. Intervals: 95 %, groups resampled, the models paired"
    return [Heading("By the truth"), Table(caption, columns, rows)]


def rate_text(rate: Mapping[str, Any]) -> str:
    """Return a rate with counts and interval; of fewer than `LEAST_EVENTS` its upper limit."""
    counts = f"{rate['selected']:,} of {rate['of']:,}"
    if rate["selected"] < LEAST_EVENTS:
        return f"below {rate['limit']:.2%} ({counts})"
    return f"{rate['rate']:.2%} ({format_ends(rate['rate_low'], rate['rate_high'], '.2%')}), {counts}"


def sheet_blocks(difference: Difference, side: str, names: Mapping[str, str]) -> list[Block]:
    """Return the sheet of the candidates that one model alone selects, the largest disagreement first."""
    rows = difference.rows.filter(pc.equal(difference.rows["only"], side))
    heading = Heading(f"Selected by {names[side]} alone")
    if not rows.num_rows:
        return [heading, Text("None.")]
    shown = rows.slice(0, SHOWN)
    captions = [_caption(number, row) for number, row in enumerate(shown.to_pylist(), 1)]
    stamps = _stamps(difference, shown)
    enlarge = math.ceil(_TRIPLET_PX / (PLANES * stamps[0].shape[1]))
    sheet = contact_sheet([draw_triplet(stamp, enlarge) for stamp in stamps], captions, _COLUMNS)
    text = (
        f"{len(shown):,} of {rows.num_rows:,}, the largest disagreement first: new, reference, difference; logit of "
        f"{names['model']} and of {names['against']}, truth where it is known, and id."
    )
    return [heading, Figure(text, to_jpeg(sheet), f"stamps that {names[side]} alone selects")]


def _caption(number: int, row: Mapping[str, Any]) -> str:
    logits = " / ".join(f"{row[f'logit_{side}']:+.2f}" for side in SIDES)
    return "  ".join([str(number), logits, *([row["truth"]] if row["truth"] else []), row["id"]])


def _stamps(difference: Difference, rows: pa.Table) -> list[NDArray[np.float32]]:
    """Return the triplets of some candidates, of the larger of the two sizes."""
    largest = max(difference.judged, key=lambda judged: judged.model.stamp_px)
    return stamps_of(largest.source, rows)
