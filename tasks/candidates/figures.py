"""The figures of a real/bogus evaluation: curves, histograms, efficiencies, and the triplets with the worst scores."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from realbogus.audits.pictures import draw_triplet
from realbogus.injection.efficiency import EfficiencyBin, efficiencies
from realbogus.records import GALAXY_INJECTION, RANDOM_INJECTION, VARIABLE_INJECTION
from tasks.candidates.metrics import NIGHT_PRIOR, CandidateEvaluation, CandidateScores
from tasks.learning import measures, operating_points
from tasks.learning.intervals import Interval
from tasks.reports import figures as draw
from tasks.reports.contact_sheet import contact_sheet, to_jpeg
from tasks.reports.page import Figure
from tasks.store.columns import positions_of, to_bool, to_float, to_text

QUANTITIES = {
    "injected_mag": "magnitude of the injection",
    "injected_snr": "S/N of the injection",
    "host_separation_re": "separation from the host, effective radii",
    "seeing_fwhm_arcsec": "seeing, arcsec",
}
"""Columns of the ledger that efficiencies are shown against -> axis titles."""
BINS = 7
LEAST_INJECTIONS = 20
"""Fewest injections of an efficiency curve."""
BASELINES_DRAWN = 4
"""Baselines in the plot of ROC curves, the last ones: forests and a second model."""
CAPTIONS = {"bogus": "Bogus with the highest logits", "real": "Reals with the lowest logits"}


def evaluation_figures(evaluation: CandidateEvaluation, summary: Mapping[str, Any]) -> dict[str, Figure]:
    """Return ROC, precision, score histograms, training curves and contact sheets by name."""
    figures = {
        "roc": _roc(evaluation, summary),
        "precision": _precision(evaluation),
        "scores": _histograms(evaluation, summary["points"]["tpr90"]["threshold"]),
    }
    context = evaluation.context
    if any(len(values) for values in context.history.values()):
        figures["training"] = Figure(
            f"Accuracy and loss after each epoch; {context.origin}.",
            draw.training_figure(context.history, context.best_epoch),
            "curves of accuracy and loss",
        )
    for name, (positions, triplets) in evaluation.worst.items():
        if len(positions):
            figures[name] = _contact_sheet(evaluation, name, positions, triplets)
    return figures


def efficiency_figures(evaluation: CandidateEvaluation, summary: Mapping[str, Any]) -> dict[str, Figure]:
    """Return detection, classification and completeness of injections against each of `QUANTITIES`, by name."""
    threshold = summary["points"]["tpr90"]["threshold"]
    figures = {}
    for column, curves in efficiency_curves(evaluation.ledger, evaluation.scores, threshold).items():
        title = QUANTITIES[column]
        figures[f"efficiency_{column}"] = Figure(
            f"Against {title}; {evaluation.context.origin}.",
            draw.rates_figure(curves, title, "efficiency"),
            f"efficiencies against {title}",
        )
    return figures


def efficiency_curves(
    ledger: pa.Table, scores: CandidateScores, threshold: float
) -> dict[str, dict[str, Sequence[tuple[float, Interval]]]]:
    """Return (bin centre, rate) curves of injections, by column of `QUANTITIES` and by name.

    Parameters
    ----------
    ledger : Table
        The whole dataset's, with the columns ``id, group, kind, found, chance_match`` and those of `QUANTITIES`;
        injections of the evaluated groups count, ``found`` is null for a sample that was not injected.
    scores : CandidateScores
    threshold : float
        Logit from which a found injection is kept.
    """
    groups = pa.array(sorted(set(scores.rows.part.groups)), pa.string())
    ledger = ledger.filter(pc.and_(pc.is_valid(ledger["found"]), pc.is_in(ledger["group"], groups)))
    if ledger.num_rows < LEAST_INJECTIONS:
        return {}
    positions = positions_of(ledger["id"], scores.rows.part.ids)
    evaluated = positions >= 0
    kept = np.where(evaluated, scores.logits[positions] >= threshold, False)
    found, chance = to_bool(ledger["found"]) & evaluated, to_bool(ledger["chance_match"])
    kinds = to_text(ledger["kind"])
    of_kind = {"hosted": GALAXY_INJECTION, "hostless": RANDOM_INJECTION, "on a variable source": VARIABLE_INJECTION}
    figures = {}
    for column in QUANTITIES:
        values = to_float(ledger[column])
        finite = np.isfinite(values)
        if finite.sum() < LEAST_INJECTIONS or np.ptp(values[finite]) == 0:
            continue
        curves: dict[str, Sequence[tuple[float, Interval]]] = {}
        for name, kind in of_kind.items():
            chosen = finite & (kinds == kind)
            if chosen.sum() < LEAST_INJECTIONS:
                continue
            edges = np.unique(np.quantile(values[chosen], np.linspace(0, 1, BINS + 1)))
            edges[-1] += 1e-9
            bins = efficiencies(values[chosen], found[chosen], kept[chosen], chance[chosen], edges)
            for step in ("detection", "classification", "completeness"):
                curves[f"{name}: {step}"] = _curve(bins, step)
        if curves:
            figures[column] = curves
    return figures


def _roc(evaluation: CandidateEvaluation, summary: Mapping[str, Any]) -> Figure:
    scores, headline = evaluation.scores, evaluation.scores.headline
    real = scores.rows.real[headline]
    curves = {f"this model, AUC {summary['auc']:.4f}": measures.roc_curve(scores.logits[headline], real)}
    for name, values in list(scores.baselines.items())[-BASELINES_DRAWN:]:
        curves[name] = measures.roc_curve(values[headline], real)
    bogus = max(int((~real).sum()), 1)
    return Figure(
        f"True-positive against false-positive rate; {evaluation.context.origin}. One bogus is {1 / bogus:.1e}.",
        draw.operating_figure(curves, 0.5 / bogus),
        "ROC curves on a logarithmic axis",
    )


def _precision(evaluation: CandidateEvaluation) -> Figure:
    scores, headline = evaluation.scores, evaluation.scores.headline
    logits, real = scores.logits[headline], scores.rows.real[headline]
    return Figure(
        f"Precision against recall, with the reals of these rows and where {NIGHT_PRIOR:g} of all are real; "
        f"{evaluation.context.origin}.",
        draw.precision_figure(
            {
                f"{real.mean():.3f} real, as here": operating_points.precision_recall(logits, real),
                f"{NIGHT_PRIOR:g} real, a night": operating_points.precision_recall(logits, real, NIGHT_PRIOR),
            }
        ),
        "precision against recall",
    )


def _histograms(evaluation: CandidateEvaluation, threshold: float) -> Figure:
    rows, logits = evaluation.scores.rows, evaluation.scores.logits
    kinds = rows.words("kind")
    samples = {
        "bogus": logits[~rows.real],
        "real, not injected": logits[rows.real & ~rows.injected],
        "injected near galaxies": logits[rows.real & (kinds == GALAXY_INJECTION)],
        "injected at random": logits[rows.real & (kinds == RANDOM_INJECTION)],
        "injected on variable sources": logits[rows.real & (kinds == VARIABLE_INJECTION)],
    }
    return Figure(
        f"Logits by class and kind; {evaluation.context.origin}.",
        draw.histogram_figure(
            {name: values for name, values in samples.items() if len(values)},
            {"threshold of TPR 0.9": threshold},
            "logit",
        ),
        "histograms of scores",
    )


def _contact_sheet(evaluation: CandidateEvaluation, name: str, positions: NDArray, triplets: NDArray) -> Figure:
    captions = [_caption(evaluation.scores, int(position)) for position in positions]
    sheet = contact_sheet([draw_triplet(triplet) for triplet in triplets], captions, 4)
    return Figure(
        f"{CAPTIONS[name]}: new, reference, difference; {evaluation.context.origin}.",
        to_jpeg(sheet),
        f"{name} triplets",
    )


def _caption(scores: CandidateScores, position: int) -> str:
    rows = scores.rows
    origin = str(rows.origins[position]) or str(rows.words("kind")[position])
    return f"{origin} {scores.logits[position]:+.1f} {rows.part.ids[position]}"


def _curve(bins: Sequence[EfficiencyBin], step: str) -> list[tuple[float, Interval]]:
    rates = [(of_bin.centre, getattr(of_bin, step)) for of_bin in bins]
    return [(centre, Interval(rate.value, rate.low, rate.high)) for centre, rate in rates if rate.trials]
