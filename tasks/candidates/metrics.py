"""The numbers of a real/bogus evaluation: rates with intervals, baselines and a second model on the same rows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.candidates import baselines
from tasks.candidates.rows import EvaluationRows
from tasks.learning import measures, operating_points

NIGHT_CANDIDATES = 1e6
"""Detections of a night that the figures for a night are for."""
NIGHT_PRIOR = 1e-3
WANTED_A_NIGHT = (40, 400, 4000)


@dataclass(frozen=True)
class CandidateEvaluation:
    """What was judged, and how the model ranks it; see `tasks.candidates.evaluation.evaluate_candidates`."""

    title: str
    origin: str
    facts: dict[str, Any]
    chosen: EvaluationRows
    logits: NDArray[np.float64]
    temperature: float
    training_share: float
    card_points: dict[str, Any]
    rivals: dict[str, NDArray[np.float64]]
    untrained: list[str]
    against: str | None
    worst: dict[str, tuple[NDArray, NDArray]]
    ledger: pa.Table
    history: dict[str, Sequence[float]]
    best_epoch: int | None
    notes: list[str]


def summarise(evaluation: CandidateEvaluation, overlap: int | None) -> dict[str, Any]:
    """Return the numbers as JSON takes them: what is not measurable is None."""
    chosen, rows = evaluation.chosen, np.flatnonzero(evaluation.chosen.headline)
    logits, real = evaluation.logits[rows], chosen.real[rows]
    groups = np.asarray(chosen.part.groups)[rows]
    area = measures.group_bootstrap(
        groups, lambda at: measures.auc(logits[at], real[at]), np.random.default_rng(0), operating_points.REPEATS
    )
    points = {wanted: operating_points.at_tpr(logits, real, groups, wanted) for wanted in operating_points.WANTED_TPR}
    calibrated = _two(operating_points.probability(logits, evaluation.temperature, 0.5, 0.5))
    perfect = measures.perfect_ece(calibrated, np.random.default_rng(0))
    numbers: dict[str, Any] = {
        "count": len(rows),
        "real": int(real.sum()),
        "bogus": int((~real).sum()),
        "overlap_with_training": overlap,
        "auc": area.value,
        "auc_low": area.low,
        "auc_high": area.high,
        "fpr_at_tpr90": points[0.90].fpr.value,
        "fpr_at_tpr90_low": points[0.90].fpr.low,
        "fpr_at_tpr90_high": points[0.90].fpr.high,
        "fpr_at_tpr95": points[0.95].fpr.value,
        "fpr_at_tpr99": points[0.99].fpr.value,
        "points": {f"tpr{round(100 * wanted)}": operating_points.told(point) for wanted, point in points.items()},
        "partial_auc_fpr05": operating_points.partial_auc(logits, real, 0.05),
        "ece": measures.ece(calibrated, real.astype(int)),
        "ece_of_perfect": perfect.value,
        "ece_of_perfect_high": perfect.high,
        "temperature": evaluation.temperature,
        "tpr_at_night_candidates": {
            str(wanted): operating_points.tpr_at_count(logits, real, wanted, NIGHT_CANDIDATES)
            for wanted in WANTED_A_NIGHT
        },
        "at_card_thresholds": {
            name: operating_points.told(operating_points.at_threshold(logits, real, groups, point["threshold"]))
            for name, point in evaluation.card_points.items()
        },
        "baselines": {
            name: {
                "auc": measures.auc(scores[rows], real),
                "fpr_at_tpr90": operating_points.fpr_at_tpr(scores[rows], real, 0.9),
            }
            for name, scores in evaluation.rivals.items()
        },
        "best_untrained": _best_untrained(evaluation, rows),
        "injections": _injections(evaluation),
        "left_out": chosen.left_out,
        "pixels": evaluation.facts["pixels"],
        "labels": evaluation.facts["labels"],
        "notes": evaluation.notes,
    }
    if evaluation.against is not None:
        numbers["against"] = _compared(evaluation, rows)
    return {name: _or_none(value) for name, value in numbers.items()}


def _best_untrained(evaluation: CandidateEvaluation, rows: NDArray) -> dict[str, Any]:
    """Return what leads of all that needs no training, and how far the model is ahead of it."""
    chosen = evaluation.chosen
    return baselines.lead_of(
        evaluation.logits[rows],
        {name: evaluation.rivals[name][rows] for name in evaluation.untrained if not baselines.is_classifier(name)},
        chosen.real[rows],
        np.asarray(chosen.part.groups)[rows],
        chosen.words("night")[rows],
    )


def _injections(evaluation: CandidateEvaluation) -> dict[str, Any] | None:
    """Return the second figure: injections as reals, against the same bogus; None where there are none."""
    chosen = evaluation.chosen
    rows = np.flatnonzero((chosen.injected & chosen.real) | ~chosen.real)
    real = chosen.real[rows]
    if not real.any():
        return None
    logits = evaluation.logits[rows]
    return {
        "real": int(real.sum()),
        "auc": measures.auc(logits, real),
        "fpr_at_tpr90": operating_points.fpr_at_tpr(logits, real, 0.9),
    }


def _compared(evaluation: CandidateEvaluation, rows: NDArray) -> dict[str, Any]:
    name = str(evaluation.against)
    other, logits, real = evaluation.rivals[name][rows], evaluation.logits[rows], evaluation.chosen.real[rows]
    groups = np.asarray(evaluation.chosen.part.groups)[rows]
    ratio = operating_points.fpr_ratio(other, logits, real, groups, 0.9)
    area = operating_points.auc_difference(other, logits, real, groups)
    return {
        "model": name,
        "fpr_at_tpr90_ratio": [ratio.value, ratio.low, ratio.high],
        "auc_difference": [area.value, area.low, area.high],
    }


def _two(probability: NDArray) -> NDArray[np.float64]:
    return np.stack([1 - probability, probability], axis=1)


def _or_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _or_none(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
