"""The report of a real/bogus evaluation, as blocks of a page."""

import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.candidates.figures import efficiency_figures, evaluation_pictures
from tasks.candidates.metrics import NIGHT_CANDIDATES, NIGHT_PRIOR, CandidateEvaluation
from tasks.learning import measures, operating_points
from tasks.reports import figures as draw
from tasks.reports.page import Block, Cell, Figure, Heading, Headline, Headlines, Table, Text

NEAR_RADII = 2.0
SNR_EDGES = (5.0, 6.0, 7.0, 10.0, 20.0, np.inf)


def candidate_blocks(
    evaluation: CandidateEvaluation, summary: Mapping[str, Any]
) -> tuple[list[Block], dict[str, bytes]]:
    """Return the page's blocks and its pictures by name."""
    rows = np.flatnonzero(evaluation.chosen.headline)
    pictures = evaluation_pictures(evaluation, rows, summary)
    blocks: list[Block] = [
        _headlines(summary, evaluation.origin),
        *(Text(note, quiet=True) for note in evaluation.notes),
        Heading("Operating points"),
        _points_table(summary, evaluation.origin),
        _night_table(evaluation, summary),
        pictures["roc"],
        pictures["precision"],
        pictures["scores"],
        Heading("Against what needs no network"),
        _rivals_table(evaluation, rows, summary),
        _lead_table(summary["best_untrained"], evaluation.origin),
        Heading("By what it is, where, and how bright"),
        *_cuts(evaluation, rows, summary),
        Heading("Probabilities"),
        *_calibration(evaluation, rows),
    ]
    curves = efficiency_figures(evaluation, summary)
    if curves:
        blocks += [
            Heading("Efficiencies"),
            Text(
                "Detection is found of injected, classification kept of found at the threshold of TPR 0.9, "
                "completeness their product; chance matches are taken off. Injections of this part."
            ),
            *curves.values(),
        ]
    if "training" in pictures:
        blocks += [Heading("Training"), pictures["training"]]
    blocks += [
        Heading("Look at them"),
        Text(_told_verdicts(summary["verdicts"])),
        *(pictures[name] for name in ("bogus", "real") if name in pictures),
        Heading("Provenance"),
        Table("What was judged, by what", ["what", "value"], _fact_rows(evaluation.facts)),
    ]
    return blocks, {name: figure.png for name, figure in (pictures | curves).items()}


def _told_verdicts(verdicts: Mapping[str, Any] | None) -> str:
    if verdicts is None:
        return "What is real is the simulation's truth, so no person's verdict is needed on the bogus that pass."
    if "table" in verdicts:
        return (
            f"{verdicts['asked']} bogus above the threshold of TPR 0.9 want a person's verdict: true objects among "
            "them put a floor under the false-positive rate, so without verdicts the rate is an upper limit. Fill in "
            f"the column verdict of {verdicts['table']} (right: it is bogus, wrong, or unsure), and give the file as "
            "verdicts."
        )
    share = verdicts["fpr_at_tpr90"]
    told = (
        "none is left"
        if share is None
        else (
            f"without those the false-positive rate is {share:.2%} ({verdicts['fpr_at_tpr90_low']:.2%} to "
            f"{verdicts['fpr_at_tpr90_high']:.2%})"
        )
    )
    return (
        f"Of {verdicts['asked']} bogus above the threshold of TPR 0.9 people judged {verdicts['wrong']} to be real, "
        f"{verdicts['right']} to be bogus, and were unsure of {verdicts['unsure']}: {told}."
    )


def _headlines(summary: Mapping[str, Any], origin: str) -> Headlines:
    point = summary["points"]["tpr90"]
    counts = f"{point['passed']} of {point['negatives']} bogus"
    if point["resolved"]:
        fpr, detail = f"{point['fpr']:.2%}", f"{point['fpr_low']:.2%} to {point['fpr_high']:.2%}; {counts}; {origin}"
    else:
        fpr, detail = f"below {point['fpr_limit']:.2%}", f"{counts}: too few to resolve; upper 95 % limit; {origin}"
    return Headlines(
        [
            Headline("False-positive rate at TPR 0.9", fpr, detail),
            Headline(
                "AUC", f"{summary['auc']:.4f}", f"{summary['auc_low']:.4f} to {summary['auc_high']:.4f}; {origin}"
            ),
            Headline("Judged", f"{summary['real']} real, {summary['bogus']} bogus", _left_out(summary["left_out"])),
        ]
    )


