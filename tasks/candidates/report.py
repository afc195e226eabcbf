"""The report of a real/bogus evaluation: its page and the tables on it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from realbogus.audits.pictures import draw_triplet
from tasks.candidates.answer import evaluation_answer
from tasks.candidates.kept_shares import share_blocks
from tasks.candidates.metrics import NIGHT_CANDIDATES, NIGHT_PRIOR, CandidateEvaluation, CandidateScores
from tasks.learning import measures, operating_points
from tasks.learning.intervals import format_ends
from tasks.reports import figures as draw
from tasks.reports.contact_sheet import to_jpeg
from tasks.reports.page import (
    Block,
    Cell,
    Figure,
    Heading,
    Headline,
    Headlines,
    ScoredStamp,
    Table,
    Text,
    ThresholdSlider,
    page,
)

SLIDER_STEPS = 200
"""Points of the curve that a threshold moves along."""
PROBABILITIES = (0.5, 0.9, 0.99, 0.999)
EFFICIENCIES = (
    "Detection is found / injected, classification is kept / found at the threshold of TPR 0.9, completeness is their "
    "product; chance matches are subtracted. Injections of this part."
)


def evaluation_page(
    evaluation: CandidateEvaluation,
    summary: Mapping[str, Any],
    figures: Mapping[str, Figure],
    efficiencies: Mapping[str, Figure],
) -> str:
    """Return the report as HTML.

    Parameters
    ----------
    evaluation : CandidateEvaluation
    summary : dict
        Of `metrics.summarise`, and ``verdicts``.
    figures, efficiencies : dict
        Of `figures.evaluation_figures` and `figures.efficiency_figures`.
    """
    context, scores = evaluation.context, evaluation.scores
    threshold = summary["points"]["tpr90"]["threshold"]
    blocks: list[Block] = [
        evaluation_answer(summary, context),
        _headlines(summary, context.origin),
        *(Text(note, quiet=True) for note in context.notes),
        Heading("Operating points"),
        points_table(summary, context.origin),
        _night_table(summary),
        threshold_slider(scores, threshold, evaluation.near_threshold),
        *(figures[name] for name in ("roc", "precision", "scores")),
        Heading("Baselines"),
        baselines_table(scores, context.origin),
        _lead_table(summary["best_untrained"], context.origin),
        Heading("By origin, brightness and surroundings"),
        *share_blocks(scores, threshold),
        Heading("Probabilities"),
        *_calibration(scores, context.origin),
    ]
    if efficiencies:
        blocks += [Heading("Efficiencies"), Text(EFFICIENCIES), *efficiencies.values()]
    if "training" in figures:
        blocks += [Heading("Training"), figures["training"]]
    blocks += [
        Heading("Triplets"),
        Text(review_text(summary["verdicts"])),
        *(figures[name] for name in ("bogus", "real") if name in figures),
        Heading("Provenance"),
        context.provenance,
    ]
    return page(context.title, blocks, context.origin)


def review_text(verdicts: Mapping[str, Any] | None) -> str:
    """Return the paragraph on reviewed labels; `verdicts` is the entry of the summary."""
    if verdicts is None:
        return "Labels are the simulation's truth, so the bogus that pass need no review."
    if "table" in verdicts:
        return (
            f"{verdicts['asked']} bogus above the threshold of TPR 0.9 need a review: true objects among them raise "
            "the false-positive rate, so without a review the rate is an upper limit. Fill in the column verdict of "
            f"{verdicts['table']} (right: it is bogus, wrong, or unsure), and pass the file as verdicts."
        )
    share = verdicts["fpr_at_tpr90"]
    rate = (
        "no bogus remains"
        if share is None
        else (
            f"without the wrong labels the false-positive rate is {share:.2%} "
            f"({format_ends(verdicts['fpr_at_tpr90_low'], verdicts['fpr_at_tpr90_high'], '.2%')})"
        )
    )
    return (
        f"Of {verdicts['asked']} bogus above the threshold of TPR 0.9, reviewers classified {verdicts['wrong']} as "
        f"real and {verdicts['right']} as bogus, and were unsure of {verdicts['unsure']}: {rate}."
    )


def _headlines(summary: Mapping[str, Any], origin: str) -> Headlines:
    point = summary["points"]["tpr90"]
    counts = f"{point['passed']} of {point['negatives']} bogus"
    if point["resolved"]:
        interval = format_ends(point["fpr_low"], point["fpr_high"], ".2%")
        fpr, detail = f"{point['fpr']:.2%}", f"{interval}; {counts}; {origin}"
    else:
        fpr, detail = f"below {point['fpr_limit']:.2%}", f"{counts}: too few to resolve; upper 95 % limit; {origin}"
    auc_ends = format_ends(summary["auc_low"], summary["auc_high"], ".4f")
    return Headlines(
        [
            Headline("False-positive rate at TPR 0.9", fpr, detail),
            Headline("AUC", f"{summary['auc']:.4f}", f"{auc_ends}; {origin}"),
            Headline("Evaluated", f"{summary['real']} real, {summary['bogus']} bogus", _left_out(summary["left_out"])),
        ]
    )


def _left_out(counts: Mapping[str, int]) -> str:
    reasons = ", ".join(f"{reason.replace('_', ' ')} {count}" for reason, count in counts.items())
    return f"left out: {reasons}" if reasons else "nothing left out"


def points_table(summary: Mapping[str, Any], origin: str) -> Table:
    """Return the thresholds set on the evaluated rows, and those of the model's card, with their rates."""
    rows = [_point_row(f"set here, {name[3:]} % kept", point) for name, point in summary["points"].items()]
    rows += [
        _point_row(f"set on validation for {name[3:]} %", point)
        for name, point in summary["at_card_thresholds"].items()
    ]
    columns = ["threshold", "logit", "TPR", "of", "FPR", "95 % interval", "passed", "of"]
    return Table(
        f"Rates on these rows, of thresholds set on them and of thresholds set on the validation part; {origin}",
        columns,
        rows,
    )


