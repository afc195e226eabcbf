"""The page of a night: how many candidates before and after, what was not scored and why, the best, best first."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from realbogus.audits.pictures import draw_triplet
from tasks.night.decisions import Scored
from tasks.night.operations import SAME_OBJECT_ARCSEC, sentences
from tasks.night.scoring import ScoringRule
from tasks.night.sources import NightSource
from tasks.reports.contact_sheet import contact_sheet, to_jpeg
from tasks.reports.page import Block, Cell, Figure, Heading, Headline, Headlines, Link, Table, Text, page
from tasks.store.files import whole_file

SHOWN = 48
_COLUMNS = 4


def write_night_page(
    path: Path, title: str, source: NightSource, scored: Scored, rule: ScoringRule, summary: Mapping[str, Any]
) -> None:
    """Write the page of a night; the stamps of the best are read from the source once more."""
    stamps = stamps_of(source, scored.best)
    blocks = [
        *_account(scored, rule, summary),
        *_operations(summary),
        *_best(stamps, scored.best, rule),
        Heading("All candidates"),
        Text("Every candidate has a row, in the input's order; those that could not be scored name the reason."),
        Link(f"{scored.path.name} ({scored.count:,} rows)", os.path.relpath(scored.path, path.parent)),
    ]
    with whole_file(path) as beside:
        beside.write_text(page(title, blocks, _subtitle(summary)), encoding="utf-8")


def stamps_of(source: NightSource, best: pa.Table) -> list[NDArray[np.float32]]:
    """Return the triplets of candidates in their order; only the blocks that hold one are read."""
    found: dict[str, NDArray[np.float32]] = {}
    wanted = set(best["id"].to_pylist())
    for number in sorted(set(best["block"].to_pylist())):
        block = next(source.blocks(number))
        found |= {name: stamp.copy() for name, stamp in zip(block.ids, block.stamps, strict=True) if name in wanted}
    return [found[name] for name in best["id"].to_pylist()]


def _subtitle(summary: Mapping[str, Any]) -> str:
    pixels = f"; pixels are {summary['pixels']}" if summary["pixels"] else ""
    return f"By {summary['model']}, threshold {summary['threshold_version']}{pixels}"


def _account(scored: Scored, rule: ScoringRule, summary: Mapping[str, Any]) -> list[Block]:
    objects = summary["operations"]["objects"]
    headlines = [
        Headline("Detections", scored.count, "before the classifier"),
        Headline("Candidates", scored.selected, f"logit {scored.threshold:.3f} and above"),
    ]
    if objects is not None:
        within = f"of {objects['before']:,} objects; within {SAME_OBJECT_ARCSEC:g} arcsec"
        headlines.append(Headline("Candidate objects", objects["after"], within))
    headlines.append(Headline("Not scored", scored.count - scored.scored, _reasons(scored.not_scored)))
    return [Headlines(headlines), Text(_cascade(scored, rule, summary["cascade"]))]


def _reasons(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in counts.items()) or "every candidate has a score"


def _cascade(scored: Scored, rule: ScoringRule, cascade: Mapping[str, Any]) -> str:
    if rule.first is None:
        return f"{rule.full.name} judged every candidate: {cascade['why']}."
    return (
        f"{rule.first.name} discarded {scored.discarded:,} candidates that it was sure of (logit below "
        f"{rule.discard_below:.2f}), {rule.full.name} judged the rest. Of the reals that the full model keeps at logit "
        f"{cascade['full_threshold']:.2f}, {cascade['lost']} of {cascade['kept_by_full']} of the validation part are "
        f"lost so; at most {cascade['lost_limit']:.2%} of all are, with 95 % confidence."
    )


def _operations(summary: Mapping[str, Any]) -> list[Block]:
    figure = summary["operations"]
    blocks: list[Block] = [
        Heading("Before and after"),
        *(Text(f"{sentence}.") for sentence in sentences(figure)),
        Text("This is the classifier's share only: a survey has further cuts, a sky and people.", quiet=True),
    ]
    if figure["equal_recovery"]:
        against = summary["against"]
        names = [("", "this model"), *([("against_", against)] if against else [])]
        columns = ["recovery of true transients"]
        columns += [f"{what}, {name}" for _, name in names for what in ("detections", "objects")]
        rows: list[Sequence[Cell]] = [
            [
                f"{row['recovery']:.3f}",
                *(row[f"{key}{what}"] for key, _ in names for what in ("detections", "objects")),
            ]
            for row in figure["equal_recovery"]
        ]
        blocks.append(Table("Candidates left at equal recovery; a dash: not reached, or no positions", columns, rows))
    return blocks


def _best(stamps: Sequence[NDArray[np.float32]], best: pa.Table, rule: ScoringRule) -> list[Block]:
    rows = best.to_pylist()
    if not rows:
        return [Heading("The best"), Text("No candidate reaches the threshold.")]
    captions = [f"{number}  {row['probability_night']:.3f}  {row['id']}" for number, row in enumerate(rows, 1)]
    sheet = contact_sheet([draw_triplet(stamp) for stamp in stamps], captions, _COLUMNS)
    columns = ["", "id", "probability", "at the training mix", "logit", "RA (deg)", "Dec (deg)"]
    lines: list[Sequence[Cell]] = [
        [
            number,
            row["id"],
            f"{row['probability_night']:.4f}",
            f"{row['probability']:.4f}",
            f"{row['logit']:.2f}",
            _degrees(row["ra_deg"]),
            _degrees(row["dec_deg"]),
        ]
        for number, row in enumerate(rows, 1)
    ]
    caption = f"Probability of being real where {rule.night_prior:g} of all are"
    return [
        Heading(f"The best {len(rows)}"),
        Figure(f"New, reference, difference. {caption}, and id.", to_jpeg(sheet), "contact sheet of candidates"),
        Table(f"Best first. {caption}", columns, lines),
    ]


def _degrees(value: float | None) -> str | None:
    return None if value is None else f"{value:.5f}"
