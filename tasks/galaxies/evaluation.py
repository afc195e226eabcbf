"""Judging a model on a part of a dataset: numbers with intervals, baselines on the same rows, a report.

Training, which has the model in memory, and ``evaluate-holdout`` call the same ``evaluate_model``.
"""

import math
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tasks.galaxies.baselines import PROBLEMS, Baseline, Problem, altered_views, baselines, covariates, rival
from tasks.galaxies.report import Evaluation, evaluation_figures, evaluation_page, evaluation_tables
from tasks.learning import measures
from tasks.learning.measures import Interval
from tasks.learning.predictions import Predictions
from tasks.learning.scoring import Scorer, score
from tasks.learning.split_parts import SplitPart, part_rows
from tasks.learning.training_overlap import COLUMNS, seen_before, training_members
from tasks.reports.page import Figure, Table
from tasks.runtime.provenance import code_version
from tasks.runtime.workspace import Workspace
from tasks.store.columns import align_rows
from tasks.store.dataset import Dataset
from tasks.store.errors import StoreError
from tasks.store.files import whole_file
from tasks.tracking.mlflow_runs import TrackedRun, newest_run
from tasks.training.evaluation_record import EvaluationError

BATCH_SIZE = 64
WORST_SHOWN = 18


def evaluate_model(
    workspace: Workspace,
    dataset: Dataset,
    model: Scorer,
    card: Mapping[str, Any],
    part: str,
    scheme: str,
    history: Mapping[str, Sequence[float]] | None = None,
    run: TrackedRun | None = None,
    *,
    members: pa.Table | None = None,
    best_epoch: int | None = None,
) -> dict[str, Any]:
    """Judge a model on a part of a dataset, write the report, and return the summary.

    Parameters
    ----------
    model
        Takes images as they are stored, gives probabilities.
    card
        The content of its ``model.json``.
    part
        train, validation, test or all. What the model has seen in training or validation is left out.
    history
        Values by epoch under the names in `CURVES`.
    run
        Where numbers (as ``PART_accuracy`` and so on), tables and figures are recorded too.
    members
        What the model has seen; told from the card's dataset where it is None.

    Raises
    ------
    EvaluationError
        Problem, classes or image shape are not the model's, or nothing is left to judge.
    """
    problem = _problem_of(dataset, scheme, card)
    trained_on, notes = _trained_on(workspace, card)
    if members is None and trained_on is not None:
        members = training_members(trained_on)
    chosen, overlap = _unseen(dataset, part_rows(dataset, scheme, part), members, part)
    if overlap is None:
        notes.append("What the model was trained on could not be told, so nothing was left out.")
    judged = Predictions(
        chosen,
        list(card["classes"]),
        score(model, dataset.pixels, chosen.rows, BATCH_SIZE),
        float(card["temperature"] or 1),
    )
    positions = _worst_positions(judged)
    evaluation = Evaluation(
        title=f"{scheme} on {dataset.name}, {part} part",
        subtitle=f"{len(chosen)} samples of version {dataset.version}, {_origin(dataset)}",
        facts=_facts(dataset, scheme, part, card),
        origin=_origin(dataset),
        model=judged,
        baselines=_baselines(workspace, problem, trained_on, dataset, scheme, part, card, judged),
        this=rival("this model", judged),
        views=altered_views(problem, model, dataset, judged, BATCH_SIZE),
        covariates=covariates(problem, dataset, scheme, chosen),
        worst=np.array([dataset.pixels[int(row)] for row in chosen.rows[positions]]),
        worst_positions=positions,
        overlap=overlap,
        history=history or {},
        best_epoch=best_epoch,
        notes=notes,
    )
    return _publish(evaluation, _report_path(workspace, dataset, part, card), run, part)


def _publish(evaluation: Evaluation, report: Path, run: TrackedRun | None, part: str) -> dict[str, Any]:
    """Write the report, record what it shows where a run is given, and return the summary."""
    tables, figures = evaluation_tables(evaluation), evaluation_figures(evaluation)
    with whole_file(report) as path:
        path.write_text(evaluation_page(evaluation, tables, figures), encoding="utf-8")
    summary = _summary(evaluation) | {"report": str(report)}
    if run is not None:
        _record_numbers(run, summary, part)
        _record_files(run, tables, figures, part)
        run.log_file(report, "report")
        _record_predictions(run, evaluation.model, part)
    return summary


