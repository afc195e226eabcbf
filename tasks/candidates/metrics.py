"""The numbers of a real/bogus evaluation: rates with intervals, baselines and a second model on the same rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.candidates import baselines
from tasks.candidates.rows import EvaluationRows
from tasks.learning import measures, operating_points
from tasks.learning.calibration import Calibration
from tasks.training.evaluation_record import EvaluationContext, none_for_nan

NIGHT_CANDIDATES = 1e6
"""Number of detections of the night that the night's numbers assume."""
NIGHT_PRIOR = 1e-3
"""Share of reals among the detections of a night."""
WANTED_A_NIGHT = (40, 400, 4000)
"""Numbers of bogus a night at which the TPR is given."""


@dataclass(frozen=True)
class CandidateScores:
    """A model's logits and its baselines' scores on the same n rows; the higher, the likelier real.

    Attributes
    ----------
    rows : EvaluationRows
    logits : (n,) float
    card : dict
        Content of the model's ``model.json``: its temperature, operating points and share of reals in training.
    baselines : dict of name to (n,) float
        A second model's logits too.
    untrained : list of str
        Those of the baselines that need no training.
    against : str, optional
        The second model's name among the baselines.
    """

    rows: EvaluationRows
    logits: NDArray[np.float64]
    card: Mapping[str, Any]
    baselines: Mapping[str, NDArray[np.float64]]
    untrained: list[str]
    against: str | None = None

    @property
    def calibration(self) -> Calibration:
        """Of the card; its share is that of reals among the labelled training samples."""
        return Calibration.of_card(self.card)

    @property
    def headline(self) -> NDArray[np.int64]:
        """Positions (m,) of the rows of the headline numbers."""
        return np.flatnonzero(self.rows.headline)


@dataclass(frozen=True)
class CandidateEvaluation:
    """All that the report of a real/bogus evaluation shows.

    Attributes
    ----------
    context : EvaluationContext
    scores : CandidateScores
    ledger : Table
        All of the dataset's ledger, for the efficiencies of injections that were not found.
    worst : dict
        Of the highest bogus and the lowest reals, by class name: positions (m,) and triplets (m, s, s, 3).
    near_threshold : positions (m,), triplets (m, s, s, 3)
        Of the rows whose logits are nearest to the threshold of TPR 0.9, of both classes.
    """

    context: EvaluationContext
    scores: CandidateScores
    ledger: pa.Table
    worst: Mapping[str, tuple[NDArray, NDArray]]
    near_threshold: tuple[NDArray, NDArray]


def summarise(scores: CandidateScores, context: EvaluationContext) -> dict[str, Any]:
    """Return the evaluation's summary for JSON: a number that cannot be measured is None."""
    rows, headline = scores.rows, scores.headline
    logits, real, groups = scores.logits[headline], rows.real[headline], _groups(scores, headline)
    area = measures.auc_interval(logits, real, groups, np.random.default_rng(0), operating_points.REPEATS)
    points = {tpr: operating_points.point_at_tpr(logits, real, groups, tpr) for tpr in operating_points.TPR_LEVELS}
    calibrated = _two(scores.calibration.probability(logits))
    perfect = measures.perfect_ece(calibrated, np.random.default_rng(0))
    numbers: dict[str, Any] = {
        "count": len(headline),
        "real": int(real.sum()),
        "bogus": int((~real).sum()),
        "overlap_with_training": context.overlap,
        "auc": area.value,
        "auc_low": area.low,
        "auc_high": area.high,
        "fpr_at_tpr90": points[0.90].fpr.value,
        "fpr_at_tpr90_low": points[0.90].fpr.low,
        "fpr_at_tpr90_high": points[0.90].fpr.high,
        "fpr_at_tpr95": points[0.95].fpr.value,
        "fpr_at_tpr99": points[0.99].fpr.value,
        "points": {f"tpr{round(100 * tpr)}": point.to_summary() for tpr, point in points.items()},
        "partial_auc_fpr05": operating_points.partial_auc(logits, real, 0.05),
        "ece": measures.ece(calibrated, real.astype(int)),
        "ece_of_perfect": perfect.value,
        "ece_of_perfect_high": perfect.high,
        "temperature": scores.calibration.temperature,
        "tpr_at_night_candidates": {
            str(bogus): operating_points.tpr_at_count(logits, real, bogus, NIGHT_CANDIDATES) for bogus in WANTED_A_NIGHT
        },
        "at_card_thresholds": {
            name: operating_points.point_at_threshold(logits, real, groups, point["threshold"]).to_summary()
            for name, point in scores.card["operating_points"].items()
        },
        "baselines": {
            name: {
                "auc": measures.auc(values[headline], real),
                "fpr_at_tpr90": operating_points.fpr_at_tpr(values[headline], real, 0.9),
            }
            for name, values in scores.baselines.items()
        },
        "best_untrained": _best_untrained(scores),
        "injections": injection_metrics(scores),
        "left_out": rows.left_out,
        "pixels": context.facts["pixels"],
        "labels": context.facts["labels"],
        "notes": list(context.notes),
    }
    if scores.against is not None:
        numbers["against"] = compare_models(scores, scores.against)
    summary: dict[str, Any] = none_for_nan(numbers)
    return summary


def _best_untrained(scores: CandidateScores) -> dict[str, Any]:
    """Return the best score that needs no training, and the model's lead over it."""
    headline = scores.headline
    return baselines.lead_of(
        scores.logits[headline],
        {name: scores.baselines[name][headline] for name in scores.untrained if not baselines.is_classifier(name)},
        scores.rows.real[headline],
        _groups(scores, headline),
        scores.rows.words("night")[headline],
    )


def injection_metrics(scores: CandidateScores) -> dict[str, Any] | None:
    """Return count, AUC and FPR at TPR 0.9 of injections as reals against all bogus; None without injections."""
    rows = scores.rows
    positions = np.flatnonzero((rows.injected & rows.real) | ~rows.real)
    real, logits = rows.real[positions], scores.logits[positions]
    if not real.any():
        return None
    return {
        "real": int(real.sum()),
        "auc": measures.auc(logits, real),
        "fpr_at_tpr90": operating_points.fpr_at_tpr(logits, real, 0.9),
    }


def compare_models(scores: CandidateScores, name: str) -> dict[str, Any]:
    """Return the second model's FPR at TPR 0.9 over the model's, and the model's AUC minus the second's, paired.

    Each is [value, low, high] with groups resampled.
    """
    headline = scores.headline
    second, logits = scores.baselines[name][headline], scores.logits[headline]
    real, groups = scores.rows.real[headline], _groups(scores, headline)
    ratio = operating_points.fpr_ratio(second, logits, real, groups, 0.9)
    difference = operating_points.auc_difference(second, logits, real, groups)
    return {
        "model": name,
        "fpr_at_tpr90_ratio": [ratio.value, ratio.low, ratio.high],
        "auc_difference": [difference.value, difference.low, difference.high],
    }


def _groups(scores: CandidateScores, positions: NDArray[np.int64]) -> NDArray[np.str_]:
    return np.asarray(scores.rows.part.groups)[positions]


def _two(probability: NDArray) -> NDArray[np.float64]:
    """Return (n, 2) probabilities of bogus and real."""
    return np.stack([1 - probability, probability], axis=1)
