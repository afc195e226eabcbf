"""Judge a registered model on a dataset's holdout, or on another dataset."""

from typing import Annotated, Any, Literal

from prefect import flow

from flows import described
from tasks.stages.evaluate import evaluate
from tasks.stages.show import show_summary
from tasks.workspace import Workspace


@flow(name="evaluate-holdout", description="Judge a registered model on samples it has not seen, with a report")
def evaluate_holdout(
    model: Annotated[
        str,
        described.told("Run id, models:/NAME/VERSION, NAME@alias, or an alias alone, completed from the scheme"),
    ] = "champion",
    dataset: described.Dataset = "sky",
    scheme: described.Scheme = None,
    split: Annotated[
        Literal["test", "validation", "train", "all"],
        described.told("Part to judge; what the model was trained on is left out and counted"),
    ] = "test",
    against: Annotated[str | None, described.told("For candidates: a second model, compared on the same rows")] = None,
    verdicts: Annotated[
        str | None, described.told("For candidates: the table of bogus that pass, its column verdict filled in")
    ] = None,
) -> dict[str, Any]:
    """Judge a model and return its figures."""
    summary = evaluate(Workspace.current(), model, dataset, scheme, split, against, verdicts)
    show_summary(summary)
    return summary