def _problem_of(dataset: Dataset, scheme: str, card: Mapping[str, Any]) -> Problem:
    """Return what the dataset's problem offers, once the model is known to fit the dataset."""
    problem, classes = dataset.manifest["problem"], dataset.classes(scheme)
    if problem not in PROBLEMS:
        raise EvaluationError(f"dataset {dataset.name!r} is of problem {problem!r}, known are {', '.join(PROBLEMS)}")
    shape = list(dataset.pixels.shape[1:])
    for what, has, takes in (
        ("is of problem", problem, card["problem"]),
        (f"has, under {scheme!r}, the classes", classes, list(card["classes"])),
        ("has images of shape", shape, list(card["input_shape"])),
    ):
        if has != takes:
            raise EvaluationError(f"dataset {dataset.name!r} {what} {has}, the model's is {takes}")
    return PROBLEMS[problem]


def _trained_on(workspace: Workspace, card: Mapping[str, Any]) -> tuple[Dataset | None, list[str]]:
    """Return the dataset version that the model was trained on, or None and why not."""
    reference = f"{card['dataset']}@{card['dataset_version']}"
    try:
        found = Dataset.open(workspace, reference)
    except StoreError as error:
        return None, [f"No baselines: the model was trained on {reference}, and there is {error}."]
    if found.digest != card["dataset_digest"]:
        return None, [f"No baselines: {reference} in this workspace is not the dataset the model was trained on."]
    return found, []


def _unseen(dataset: Dataset, whole: SplitPart, members: pa.Table | None, part: str) -> tuple[SplitPart, int | None]:
    """Return the samples that the model has not seen, and how many it has (None where that is unknown)."""
    if members is None:
        return whole, None
    samples = align_rows(dataset.samples(list(COLUMNS)), whole.ids)
    seen = seen_before(samples, members)
    if seen.all():
        raise EvaluationError(
            f"all {len(whole)} samples of part {part!r} of dataset {dataset.name!r} were in the model's training "
            "or validation part, so there is nothing to judge it on"
        )
    return whole.take(np.flatnonzero(~seen)), int(seen.sum())


def _baselines(
    workspace: Workspace,
    problem: Problem,
    trained_on: Dataset | None,
    dataset: Dataset,
    scheme: str,
    part: str,
    card: Mapping[str, Any],
    judged: Predictions,
) -> list[Baseline]:
    """Return the table's first lines: majority, forests, and the plain network where one has been trained."""
    lines = [] if trained_on is None else baselines(problem, trained_on, dataset, scheme, judged)
    plain = _plain_network(workspace, dataset, scheme, len(judged.part)) if part == "test" else None
    return [*lines, plain] if plain and card.get("preset") != "deck" else lines


def _plain_network(workspace: Workspace, dataset: Dataset, scheme: str, count: int) -> Baseline | None:
    """Return the newest deck network that was trained on this dataset, with the figures of its own test."""
    tags = {"scheme": scheme, "dataset_digest": dataset.digest, "preset": "deck"}
    found = newest_run(workspace, dataset.manifest["problem"], tags, measured="test_accuracy")
    if found is None:
        return None
    run_id, metrics = found
    interval = Interval(
        *(metrics.get(f"test_{name}", math.nan) for name in ("accuracy", "accuracy_low", "accuracy_high"))
    )
    return Baseline(
        f"deck network, run {run_id[:8]}", count, interval, metrics.get("test_macro_f1"), metrics.get("test_auc")
    )


def _worst_positions(judged: Predictions) -> NDArray[np.int64]:
    """Return positions of the mistakes with the highest confidence, worst first."""
    wrong = np.flatnonzero(~judged.correct)
    confidence = judged.calibrated[wrong].max(axis=1)
    return wrong[np.argsort(-confidence, kind="stable")][:WORST_SHOWN]


