"""What every evaluation of a model needs and leaves: its request, the checks, the report's context, the record.

`tasks.galaxies.evaluation` and `tasks.candidates.evaluation` add what differs: which rows count, baselines, metrics,
tables and figures.
"""

import json
import math
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.learning.scoring import Scorer
from tasks.learning.training_overlap import read_training_samples
from tasks.reports.page import Figure, Table
from tasks.reports.sufficiency import visits_of
from tasks.runtime.provenance import code_version
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.errors import StoreError
from tasks.store.files import whole_file
from tasks.tracking.mlflow_runs import TrackedRun, mlflow_name

UNKNOWN_OVERLAP = "The training samples of this model are unknown, so no overlap was removed."


class EvaluationError(ValueError):
    """A model cannot be evaluated on this part of this dataset."""


@dataclass(frozen=True)
class EvaluationRequest:
    """A model, and the part of a dataset to evaluate it on.

    Attributes
    ----------
    workspace : Workspace
    dataset : Dataset
    model : Scorer
        Takes samples as they are stored; gives probabilities (galaxies) or logits (candidates), (n, classes).
    card : dict
        Content of the model's ``model.json``.
    part : str
        train, validation, test or all. Samples of the model's training or validation part are left out.
    scheme : str
    history : dict of name to values by epoch
        Curves of the fit, under the names of `tasks.learning.fits.checkpoints.CURVES`; may be empty.
    best_epoch : int, optional
        Epoch of the model's weights, from 1.
    run : TrackedRun, optional
        MLflow run that records metrics, tables, figures and predictions.
    training_samples : Table, optional
        The samples that the model has seen, with the columns of `training_overlap.COLUMNS`; None reads them from the
        dataset that the card names.
    """

    workspace: Workspace
    dataset: Dataset
    model: Scorer
    card: Mapping[str, Any]
    part: str
    scheme: str
    history: Mapping[str, Sequence[float]] = field(default_factory=dict)
    best_epoch: int | None = None
    run: TrackedRun | None = None
    training_samples: pa.Table | None = None


@dataclass(frozen=True)
class EvaluationContext:
    """What the report of any evaluation shows beside its results.

    Attributes
    ----------
    title : str
    version : int
        Of the dataset.
    origin : str
        Such as ``real pixels, votes labels``; follows every headline.
    facts : dict
        Dataset, digest, scheme, split hash, code and the model's card, for the provenance table.
    overlap : int, optional
        Samples left out because the model has seen them; None where its training samples are unknown.
    history, best_epoch
        As in `EvaluationRequest`.
    notes : list of str
    visits : int, optional
        Visits of the simulated survey that the rows come from.
    """

    title: str
    version: int
    origin: str
    facts: Mapping[str, Any]
    overlap: int | None
    history: Mapping[str, Sequence[float]] = field(default_factory=dict)
    best_epoch: int | None = None
    notes: Sequence[str] = ()
    visits: int | None = None

    @property
    def provenance(self) -> Table:
        """The facts as a table of the report."""
        rows = [[name, value if isinstance(value, str) else json.dumps(value)] for name, value in self.facts.items()]
        return Table("Dataset, model and code of this evaluation", ["what", "value"], rows)


@dataclass(frozen=True)
class EvaluationRecord:
    """What an evaluation leaves: its page, summary, tables, figures and predictions.

    Attributes
    ----------
    page : str
        HTML of the report.
    summary : dict
        Its numbers go to MLflow as ``PART_name``.
    figures, tables : by name
        Recorded in MLflow as ``PART_name`` too.
    predictions : Table
        One row a sample.
    metrics : dict
        Further numbers for MLflow.
    """

    page: str
    summary: Mapping[str, Any]
    figures: Mapping[str, Figure]
    tables: Mapping[str, Table]
    predictions: pa.Table
    metrics: Mapping[str, float | None] = field(default_factory=dict)


def require_fit(request: EvaluationRequest, preprocessing_version: str | None = None) -> None:
    """Check that the dataset has the problem, classes and sample shape that the model takes.

    `preprocessing_version` is the version that this code applies; None skips its check.

    Raises
    ------
    EvaluationError
        The problem, the classes, the shape or the version differs.
    """
    require_card_fits(request.dataset, request.scheme, request.card, preprocessing_version)