def _left_out(counts: Mapping[str, int]) -> str:
    told = ", ".join(f"{reason.replace('_', ' ')} {count}" for reason, count in counts.items())
    return f"left out: {told}" if told else "nothing left out"


def _points_table(summary: Mapping[str, Any], origin: str) -> Table:
    rows = [_point_row(f"set here, {name[3:]} % kept", point) for name, point in summary["points"].items()]
    rows += [
        _point_row(f"set on validation for {name[3:]} %", point)
        for name, point in summary["at_card_thresholds"].items()
    ]
    columns = ["threshold", "logit", "TPR", "of", "FPR", "95 % interval", "passed", "of"]
    return Table(
        f"Thresholds set on these rows, and those set on the validation part as they turn out here; {origin}",
        columns,
        rows,
    )


def _point_row(name: str, point: Mapping[str, Any]) -> list[Cell]:
    fpr = f"{point['fpr']:.3%}" if point["resolved"] else f"< {point['fpr_limit']:.3%}"
    ends = f"{point['fpr_low']:.3%} to {point['fpr_high']:.3%}" if point["resolved"] else "not resolved"
    tpr = f"{point['tpr']:.3f}"
    return [name, f"{point['threshold']:.3f}", tpr, point["positives"], fpr, ends, point["passed"], point["negatives"]]


def _night_table(evaluation: CandidateEvaluation, summary: Mapping[str, Any]) -> Table:
    rows: list[list[Cell]] = [
        [int(wanted), None if share is None else f"{share:.3f}"]
        for wanted, share in summary["tpr_at_night_candidates"].items()
    ]
    return Table(
        f"Of a night of {NIGHT_CANDIDATES:.0e} detections: share of true transients kept when so many bogus "
        "may pass (below the resolution of these rows the threshold is that of the highest bogus)",
        ["bogus candidates a night", "TPR"],
        rows,
    )


def _rivals_table(evaluation: CandidateEvaluation, rows: NDArray, summary: Mapping[str, Any]) -> Table:
    real = evaluation.chosen.real[rows]
    lines: list[list[Cell]] = []
    share = f"{real.mean():.3f} real"
    lines.append(["majority class", None, None, share])
    for name, scores in {**evaluation.rivals, "this model": evaluation.logits}.items():
        mine = scores[rows]
        lines.append(
            [
                name,
                f"{measures.auc(mine, real):.4f}",
                f"{operating_points.fpr_at_tpr(mine, real, 0.9):.3%}",
                int(np.count_nonzero(mine[~real] >= operating_points.threshold_for_tpr(mine[real], 0.9))),
            ]
        )
    columns = ["score", "AUC", "FPR at TPR 0.9", f"bogus passed of {int((~real).sum())}"]
    return Table(f"On the same {len(rows)} rows; {evaluation.origin}", columns, lines)


def _lead_table(best: Mapping[str, Any], origin: str) -> Table:
    lines: list[list[Cell]] = [
        [
            where,
            lead["name"],
            f"{lead['auc']:.4f}",
            f"{lead['auc_of_network']:.4f}",
            f"{lead['lead']:+.4f}",
            f"{lead['lead_low']:+.4f} to {lead['lead_high']:+.4f}",
        ]
        for where, lead in {
            "all rows": best,
            **{f"night {night}": one for night, one in best["nights"].items()},
        }.items()
    ]
    columns = ["rows", "best score that needs no training", "its AUC", "this model's", "lead", "95 %, paired"]
    return Table(f"Ahead of what needs no training, groups resampled; {origin}", columns, lines)


