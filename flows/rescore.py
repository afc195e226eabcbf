"""Score stale nights again."""

from typing import Annotated, Any

from prefect import flow

from flows.cli import parameter_types
from flows.cli.parameter_subjects import by_subject
from flows.cli.run_page import run_page
from tasks.past_nights.rescoring import RescoreRequest
from tasks.runtime.workspace import Workspace
from tasks.stages.datasets.show import show_summary
from tasks.stages.nights.rescore import rescore_nights


@flow(
    name="rescore",
    description="Score nights again whose scores are stale, each by its own rule",
    **run_page("night", "model"),
)
@by_subject
def rescore(
    night: Annotated[str | None, parameter_types.param("Name of a night with scores; null: all nights")] = None,
    model: parameter_types.Model = "champion",
    engine: parameter_types.ScoringEngine = "auto",
    only_stale: Annotated[
        bool, parameter_types.param("Leave nights alone that a rescoring would not change; false: score all again")
    ] = True,
    plan_only: Annotated[bool, parameter_types.param("State what would be done, and do nothing")] = False,
) -> dict[str, Any]:
    """Score the nights again; scores that are replaced are kept."""
    request = RescoreRequest(night=night, only_stale=only_stale, plan_only=plan_only, model=model, engine=engine)
    summary = rescore_nights(Workspace.current(), request)
    show_summary(summary)
    return summary
