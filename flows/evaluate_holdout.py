"""Evaluate a registered model on the held-out part of a dataset, or on another dataset."""

from typing import Annotated, Any

from prefect import flow

from expectations.split_shares import PartName
from flows.cli import parameter_types
from flows.cli.parameter_subjects import by_subject
from flows.cli.run_page import run_page
from tasks.runtime.workspace import Workspace
from tasks.stages.datasets.show import show_summary
from tasks.stages.models.evaluate import evaluate
from tasks.training.holdout import HoldoutRequest


@flow(
    name="evaluate-holdout",
    description="Evaluate a registered model on samples outside its training data, with a report",
    **run_page("dataset", "model"),
)
@by_subject
def evaluate_holdout(
    dataset: parameter_types.Dataset = "sky",
    scheme: parameter_types.Scheme = None,
    split: Annotated[
        PartName,
        parameter_types.param("Part of the split to evaluate on; samples in the model's training data are excluded"),
    ] = "test",
    model: parameter_types.Model = "champion",
    against: Annotated[
        str | None, parameter_types.param("For candidates: a second model, compared on the same samples")
    ] = None,
    verdicts: Annotated[
        str | None,
        parameter_types.param("For candidates: the reviewed table of false positives, column verdict filled in"),
    ] = None,
    explain: Annotated[
        list[str] | None,
        parameter_types.param("For galaxies: ids of images that get a heat map; null: the most confident mistakes"),
    ] = None,
) -> dict[str, Any]:
    """Evaluate a model and return its metrics."""
    request = HoldoutRequest(
        model=model,
        dataset=dataset,
        scheme=scheme,
        part=split,
        against=against,
        verdicts=verdicts,
        explain=explain,
    )
    summary = evaluate(Workspace.current(), request)
    show_summary(summary)
    return summary