def _cuts(evaluation: CandidateEvaluation, rows: NDArray, summary: Mapping[str, Any]) -> list[Block]:
    chosen, threshold = evaluation.chosen, summary["points"]["tpr90"]["threshold"]
    kept, real = evaluation.logits >= threshold, chosen.real
    tables: list[Block] = []
    if (chosen.origins != "").any():
        lines = []
        for origin in np.unique(chosen.origins):
            mine = chosen.origins == origin
            lines.append([str(origin), "real" if real[mine].mean() > 0.5 else "bogus", *_share(kept[mine])])
        tables.append(_cut_table("By what it truly is (hidden truth)", "origin", ["counts as"], lines))
    snr = chosen.column("snr")
    if np.isfinite(snr).any():
        lines = []
        for low, high in pairwise(SNR_EDGES):
            inside = (snr >= low) & (snr < high)
            for name, mine in (("real", inside & real & chosen.headline), ("bogus", inside & ~real)):
                if mine.any():
                    lines.append(
                        [f"{low:g} to {high:g}" if np.isfinite(high) else f"above {low:g}", name, *_share(kept[mine])]
                    )
        tables.append(_cut_table("By S/N", "S/N", ["class"], lines))
        tables.append(Text(_equalised(evaluation, rows, snr)))
    near = chosen.column("galaxy_separation_re") <= NEAR_RADII
    where = [
        ["bogus within two effective radii of a galaxy", *_share(kept[near & ~real])],
        ["all other bogus", *_share(kept[~near & ~real])],
    ]
    kinds = chosen.words("kind")
    where += [
        [f"real: {kind.replace('_', ' ')}", *_share(kept[(kinds == kind) & real])] for kind in np.unique(kinds[real])
    ]
    tables.append(_cut_table("By surroundings and kind", "what", [], where))
    detectors = chosen.words("detector")
    if len(np.unique(detectors)) > 1:
        lines = [
            [
                str(name),
                *_share(kept[(detectors == name) & real & chosen.headline]),
                *_share(kept[(detectors == name) & ~real]),
            ]
            for name in np.unique(detectors)
        ]
        columns = ["detector", "real kept", "of", "share", "95 %", "bogus passed", "of", "share", "95 %"]
        tables.append(Table("By detector, at the threshold of TPR 0.9", columns, lines))
    return tables


def _cut_table(caption: str, first: str, more: list[str], lines: list[list[Cell]]) -> Table:
    return Table(f"{caption}, at the threshold of TPR 0.9", [first, *more, "kept", "of", "share", "95 %"], lines)


def _share(kept: NDArray[np.bool_]) -> list[Cell]:
    rate = measures.rate(int(kept.sum()), len(kept))
    if not len(kept):
        return [0, 0, None, None]
    return [int(kept.sum()), len(kept), f"{rate.value:.3f}", f"{rate.low:.3f} to {rate.high:.3f}"]


def _equalised(evaluation: CandidateEvaluation, rows: NDArray, snr: NDArray) -> str:
    """Say what is left when reals and bogus are drawn with one distribution of S/N."""
    real, mine = evaluation.chosen.real[rows], np.log(np.maximum(snr[rows], 1e-3))
    edges = np.quantile(mine[real], np.linspace(0, 1, 11))
    place = np.clip(np.searchsorted(edges, mine) - 1, 0, 9)
    rng = np.random.default_rng(0)
    drawn = []
    for number in range(10):
        pools = [np.flatnonzero((place == number) & (real == wanted)) for wanted in (True, False)]
        size = min(map(len, pools))
        drawn += [rng.permutation(pool)[:size] for pool in pools]
    few = np.concatenate(drawn)
    if len(few) < 20:
        return "Too few rows of equal S/N to repeat the figure at equalised brightness."
    area = measures.auc(evaluation.logits[rows][few], real[few])
    rate = operating_points.fpr_at_tpr(evaluation.logits[rows][few], real[few], 0.9)
    return f"With S/N equalised ({len(few) // 2} of each): AUC {area:.4f}, FPR at TPR 0.9 {rate:.2%}."


def _calibration(evaluation: CandidateEvaluation, rows: NDArray) -> list[Block]:
    logits, real = evaluation.logits[rows], evaluation.chosen.real[rows]
    share = evaluation.training_share
    blocks: list[Block] = []
    at_mix = operating_points.probability(logits, evaluation.temperature, share, share)
    curves = {"at the training mix": measures.reliability(np.stack([1 - at_mix, at_mix], axis=1), real.astype(int))}
    blocks.append(
        Figure(
            f"Share right against confidence, in bins of equally many; {evaluation.origin}. Prior of the training mix: "
            f"{share:.3f} real; here {real.mean():.3f} are.",
            draw.reliability_figure(curves),
            "reliability diagram",
        )
    )
    thresholds = [0.5, 0.9, 0.99, 0.999]
    lines: list[list[Cell]] = []
    for value in thresholds:
        logit = evaluation.temperature * np.log(value / (1 - value))
        night = operating_points.probability(np.array([logit]), evaluation.temperature, share, NIGHT_PRIOR)[0]
        above = logits >= logit
        lines.append(
            [f"{value:g}", f"{night:.3g}", int(above.sum()), f"{real[above].mean():.4f}" if above.any() else None]
        )
    columns = [
        "probability at the training mix",
        f"at {NIGHT_PRIOR:g} real",
        "rows above",
        "of them real here",
    ]
    blocks.append(Table("A probability names its prior", columns, lines))
    return blocks


def _fact_rows(facts: Mapping[str, Any]) -> list[list[Cell]]:
    return [[name, value if isinstance(value, str) else json.dumps(value)] for name, value in facts.items()]
