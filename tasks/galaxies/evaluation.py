"""Evaluation of a galaxy classifier on a part of a dataset: metrics with intervals, baselines, a report.

Training, which has the model in memory, and ``evaluate-holdout`` call the same `evaluate_galaxies`.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.galaxies.atlas.error_atlas import (
    MAPS_BY_DEFAULT,
    ErrorAtlas,
    draw_atlas,
    positions_to_explain,
    shape_covariates,
)
from tasks.galaxies.baselines import Baseline, altered_views, covariates, fit_baselines
from tasks.galaxies.figures import evaluation_figures
from tasks.galaxies.metrics import GalaxyEvaluation, summarise
from tasks.galaxies.report import evaluation_page, evaluation_tables
from tasks.galaxies.rows import unseen_rows
from tasks.galaxies.summed_answers import answer_for_scheme, describe_sums
from tasks.learning.intervals import Interval
from tasks.learning.predictions import Predictions
from tasks.learning.scoring import IMAGE_BATCH, score
from tasks.store.dataset import Dataset
from tasks.tracking.mlflow_runs import newest_run
from tasks.training.evaluation_record import (
    EvaluationRecord,
    EvaluationRequest,
    evaluation_context,
    publish_record,
    require_fit,
    training_dataset,
    training_samples_of,
)

DECK_NETWORK = "cnn"
"""The network whose deck preset every other one is compared with."""

WORST_SHOWN = 18
"""Mistakes with images in the report."""


def evaluate_galaxies(request: EvaluationRequest, explain: Sequence[str] | None = None) -> dict[str, Any]:
    """Evaluate a model that gives probabilities, write the report, and return the summary.

    Parameters
    ----------
    request : EvaluationRequest
    explain : sequence of str, optional
        Ids of the samples that get a heat map; None: the most confident mistakes.

    Raises
    ------
    EvaluationError
        Problem, classes or image shape are not the model's, its classes do not add up to the scheme's, it has seen
        every sample of the part, or a sample to explain is not among them.
    """
    request, sums = answer_for_scheme(request)
    require_fit(request)
    dataset, scheme = request.dataset, request.scheme
    trained_on, notes = training_dataset(request)
    fitted_on = _labelled_by(trained_on, request)
    if trained_on is not None and fitted_on is None:
        notes.append(f"No fitted baselines: {trained_on.name}@{trained_on.version} has no labels of scheme {scheme}.")
    notes += [] if sums is None else describe_sums(sums)
    part, overlap = unseen_rows(dataset, scheme, request.part, training_samples_of(request, trained_on))
    explained = None if explain is None else positions_to_explain(part, explain)
    model = Predictions(
        part,
        list(request.card["classes"]),
        score(request.model, dataset.pixels, part.rows, IMAGE_BATCH),
        float(request.card["temperature"] or 1),
    )
    mistakes = confident_mistakes(model)
    title = f"{scheme}{f' summed from {sums.fine}' if sums else ''} on {dataset.name}, {request.part} part"
    context = evaluation_context(request, title, str(dataset.manifest["label_kind"]), overlap, notes)
    explained = mistakes[:MAPS_BY_DEFAULT] if explained is None else explained
    atlas = draw_atlas(model, request.model, dataset, context.origin, explained)
    evaluation = GalaxyEvaluation(
        context=context,
        model=model,
        baselines=_baselines(request, fitted_on, model),
        views=altered_views(request.model, dataset, model, IMAGE_BATCH),
        covariates=covariates(dataset, scheme, part) | shape_covariates(atlas.shapes),
        mistakes=mistakes,
        mistake_images=np.array([dataset.pixels[int(row)] for row in part.rows[mistakes]]),
        atlas=atlas,
    )
    if sums and request.run:
        request.run.log_tags({"summed_from": sums.fine})
    return publish_record(request, _record(evaluation))


def _labelled_by(trained_on: Dataset | None, request: EvaluationRequest) -> Dataset | None:
    """Return the version to fit baselines to: the model's, or the evaluated one if only that has the scheme's labels.

    A group stays in its part of the split, so the later version's training part holds nothing of an evaluated part.
    """
    if trained_on is None or request.scheme in trained_on.schemes:
        return trained_on
    return request.dataset if request.dataset.name == trained_on.name else None


def confident_mistakes(model: Predictions) -> NDArray[np.int64]:
    """Return the positions (m,) of at most `WORST_SHOWN` mistakes, the most confident first."""
    wrong = np.flatnonzero(~model.correct)
    confidence = model.calibrated[wrong].max(axis=1)
    return wrong[np.argsort(-confidence, kind="stable")][:WORST_SHOWN]


def _record(evaluation: GalaxyEvaluation) -> EvaluationRecord:
    tables, figures, summary = evaluation_tables(evaluation), evaluation_figures(evaluation), summarise(evaluation)
    return EvaluationRecord(
        page=evaluation_page(evaluation, tables, figures),
        summary=summary,
        figures=figures,
        tables=tables,
        predictions=_with_shapes(predictions_table(evaluation.model), evaluation.atlas),
        metrics={f"recall_{name}": value for name, value in summary["per_class_recall"].items()},
    )


def _with_shapes(predictions: pa.Table, atlas: ErrorAtlas) -> pa.Table:
    """Return the table with each sample's shape, null where it is not measured, and then the reason."""
    shapes = atlas.shapes
    is_missing = shapes.reason != ""
    for name, values in (("circularity", shapes.circularity), ("aspect_ratio", shapes.aspect_ratio)):
        predictions = predictions.append_column(name, pa.array(values, mask=is_missing))
    return predictions.append_column("shape_not_measured", pa.array(shapes.reason.astype(object), mask=~is_missing))


def _baselines(request: EvaluationRequest, fitted_on: Dataset | None, model: Predictions) -> list[Baseline]:
    """Return the fitted baselines, and on the test part the deck network if one was trained on this dataset."""
    lines = [] if fitted_on is None else fit_baselines(fitted_on, request.dataset, request.scheme, model)
    is_deck = (request.card.get("network", DECK_NETWORK), request.card.get("preset")) == (DECK_NETWORK, "deck")
    if request.part != "test" or (is_deck and not request.card.get("methods")):
        return lines
    deck = _deck_network(request, len(model.part))
    return lines if deck is None else [*lines, deck]


def _deck_network(request: EvaluationRequest, count: int) -> Baseline | None:
    """Return the deck's newest CNN that was trained on this dataset, with the metrics of its own test."""
    dataset = request.dataset
    tags = {"scheme": request.scheme, "dataset_digest": dataset.digest, "preset": "deck"}
    params = {"network": DECK_NETWORK}
    newest = newest_run(request.workspace, dataset.manifest["problem"], tags, "test_accuracy", params)
    if newest is None:
        return None
    run_id, metrics = newest
    accuracy = Interval(
        *(metrics.get(f"test_{name}", math.nan) for name in ("accuracy", "accuracy_low", "accuracy_high"))
    )
    return Baseline(
        f"deck network, run {run_id[:8]}", count, accuracy, metrics.get("test_macro_f1"), metrics.get("test_auc")
    )


def predictions_table(model: Predictions) -> pa.Table:
    """Return the columns id, label, predicted, and ``probability_CLASS`` of each class."""
    names = np.array(model.classes)
    columns: dict[str, Any] = {
        "id": model.part.ids,
        "label": names[model.part.labels],
        "predicted": names[model.predicted],
    }
    columns |= {f"probability_{name}": model.calibrated[:, position] for position, name in enumerate(model.classes)}
    return pa.table(columns)