def _origin(dataset: Dataset) -> str:
    return f"{dataset.manifest['pixels']} pixels, {dataset.manifest['label_kind']} labels"


def _facts(dataset: Dataset, scheme: str, part: str, card: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "dataset": f"{dataset.name}@{dataset.version}",
        "dataset digest": dataset.digest,
        "part": part,
        "scheme": scheme,
        "pixels": dataset.manifest["pixels"],
        "labels": dataset.manifest["label_kind"],
        "split hash": dataset.manifest["split_hash"],
        "code": code_version(),
    } | {f"model: {name.replace('_', ' ')}": value for name, value in card.items()}


def _report_path(workspace: Workspace, dataset: Dataset, part: str, card: Mapping[str, Any]) -> Path:
    """Return where the page goes; the same model on the same part of the same version replaces its own."""
    words = (dataset.name, f"{dataset.version:06d}", str(card["scheme"]), part, str(card["sha256"])[:8])
    return workspace.reports / f"evaluation-{'-'.join(re.sub(r'[^a-zA-Z0-9.-]+', '_', word) for word in words)}.html"


def _summary(evaluation: Evaluation) -> dict[str, Any]:
    """Return the numbers as JSON takes them: what is not measurable is None."""
    model = evaluation.model
    labels, perfect = model.part.labels, model.perfect_ece
    numbers: dict[str, Any] = {
        "count": len(model.part),
        "overlap_with_training": evaluation.overlap,
        "accuracy": model.accuracy.value,
        "accuracy_low": model.accuracy.low,
        "accuracy_high": model.accuracy.high,
        "macro_f1": model.macro_f1.value,
        "macro_f1_low": model.macro_f1.low,
        "macro_f1_high": model.macro_f1.high,
        "per_class_recall": {name: _or_none(score.recall.value) for name, score in model.per_class.items()},
        "ece": measures.ece(model.calibrated, labels),
        "ece_of_perfect": perfect.value,
        "ece_of_perfect_high": perfect.high,
        "nll": measures.nll(model.calibrated, labels),
        "brier": measures.brier(model.calibrated, labels),
        "temperature": model.temperature,
        "baselines": {line.name: line.accuracy.value for line in evaluation.baselines},
        "views": {line.name: line.accuracy.value for line in evaluation.views},
        "pixels": evaluation.facts["pixels"],
        "labels": evaluation.facts["labels"],
        "notes": list(evaluation.notes),
    }
    if model.auc:
        numbers |= {"auc": model.auc.value, "auc_low": model.auc.low, "auc_high": model.auc.high}
    return {name: _or_none(value) for name, value in numbers.items()}


def _or_none(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def _record_numbers(run: TrackedRun, summary: Mapping[str, Any], part: str) -> None:
    numbers = {name: value for name, value in summary.items() if isinstance(value, int | float)}
    recalls = {f"recall_{name}": value for name, value in summary["per_class_recall"].items()}
    run.log_metrics({f"{part}_{_metric_name(name)}": value for name, value in (numbers | recalls).items()})


def _record_files(run: TrackedRun, tables: Mapping[str, Table], figures: Mapping[str, Figure], part: str) -> None:
    for name, table in tables.items():
        run.log_table(dict(zip(table.columns, zip(*table.rows, strict=True), strict=True)), f"{part}_{name}")
    for name, figure in figures.items():
        run.log_figure(figure.png, f"{part}_{name}")


def _record_predictions(run: TrackedRun, model: Predictions, part: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"{part}_predictions.parquet")
        pq.write_table(_predictions(model), path)
        run.log_file(path, "predictions")


def _metric_name(name: str) -> str:
    """MLflow takes letters, digits, and a few marks in a metric's name."""
    return re.sub(r"[^\w./ -]", "_", name)


def _predictions(model: Predictions) -> pa.Table:
    names = np.array(model.classes)
    columns: dict[str, Any] = {
        "id": model.part.ids,
        "label": names[model.part.labels],
        "predicted": names[model.predicted],
    }
    columns |= {f"probability_{name}": model.calibrated[:, at] for at, name in enumerate(model.classes)}
    return pa.table(columns)
