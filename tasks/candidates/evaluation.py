"""Evaluation of a real/bogus model at its operating point: counts, intervals, baselines on the same rows, a report.

Training, which has the model in memory, and ``evaluate-holdout`` call the same `evaluate_candidates`.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from realbogus.models.label_errors import VERDICTS, WRONG
from realbogus.models.preprocessing import PREPROCESSING_VERSION
from realbogus.records import BOGUS
from tasks.candidates import baselines
from tasks.candidates.figures import efficiency_figures, evaluation_figures
from tasks.candidates.label_reviews import read_verdicts, write_verdict_table
from tasks.candidates.metrics import CandidateEvaluation, CandidateScores, summarise
from tasks.candidates.report import evaluation_page
from tasks.candidates.rows import EvaluationRows, evaluation_rows, passed_bogus, unseen_rows
from tasks.learning import measures
from tasks.learning.operating_points import logit_of, threshold_for_tpr
from tasks.learning.scoring import STAMP_BATCH, Scorer, score
from tasks.store.dataset import Dataset
from tasks.training.evaluation_record import (
    EvaluationError,
    EvaluationRecord,
    EvaluationRequest,
    evaluation_context,
    publish_record,
    report_path,
    require_fit,
    training_dataset,
    training_samples_of,
)

NEAR = 12
"""Candidates of each class that are shown beside the movable threshold."""
SHOWN, MOST_REVIEWED = 32, 200
"""Triplets on a sheet of the report; the most that are shown where people review their labels."""
TRUTH = "truth"


def evaluate_candidates(
    request: EvaluationRequest, against: tuple[str, Scorer] | None = None, verdicts: Path | None = None
) -> dict[str, Any]:
    """Evaluate a model that gives logits, write the report, and return the summary.

    Parameters
    ----------
    request : EvaluationRequest
    against : (str, Scorer), optional
        Name of a second model, and the model, evaluated on the same rows.
    verdicts : Path, optional
        Table with a reviewed verdict on every bogus above the threshold of TPR 0.9. Without it, and where labels are
        not the simulation's truth, an empty one is written beside the report.

    Raises
    ------
    EvaluationError
        Problem, classes, preprocessing or stamp shape are not the model's, or a class is absent.
    VerdictError
        The table of verdicts lacks a row or holds an unknown verdict.
    """
    require_fit(request, PREPROCESSING_VERSION)
    dataset, card = request.dataset, request.card
    labels = _label_kind(dataset)
    if labels == TRUTH and verdicts is not None:
        raise EvaluationError(f"verdicts={verdicts}: the labels are the simulation's truth, which needs none")
    trained_on, notes = training_dataset(request)
    usable = evaluation_rows(dataset, request.scheme, request.part, card.get("detector"))
    rows, overlap = unseen_rows(usable, training_samples_of(request, trained_on), request.part)
    untrained = baselines.untrained_scores(dataset, rows.part)
    scores = CandidateScores(
        rows=rows,
        logits=_logits(request.model, dataset, rows),
        card=card,
        baselines={
            **untrained,
            **(
                {} if trained_on is None else baselines.forest_baselines(trained_on, request.scheme, dataset, rows.part)
            ),
            **({} if against is None else {against[0]: _logits(against[1], dataset, rows)}),
        },
        untrained=list(untrained),
        against=None if against is None else against[0],
    )
    title = f"Real/bogus on {dataset.name}, {request.part} part"
    evaluation = CandidateEvaluation(
        context=evaluation_context(request, title, labels, overlap, [*notes, *rows.notes]),
        scores=scores,
        ledger=dataset.samples(),
        worst=_worst(dataset, scores, reviewed=labels != TRUTH),
        near_threshold=_near_threshold(dataset, scores),
    )
    reviews = None
    if labels != TRUTH:
        reviews = review_verdicts(scores, report_path(request).with_suffix(".verdicts.csv"), verdicts)
    return publish_record(request, _record(evaluation, reviews))


def _record(evaluation: CandidateEvaluation, reviews: dict[str, Any] | None) -> EvaluationRecord:
    summary = {**summarise(evaluation.scores, evaluation.context), "verdicts": reviews}
    figures, efficiencies = evaluation_figures(evaluation, summary), efficiency_figures(evaluation, summary)
    return EvaluationRecord(
        page=evaluation_page(evaluation, summary, figures, efficiencies),
        summary=summary,
        figures=figures | efficiencies,
        tables={},
        predictions=predictions_table(evaluation.scores),
    )


def review_verdicts(scores: CandidateScores, table: Path, reviewed: Path | None) -> dict[str, Any]:
    """Count the verdicts on the bogus above the threshold of TPR 0.9, or write the table to fill in.

    A bogus that is reviewed as real no longer counts as bogus; one with verdict unsure stays.

    Parameters
    ----------
    scores : CandidateScores
    table : Path
        Where the table to fill in is written if `reviewed` is None.
    reviewed : Path, optional
        A table that was filled in.

    Returns
    -------
    ``table, asked`` without `reviewed`; else ``asked``, the count of each verdict, and ``fpr_at_tpr90`` with ``_low``
    and ``_high`` after removing the wrongly labelled, None where no bogus remains.
    """
    rows = scores.rows
    passed = passed_bogus(rows, scores.logits)
    ids = [rows.part.ids[position] for position in passed]
    if reviewed is None:
        write_verdict_table(table, zip(ids, [BOGUS] * len(ids), scores.logits[passed], strict=True))
        return {"table": str(table), "asked": len(ids)}
    counts = Counter(read_verdicts(reviewed, ids))
    remaining, bogus = len(ids) - counts[WRONG], int((~rows.real).sum()) - counts[WRONG]
    rate = measures.rate(remaining, bogus) if bogus else None
    return {
        "asked": len(ids),
        **{verdict: counts[verdict] for verdict in VERDICTS},
        "fpr_at_tpr90": None if rate is None else rate.value,
        "fpr_at_tpr90_low": None if rate is None else rate.low,
        "fpr_at_tpr90_high": None if rate is None else rate.high,
    }


def worst_positions(
    rows: EvaluationRows, logits: NDArray[np.float64], bogus: int, real: int
) -> dict[str, NDArray[np.int64]]:
    """Return positions by class name: at most `bogus` bogus, highest logit first, and `real` reals, lowest first.

    `logits` is (n,); the positions are (m,) of the rows of the headline.
    """
    positions = {}
    for name, is_real, sign, count in (("bogus", False, -1, bogus), ("real", True, 1, real)):
        of_class = np.flatnonzero((rows.real == is_real) & rows.headline)
        positions[name] = of_class[np.argsort(sign * logits[of_class], kind="stable")][:count]
    return positions


def _worst(dataset: Dataset, scores: CandidateScores, *, reviewed: bool) -> dict[str, tuple[NDArray, NDArray]]:
    """Return positions and triplets of the worst; where people review labels, of all bogus that they review."""
    rows, bogus = scores.rows, SHOWN
    if reviewed:
        bogus = min(max(SHOWN, len(passed_bogus(rows, scores.logits))), MOST_REVIEWED)
    positions = worst_positions(rows, scores.logits, bogus, SHOWN)
    return {name: (at_class, _triplets(dataset, rows.part.rows[at_class])) for name, at_class in positions.items()}


def near_positions(rows: EvaluationRows, logits: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Return positions (m,) of the headline's rows nearest to the threshold of TPR 0.9, `count` of each class.

    `logits` is (n,); the highest logit comes first.
    """
    threshold = threshold_for_tpr(logits[rows.headline & rows.real], 0.9)
    nearest = [
        of_class[np.argsort(np.abs(logits[of_class] - threshold), kind="stable")][:count]
        for of_class in (np.flatnonzero(rows.headline & (rows.real == is_real)) for is_real in (True, False))
    ]
    positions = np.concatenate(nearest)
    return positions[np.argsort(-logits[positions], kind="stable")]


def _near_threshold(dataset: Dataset, scores: CandidateScores) -> tuple[NDArray, NDArray]:
    positions = near_positions(scores.rows, scores.logits, NEAR)
    return positions, _triplets(dataset, scores.rows.part.rows[positions])


def _triplets(dataset: Dataset, rows: Sequence[int] | NDArray) -> NDArray:
    return np.array([dataset.pixels[int(row)] for row in rows])


def _logits(model: Scorer, dataset: Dataset, rows: EvaluationRows) -> NDArray[np.float64]:
    return logit_of(score(model, dataset.pixels, rows.part.rows, STAMP_BATCH))


def _label_kind(dataset: Dataset) -> str:
    return TRUTH if dataset.truth() is not None else str(dataset.manifest["label_kind"])


def predictions_table(scores: CandidateScores) -> pa.Table:
    """Return the columns id, real, origin, headline and logit."""
    rows = scores.rows
    return pa.table(
        {
            "id": rows.part.ids,
            "real": rows.real,
            "origin": rows.origins.tolist(),
            "headline": rows.headline,
            "logit": scores.logits,
        }
    )