def require_card_fits(
    dataset: Dataset, scheme: str, card: Mapping[str, Any], preprocessing_version: str | None = None
) -> None:
    """Check that a dataset has what the model of a card takes; see `require_fit`."""
    checks = [
        ("is of problem", dataset.manifest["problem"], card["problem"]),
        (f"has, under {scheme!r}, the classes", dataset.classes(scheme), list(card["classes"])),
        ("has images of shape", list(dataset.pixels.shape[1:]), list(card["input_shape"])),
    ]
    if preprocessing_version is not None:
        checks.append(("is read here by the preprocessing", preprocessing_version, card["preprocessing_version"]))
    for statement, has, takes in checks:
        if has != takes:
            raise EvaluationError(f"dataset {dataset.name!r} {statement} {has}, the model's is {takes}")


def training_dataset(request: EvaluationRequest) -> tuple[Dataset | None, list[str]]:
    """Return the dataset version that the model was trained on, or None and a note why it is unavailable."""
    reference = f"{request.card['dataset']}@{request.card['dataset_version']}"
    try:
        dataset = Dataset.open(request.workspace, reference)
    except StoreError as error:
        return None, [f"No fitted baselines: the model was trained on {reference}, which cannot be opened: {error}."]
    if dataset.digest != request.card["dataset_digest"]:
        return None, [f"No fitted baselines: {reference} here is not the dataset the model was trained on."]
    return dataset, []


def training_samples_of(request: EvaluationRequest, trained_on: Dataset | None) -> pa.Table | None:
    """Return the samples that the model has seen (columns of `training_overlap.COLUMNS`), or None if unknown."""
    if request.training_samples is not None or trained_on is None:
        return request.training_samples
    return read_training_samples(trained_on)


def evaluation_context(
    request: EvaluationRequest, title: str, labels: str, overlap: int | None, notes: Sequence[str]
) -> EvaluationContext:
    """Return the report's context; an unknown overlap adds a note.

    Parameters
    ----------
    request : EvaluationRequest
    title : str
    labels : str
        Kind of the labels that the model is evaluated against.
    overlap : int, optional
    notes : sequence of str
    """
    dataset = request.dataset
    return EvaluationContext(
        title=title,
        version=dataset.version,
        origin=f"{dataset.manifest['pixels']} pixels, {labels} labels",
        facts=_facts(request, labels),
        overlap=overlap,
        history=request.history,
        best_epoch=request.best_epoch,
        notes=[*notes, *([UNKNOWN_OVERLAP] if overlap is None else [])],
        visits=visits_of(dataset.manifest),
    )


def report_path(request: EvaluationRequest) -> Path:
    """Return the report's path: the same model on the same part and scheme of a version replaces its own report."""
    dataset, card = request.dataset, request.card
    words = (dataset.name, f"{dataset.version:06d}", request.scheme, request.part, str(card["sha256"])[:8])
    name = "-".join(re.sub(r"[^a-zA-Z0-9.-]+", "_", word) for word in words)
    return request.workspace.reports / f"evaluation-{name}.html"


def publish_record(request: EvaluationRequest, record: EvaluationRecord) -> dict[str, Any]:
    """Write the report, record it in the request's MLflow run if there is one, and return the summary."""
    report = report_path(request)
    with whole_file(report) as path:
        path.write_text(record.page, encoding="utf-8")
    if request.run is not None:
        _record_in_run(request.run, record, request.part)
        request.run.log_report(report)
    return {**record.summary, "report": str(report)}


def none_for_nan(value: Any) -> Any:
    """Return the value with NaN replaced by None, as JSON needs it; dicts and lists by their values."""
    if isinstance(value, dict):
        return {name: none_for_nan(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [none_for_nan(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _facts(request: EvaluationRequest, labels: str) -> dict[str, Any]:
    dataset = request.dataset
    return {
        "dataset": f"{dataset.name}@{dataset.version}",
        "dataset digest": dataset.digest,
        "part": request.part,
        "scheme": request.scheme,
        "pixels": dataset.manifest["pixels"],
        "labels": labels,
        "split hash": dataset.manifest["split_hash"],
        "code": code_version(),
    } | {f"model: {name.replace('_', ' ')}": value for name, value in request.card.items()}


def _record_in_run(run: TrackedRun, record: EvaluationRecord, part: str) -> None:
    numbers = {name: value for name, value in record.summary.items() if isinstance(value, int | float)}
    run.log_metrics({mlflow_name(f"{part}_{name}"): value for name, value in {**numbers, **record.metrics}.items()})
    for name, table in record.tables.items():
        run.log_table(table.by_column(), f"{part}_{name}")
    for name, figure in record.figures.items():
        run.log_figure(figure.pixels, f"{part}_{name}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"{part}_predictions.parquet")
        pq.write_table(record.predictions, path)
        run.log_file(path, "predictions")
