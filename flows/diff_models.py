"""Compare what two models decide on a past night."""

from typing import Annotated, Any

from prefect import flow

from flows.cli import parameter_types
from flows.cli.parameter_subjects import by_subject
from flows.cli.run_page import run_page
from tasks.past_nights.model_difference import DifferenceRequest
from tasks.runtime.workspace import Workspace
from tasks.stages.datasets.show import show_summary
from tasks.stages.nights.diff_models import compare_decisions


@flow(
    name="diff-models",
    description="Show what two models decide differently on a past night, with the stamps",
    **run_page("night", "model", "against"),
)
@by_subject
def diff_models(
    night: Annotated[
        str | None, parameter_types.param("Name of a night with scores; null: the one that was scored last")
    ] = None,
    model: parameter_types.Model = "champion",
    against: parameter_types.Model = "challenger",
    tpr: Annotated[
        float, parameter_types.param("True-positive rate of both models' operating points: 0.9, 0.95 or 0.99")
    ] = 0.9,
    engine: parameter_types.ScoringEngine = "auto",
) -> dict[str, Any]:
    """Score the night by both models, each at its own threshold; its scores stay as they are."""
    request = DifferenceRequest(night=night, model=model, against=against, tpr=tpr, engine=engine)
    summary = compare_decisions(Workspace.current(), request)
    show_summary(summary)
    return summary
