"""Judge a registered model on a dataset's holdout, or on another dataset."""

from typing import Annotated, Any, Literal

from prefect import flow

from flows.cli import parameter_types
from tasks.runtime.workspace import Workspace
from tasks.stages.evaluate import evaluate
from tasks.stages.show import show_summary


@flow(name="evaluate-holdout", description="Judge a registered model on samples it has not seen, with a report")
def evaluate_holdout(
    model: Annotated[
        str,
        parameter_types.told("Run id, models:/NAME/VERSION, NAME@alias, or an alias alone, completed from the scheme"),
    ] = "champion",
    dataset: parameter_types.Dataset = "sky",
    scheme: parameter_types.Scheme = None,
    split: Annotated[
        Literal["test", "validation", "train", "all"],
        parameter_types.told("Part to judge; what the model was trained on is left out and counted"),
    ] = "test",
    against: Annotated[
        str | None, parameter_types.told("For candidates: a second model, compared on the same rows")
    ] = None,
    verdicts: Annotated[
        str | None, parameter_types.told("For candidates: the table of bogus that pass, its column verdict filled in")
    ] = None,
) -> dict[str, Any]:
    """Judge a model and return its figures."""
    summary = evaluate(Workspace.current(), model, dataset, scheme, split, against, verdicts)
    show_summary(summary)
    return summary
