"""Evaluation of a registered model on a part of a dataset, recorded in an MLflow run below its training."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from tasks.learning.fits.checkpoints import CURVES
from tasks.learning.training_overlap import TRAINING_SAMPLES_FILE
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.schema import GALAXY, REALBOGUS
from tasks.tracking.mlflow_runs import PARENT, metric_history, open_run
from tasks.training.evaluation_record import EvaluationError, EvaluationRequest
from tasks.training.registered_models import RegisteredModel, open_registered
from tasks.training.training_task import data_tags


class HoldoutRequest(BaseModel):
    """A registered model, and what to evaluate it on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    """Run id, models:/NAME/VERSION, NAME@ALIAS, or an alias alone."""
    dataset: str
    scheme: str | None = None
    """None: the model's own. A galaxy model answers for a coarser one by sums of its probabilities."""
    part: str = "test"
    against: str | None = None
    """Candidates only: a second model, evaluated on the same rows."""
    verdicts: str | None = None
    """Candidates only: a table of reviewed labels of the bogus that pass."""
    explain: list[str] | None = None
    """Galaxies only: ids of the images that get a heat map; None: the most confident mistakes."""


def evaluate_registered(
    workspace: Workspace, holdout: HoldoutRequest, evaluators: Mapping[str, Callable[..., dict[str, Any]]]
) -> dict[str, Any]:
    """Evaluate the model by its problem's evaluator and return the summary.

    Parameters
    ----------
    workspace : Workspace
    holdout : HoldoutRequest
    evaluators : dict of problem to function
        Each takes an `EvaluationRequest`; that of candidates also ``against`` and ``verdicts``, that of galaxies
        ``explain``.

    Raises
    ------
    EvaluationError
        The dataset has no labels, or an argument of the other problem is given.
    UnknownModelError
        There is no such model.
    """
    dataset = Dataset.open(workspace, holdout.dataset)
    if not dataset.schemes:
        raise EvaluationError(
            f"dataset {dataset.name!r} version {dataset.version} has no labels: build it with a scheme"
        )
    problem, first_scheme = dataset.manifest["problem"], holdout.scheme or dataset.schemes[0]
    registered = open_registered(workspace, holdout.model, problem, first_scheme)
    options = _problem_options(workspace, holdout, problem, first_scheme)
    scheme, ref = holdout.scheme or str(registered.card["scheme"]), registered.ref
    reference, samples_file = f"{dataset.name}@{dataset.version}", ref.folder / TRAINING_SAMPLES_FILE
    with open_run(
        workspace,
        problem=problem,
        run_name=f"evaluate {registered.label} on {reference} {holdout.part}",
        params={"model": ref.uri, "dataset": reference, "scheme": scheme, "part": holdout.part},
        tags=_tags(dataset, scheme, registered),
        dataset=dataset,
    ) as run:
        request = EvaluationRequest(
            workspace,
            dataset,
            registered.model,
            registered.card,
            holdout.part,
            scheme,
            history=metric_history(workspace, ref.run_id, CURVES),
            run=run,
            training_samples=pq.read_table(samples_file) if samples_file.is_file() else None,
        )
        summary = evaluators[problem](request, **options)
    return {"model": ref.uri, "dataset": reference, "scheme": scheme, "split": holdout.part} | summary


def _problem_options(workspace: Workspace, holdout: HoldoutRequest, problem: str, scheme: str) -> dict[str, Any]:
    """Return the arguments that the evaluator of only one problem takes."""
    options: dict[str, Any] = {}
    for name, of in (("against", REALBOGUS), ("verdicts", REALBOGUS), ("explain", GALAXY)):
        value = getattr(holdout, name)
        if value is not None and problem != of:
            raise EvaluationError(f"{name}={value} goes with a dataset of {of}, not of {problem}")
        if value is not None:
            options[name] = value
    if holdout.verdicts is not None:
        options["verdicts"] = Path(holdout.verdicts).expanduser()
    if holdout.against is not None:
        second = open_registered(workspace, holdout.against, problem, scheme)
        options["against"] = (second.label, second.model)
    return options


def _tags(dataset: Dataset, scheme: str, registered: RegisteredModel) -> dict[str, Any]:
    return {
        **data_tags(dataset),
        "kind": "evaluation",
        PARENT: registered.ref.run_id,  # the model's training
        "scheme": scheme,
        "model": registered.ref.uri,
        "model_sha256": registered.card["sha256"],
    }
