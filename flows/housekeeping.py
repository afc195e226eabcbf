"""Forget what a workspace needs no more: old versions, models, runs, nights, raw bytes, caches."""

from typing import Annotated, Any

from prefect import flow

from flows.cli import parameter_types
from flows.cli.parameter_subjects import by_subject
from flows.cli.run_page import run_page
from tasks.housekeeping.request import HousekeepingRequest
from tasks.runtime.workspace import Workspace
from tasks.stages.datasets.show import show_summary
from tasks.stages.housekeeping import keep_house


@flow(
    name="housekeeping",
    description="Remove what nothing names, the oldest first, until within a budget",
    **run_page("budget_gb"),
)
@by_subject
def housekeeping(
    budget_gb: Annotated[
        float | None,
        parameter_types.param("Size in GB that the workspace is brought to, oldest first; null: all that may go goes"),
    ] = None,
    keep_days: Annotated[
        float, parameter_types.param("Age in days below which nothing is removed, since it was last written")
    ] = 30,
    keep_versions: Annotated[
        int, parameter_types.param("Newest versions of every dataset and registered model that are kept")
    ] = 3,
    keep_nights: Annotated[int, parameter_types.param("Newest nights that are kept")] = 60,
    plan_only: Annotated[bool, parameter_types.param("Say what would go, and remove nothing")] = True,
) -> dict[str, Any]:
    """Plan what may be forgotten, remove it unless plan_only, and return what goes and what stays."""
    request = HousekeepingRequest(
        budget_gb=budget_gb,
        keep_days=keep_days,
        keep_versions=keep_versions,
        keep_nights=keep_nights,
        plan_only=plan_only,
    )
    summary = keep_house(Workspace.current(), request)
    show_summary(summary)
    return summary