def _point_row(name: str, point: Mapping[str, Any]) -> list[Cell]:
    fpr = f"{point['fpr']:.3%}" if point["resolved"] else f"< {point['fpr_limit']:.3%}"
    interval = format_ends(point["fpr_low"], point["fpr_high"], ".3%") if point["resolved"] else "not resolved"
    tpr = f"{point['tpr']:.3f}"
    logit = f"{point['threshold']:.3f}"
    return [name, logit, tpr, point["positives"], fpr, interval, point["passed"], point["negatives"]]


def threshold_slider(
    scores: CandidateScores, threshold: float, near: tuple[NDArray[np.int64], NDArray[np.float32]]
) -> ThresholdSlider:
    """Return the curve of the rates with a threshold to move, and the stamps near it.

    Parameters
    ----------
    scores : CandidateScores
    threshold : float
    near : (m,) int, (m, y, x, 3) float32
        Positions of candidates with logits near the threshold, and their triplets.
    """
    headline = scores.headline
    logits, real = scores.logits[headline], scores.rows.real[headline]
    thresholds = _slider_thresholds(logits[real], threshold)
    rates = {
        name: _share_from(of_class, thresholds)
        for name, of_class in (("false-positive rate", logits[~real]), ("true-positive rate", logits[real]))
    }
    positions, triplets = near
    stamps = [
        ScoredStamp(
            float(scores.logits[position]),
            f"{'real' if scores.rows.real[position] else 'bogus'} {scores.rows.part.ids[position]}",
            to_jpeg(Image.fromarray(draw_triplet(triplet))),
        )
        for position, triplet in zip(positions, triplets, strict=True)
    ]
    return ThresholdSlider(
        "Move the threshold, or point at the curve: the rates on these rows, and the candidates nearest to the "
        "threshold of TPR 0.9 (new, reference, difference) on the side where they fall.",
        "logit",
        thresholds.tolist(),
        {name: values.tolist() for name, values in rates.items()},
        {"false-positive rate": int((~real).sum()), "true-positive rate": int(real.sum())},
        threshold,
        logarithmic=True,
        stamps=stamps,
    )


