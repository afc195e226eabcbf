"""The page of a night: counts before and after the classifier, reasons for missing scores, and the best candidates."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from realbogus.audits.pictures import draw_triplet
from tasks.night.models import ScoringRule
from tasks.night.operations import SAME_OBJECT_ARCSEC, describe_operations
from tasks.night.score_table import ScoredNight
from tasks.night.sources import NightSource
from tasks.reports.contact_sheet import contact_sheet, to_jpeg
from tasks.reports.page import Answer, Block, Cell, Figure, Heading, Headline, Headlines, Link, Table, Text, page
from tasks.reports.understanding import understood_blocks
from tasks.store.files import whole_file

SHOWN = 48
_COLUMNS = 4


def write_night_page(
    path: Path, title: str, source: NightSource, scored: ScoredNight, rule: ScoringRule, summary: Mapping[str, Any]
) -> None:
    """Write the page of a night; the stamps of the best candidates are read from the source once more."""
    stamps = stamps_of(source, scored.best)
    blocks = [
        night_answer(scored, summary),
        *count_blocks(scored, rule, summary),
        *operations_blocks(summary),
        *probability_blocks(summary["probabilities"]),
        *understood_blocks(summary, "candidates"),
        *best_blocks(stamps, scored.best, rule),
        Heading("All candidates"),
        Text("The scores file has a row for every candidate, in the input's order, with a score or a reason for none."),
        Link(f"{scored.path.name} ({scored.count:,} rows)", os.path.relpath(scored.path, path.parent)),
    ]
    with whole_file(path) as unfinished:
        unfinished.write_text(page(title, blocks, _subtitle(summary)), encoding="utf-8")


def stamps_of(source: NightSource, best: pa.Table) -> list[NDArray[np.float32]]:
    """Return the triplets (y, x, 3) of candidates (columns ``id``, ``block``) in their order.

    Only the blocks that hold one of them are read.
    """
    stamp_by_id: dict[str, NDArray[np.float32]] = {}
    ids = best["id"].to_pylist()
    shown = set(ids)
    for number in sorted(set(best["block"].to_pylist())):
        block = next(source.blocks(number))
        stamp_by_id |= {
            name: stamp.copy() for name, stamp in zip(block.ids, block.stamps, strict=True) if name in shown
        }
    return [stamp_by_id[name] for name in ids]


def _subtitle(summary: Mapping[str, Any]) -> str:
    pixels = f"; {summary['pixels']} pixels" if summary["pixels"] else ""
    return f"Model {summary['model']}, threshold {summary['threshold_version']}{pixels}"


def night_answer(scored: ScoredNight, summary: Mapping[str, Any]) -> Answer:
    """Return how many candidates a person has to look at, and what the classifier took away and lost."""
    objects = summary["operations"]["objects"]
    what = f"{scored.selected:,} of {scored.count:,} detections are candidates"
    if objects is not None:
        what += f", {objects['after']:,} objects of {objects['before']:,}"
    unscored = scored.count - scored.scored
    missing = f"{unscored:,} could not be scored ({_reasons(scored.not_scored)})" if unscored else "all were scored"
    said = [f"{sentence}." for sentence in describe_operations(summary["operations"])] + _overlap_sentences(summary)
    return Answer(f"{what}; {missing}.", " ".join(said))


def count_blocks(scored: ScoredNight, rule: ScoringRule, summary: Mapping[str, Any]) -> list[Block]:
    """Return the headline counts, and a sentence on the models."""
    objects = summary["operations"]["objects"]
    headlines = [
        Headline("Detections", scored.count, "before the classifier"),
        Headline("Candidates", scored.selected, f"with a logit of at least {scored.threshold:.3f}"),
    ]
    if objects is not None:
        detail = f"of {objects['before']:,} objects; detections within {SAME_OBJECT_ARCSEC:g} arcsec are one object"
        headlines.append(Headline("Candidate objects", objects["after"], detail))
    headlines.append(Headline("Not scored", scored.count - scored.scored, _reasons(scored.not_scored)))
    if summary.get("repeated"):
        headlines.append(Headline("Repeated", summary["repeated"], "came again with the same pixels"))
    return [Headlines(headlines), Text(describe_cascade(scored, rule, summary["cascade"]))]


def _reasons(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in counts.items()) or "every candidate has a score"


def describe_cascade(scored: ScoredNight, rule: ScoringRule, cascade: Mapping[str, Any]) -> str:
    """Return what each model did, and what the first one may lose."""
    if rule.first is None:
        return f"{rule.full.name} scored every candidate: {cascade['why']}."
    return (
        f"{rule.first.name} discarded {scored.discarded:,} candidates with a logit below {rule.discard_below:.2f}; "
        f"{rule.full.name} scored the others. Of the {cascade['kept_by_full']} reals of the validation part to which "
        f"the full model gives a logit of at least {cascade['full_threshold']:.2f}, the first model discards "
        f"{cascade['lost']}: at most {cascade['lost_limit']:.2%} of such reals are lost (upper 95 % limit)."
    )


def operations_blocks(summary: Mapping[str, Any]) -> list[Block]:
    """Return the counts before and after the classifier, and the table at equal recovery if there are transients."""
    figure = summary["operations"]
    blocks: list[Block] = [
        Heading("Before and after"),
        *(Text(f"{sentence}.") for sentence in describe_operations(figure)),
        Text("These counts measure the classifier alone: a survey applies further cuts and human vetting.", quiet=True),
    ]
    blocks += [Text(sentence) for sentence in _overlap_sentences(summary)]
    if figure["equal_recovery"]:
        against = summary["against"]
        names = [("", "this model"), *([("against_", against)] if against else [])]
        columns = ["recovery of true transients"]
        columns += [f"{counted}, {name}" for _, name in names for counted in ("detections", "objects")]
        rows: list[Sequence[Cell]] = [
            [
                f"{row['recovery']:.3f}",
                *(row[f"{prefix}{counted}"] for prefix, _ in names for counted in ("detections", "objects")),
            ]
            for row in figure["equal_recovery"]
        ]
        caption = "Candidates selected at equal recovery; a dash: not reached, or no positions"
        blocks.append(Table(caption, columns, rows))
    return blocks


def _overlap_sentences(summary: Mapping[str, Any]) -> list[str]:
    """Return what the counts before and after the classifier leave out; nothing if they have every candidate."""
    overlap = summary.get("overlap_with_training")
    return [f"{overlap:,} candidates that a model was trained on are left out of these counts."] if overlap else []


def probability_blocks(counts: Mapping[str, Any] | None) -> list[Block]:
    """Return expected and counted reals by probability (`tasks.night.counted_reals`); none without known truth."""
    if counts is None:
        return []
    columns = ["probability", "candidates", "expected real", "counted real", "95 % limits"]
    rows: list[Sequence[Cell]] = [
        [
            f"{one['low']:g} to {one['high']:g}",
            one["count"],
            f"{one['expected']:.1f}",
            one["counted"],
            f"{one['least']} to {one['most']}",
        ]
        for one in counts["bins"]
    ]
    return [
        Heading("Do the probabilities hold"),
        Text(
            f"At the stated prior {counts['prior']:g} the probabilities sum to {counts['expected']:.1f} reals; by "
            f"{counts['by']} there are {counts['counted']:,}, a share of {counts['share']:.4g}. They can agree only "
            "where the prior is that share, and the reals and bogus of the night are like those of the validation part."
        ),
        Table("Expected and counted reals by probability at the night's prior", columns, rows),
    ]


def best_blocks(stamps: Sequence[NDArray[np.float32]], best: pa.Table, rule: ScoringRule) -> list[Block]:
    """Return the contact sheet and the table of the best candidates (`ScoredNight.best`)."""
    rows = best.to_pylist()
    if not rows:
        return [Heading("The best candidates"), Text("No candidate reaches the threshold.")]
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
    caption = f"Probability of being real if a share of {rule.night_prior:g} of all detections is"
    return [
        Heading(f"The best {len(rows)} candidates"),
        Figure(f"New, reference, difference. {caption}, and id.", to_jpeg(sheet), "contact sheet of candidates"),
        Table(f"Best first. {caption}", columns, lines),
    ]


def _degrees(value: float | None) -> str | None:
    return None if value is None else f"{value:.5f}"
