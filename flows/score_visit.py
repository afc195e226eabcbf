"""Score the visits that have arrived in the inbox."""

from typing import Annotated, Any

from prefect import flow

from flows.cli import parameter_types
from flows.cli.parameter_subjects import by_subject
from flows.cli.run_page import run_page
from tasks.runtime.workspace import Workspace
from tasks.stages.datasets.show import show_summary
from tasks.stages.nights.score_visit import score_visits
from tasks.visits.request import VisitRequest


@flow(
    name="score-visit",
    description="Score the visits that have arrived in the inbox, and group their detections",
    **run_page("night", "path", "model"),
)
@by_subject
def score_visit(
    path: Annotated[
        str | None,
        parameter_types.param(
            "Inbox, with one folder per night (YYYY-MM-DD) and in it one entry per visit; null: STARLOOM_INBOX, else "
            "workspace/inbox"
        ),
    ] = None,
    night: Annotated[str | None, parameter_types.param("Night, YYYY-MM-DD of the local evening; null: all")] = None,
    limit: Annotated[int | None, parameter_types.param("Maximum number of visits of this run; null: all")] = None,
    model: parameter_types.Model = "champion",
    tpr: Annotated[
        float | None, parameter_types.param("True-positive rate of the operating point: 0.9, 0.95 or 0.99; null: 0.9")
    ] = None,
    quiet_s: Annotated[
        float, parameter_types.param("Seconds without a change after which a visit counts as complete")
    ] = 5.0,
    timezone: Annotated[
        str, parameter_types.param("Time zone of the site, whose evening dates the night")
    ] = "Asia/Tokyo",
) -> dict[str, Any]:
    """Score every complete visit that was not scored as it is, and return the counts."""
    request = VisitRequest(
        path=path, night=night, model=model, tpr=tpr, limit=limit, quiet_s=quiet_s, timezone=timezone
    )
    summary = score_visits(Workspace.current(), request)
    show_summary(summary)
    return summary