def _slider_thresholds(real_logits: NDArray[np.float64], threshold: float) -> NDArray[np.float64]:
    """Return thresholds (m,) in descending order: quantiles of the reals' logits, and one that must be among them."""
    shares = np.linspace(0, 1, SLIDER_STEPS)
    return np.unique(np.append(np.quantile(real_logits, shares, method="inverted_cdf"), threshold))[::-1]


def _share_from(logits: NDArray[np.float64], thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share (m,) of logits (n,) at or above each of thresholds (m,); 0 where there are none."""
    below = np.searchsorted(np.sort(logits), thresholds)
    return (len(logits) - below) / max(len(logits), 1)


def _night_table(summary: Mapping[str, Any]) -> Table:
    rows: list[list[Cell]] = [
        [int(bogus), None if tpr is None else f"{tpr:.3f}"] for bogus, tpr in summary["tpr_at_night_candidates"].items()
    ]
    return Table(
        f"TPR in a night of {NIGHT_CANDIDATES:.0e} detections, by the number of bogus that may pass (where these rows "
        "do not resolve it, the threshold is the highest bogus)",
        ["bogus candidates a night", "TPR"],
        rows,
    )


def baselines_table(scores: CandidateScores, origin: str) -> Table:
    """Return AUC, FPR and count of passed bogus of every baseline and of the model."""
    headline = scores.headline
    real = scores.rows.real[headline]
    lines: list[list[Cell]] = [["majority class", None, None, f"{real.mean():.3f} real"]]
    for name, values in {**scores.baselines, "this model": scores.logits}.items():
        of_headline = values[headline]
        threshold = operating_points.threshold_for_tpr(of_headline[real], 0.9)
        lines.append(
            [
                name,
                f"{measures.auc(of_headline, real):.4f}",
                f"{operating_points.fpr_at_tpr(of_headline, real, 0.9):.3%}",
                int(np.count_nonzero(of_headline[~real] >= threshold)),
            ]
        )
    columns = ["score", "AUC", "FPR at TPR 0.9", f"bogus passed of {int((~real).sum())}"]
    return Table(f"On the same {len(headline)} rows; {origin}", columns, lines)


def _lead_table(best: Mapping[str, Any], origin: str) -> Table:
    leads = {"all rows": best, **{f"night {night}": lead for night, lead in best["nights"].items()}}
    lines: list[list[Cell]] = [
        [
            rows,
            lead["name"],
            f"{lead['auc']:.4f}",
            f"{lead['auc_of_network']:.4f}",
            f"{lead['lead']:+.4f}",
            format_ends(lead["lead_low"], lead["lead_high"], "+.4f"),
        ]
        for rows, lead in leads.items()
    ]
    columns = ["rows", "best score that needs no training", "its AUC", "this model's", "lead", "95 %, paired"]
    return Table(f"Lead over the best score that needs no training, groups resampled; {origin}", columns, lines)


def _calibration(scores: CandidateScores, origin: str) -> list[Block]:
    headline, share = scores.headline, scores.calibration.share
    logits, real = scores.logits[headline], scores.rows.real[headline]
    at_mix = scores.calibration.probability(logits)
    curves = {"at the training mix": measures.reliability(np.stack([1 - at_mix, at_mix], axis=1), real.astype(int))}
    return [
        Figure(
            f"Accuracy against confidence in bins of equally many samples; {origin}. The prior of the training mix is "
            f"{share:.3f} real; of these rows {real.mean():.3f} are.",
            draw.reliability_figure(curves),
            "reliability diagram",
        ),
        probability_table(scores),
    ]


def probability_table(scores: CandidateScores) -> Table:
    """Return what a probability at the training mix is at a night's prior, and the share of reals above it."""
    headline, calibration = scores.headline, scores.calibration
    logits, real = scores.logits[headline], scores.rows.real[headline]
    lines: list[list[Cell]] = []
    for value in PROBABILITIES:
        logit = calibration.logit_of(value)
        night = calibration.probability(np.array([logit]), NIGHT_PRIOR)[0]
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
    return Table("The same logit as a probability at two priors", columns, lines)
