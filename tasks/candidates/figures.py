"""The pictures of a real/bogus evaluation: curves, histograms, efficiencies, the triplets that were judged worst."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from realbogus.audits.pictures import draw_triplet
from realbogus.injection.efficiency import EfficiencyBin, efficiencies
from realbogus.records import GALAXY_INJECTION, RANDOM_INJECTION
from tasks.candidates.metrics import NIGHT_PRIOR, CandidateEvaluation
from tasks.learning import measures, operating_points
from tasks.learning.measures import Interval
from tasks.reports import figures as draw
from tasks.reports.contact_sheet import contact_sheet, to_jpeg
from tasks.reports.page import Figure
from tasks.store.columns import positions_of, to_bool, to_float

AGAINST = {
    "injected_mag": "magnitude of the injection",
    "injected_snr": "S/N of the injection",
    "host_separation_re": "separation from the host, effective radii",
    "seeing_fwhm_arcsec": "seeing, arcsec",
}
BINS = 7


def evaluation_pictures(
    evaluation: CandidateEvaluation, rows: NDArray, summary: Mapping[str, Any]
) -> dict[str, Figure]:
    """Return curves, histograms and contact sheets by name; `rows` are those of the headline."""
    chosen, origin = evaluation.chosen, evaluation.origin
    logits, real = evaluation.logits[rows], chosen.real[rows]
    shown = {f"this model, AUC {summary['auc']:.4f}": measures.roc_curve(logits, real)}
    for name, scores in list(evaluation.rivals.items())[-4:]:
        shown[name] = measures.roc_curve(scores[rows], real)
    kinds = chosen.words("kind")
    samples = {
        "bogus": evaluation.logits[~chosen.real],
        "real, not injected": evaluation.logits[chosen.real & ~chosen.injected],
        "injected near galaxies": evaluation.logits[chosen.real & (kinds == GALAXY_INJECTION)],
        "injected at random": evaluation.logits[chosen.real & (kinds == RANDOM_INJECTION)],
    }
    found = {
        "roc": Figure(
            f"True-positive against false-positive rate; {origin}. One bogus is {1 / max((~real).sum(), 1):.1e}.",
            draw.operating_figure(shown, 0.5 / max(int((~real).sum()), 1)),
            "ROC curves on a logarithmic axis",
        ),
        "precision": Figure(
            f"Precision against recall, as judged here and where {NIGHT_PRIOR:g} of all are real; {origin}.",
            draw.precision_figure(
                {
                    f"{real.mean():.3f} real, as here": operating_points.precision_recall(logits, real),
                    f"{NIGHT_PRIOR:g} real, a night": operating_points.precision_recall(logits, real, NIGHT_PRIOR),
                }
            ),
            "precision against recall",
        ),
        "scores": Figure(
            f"Logits by class and kind; {origin}.",
            draw.histogram_figure(
                {name: values for name, values in samples.items() if len(values)},
                {"threshold of TPR 0.9": summary["points"]["tpr90"]["threshold"]},
                "logit",
            ),
            "histograms of scores",
        ),
    }
    if any(len(values) for values in evaluation.history.values()):
        found["training"] = Figure(
            f"Accuracy and loss after each epoch; {origin}.",
            draw.training_figure(evaluation.history, evaluation.best_epoch),
            "curves of accuracy and loss",
        )
    words = {"bogus": "Bogus that scored highest", "real": "Reals that scored lowest"}
    for name, (positions, triplets) in evaluation.worst.items():
        if len(positions):
            captions = [_caption(evaluation, int(at)) for at in positions]
            sheet = contact_sheet([draw_triplet(triplet) for triplet in triplets], captions, 4)
            found[name] = Figure(
                f"{words[name]}: new, reference, difference; {origin}.", to_jpeg(sheet), f"{name} triplets"
            )
    return found


def _caption(evaluation: CandidateEvaluation, at: int) -> str:
    chosen = evaluation.chosen
    origin = str(chosen.origins[at]) or str(chosen.words("kind")[at])
    return f"{origin} {evaluation.logits[at]:+.1f} {chosen.part.ids[at]}"


def efficiency_figures(evaluation: CandidateEvaluation, summary: Mapping[str, Any]) -> dict[str, Figure]:
    """Return detection, classification and completeness of the injections of the judged groups."""
    ledger = evaluation.ledger
    ledger = ledger.filter(
        pc.and_(
            pc.is_valid(ledger["found"]),
            pc.is_in(ledger["group"], pa.array(sorted(set(evaluation.chosen.part.groups)))),
        )
    )
    if ledger.num_rows < 20:
        return {}
    at = positions_of(ledger["id"], evaluation.chosen.part.ids)
    threshold = summary["points"]["tpr90"]["threshold"]
    kept = np.where(at >= 0, evaluation.logits[at] >= threshold, False)
    found = to_bool(ledger["found"]) & (at >= 0)
    chance = to_bool(ledger["chance_match"])
    hosted = np.array(ledger["kind"].to_pylist(), str) == GALAXY_INJECTION
    figures = {}
    for column, title in AGAINST.items():
        values = to_float(ledger[column])
        known = np.isfinite(values)
        if known.sum() < 20 or np.ptp(values[known]) == 0:
            continue
        curves: dict[str, Sequence[tuple[float, Interval]]] = {}
        for name, mine in (("hosted", known & hosted), ("hostless", known & ~hosted)):
            if mine.sum() < 20:
                continue
            edges = np.unique(np.quantile(values[mine], np.linspace(0, 1, BINS + 1)))
            edges[-1] += 1e-9
            bins = efficiencies(values[mine], found[mine], kept[mine], chance[mine], edges)
            for what in ("detection", "classification", "completeness"):
                curves[f"{name}: {what}"] = _curve(bins, what)
        if curves:
            figures[f"efficiency_{column}"] = Figure(
                f"Against {title}; {evaluation.origin}.",
                draw.rates_figure(curves, title, "efficiency"),
                f"efficiencies against {title}",
            )
    return figures


def _curve(bins: Sequence[EfficiencyBin], what: str) -> list[tuple[float, Interval]]:
    rates = [(one.centre, getattr(one, what)) for one in bins]
    return [(centre, Interval(rate.value, rate.low, rate.high)) for centre, rate in rates if rate.trials]
