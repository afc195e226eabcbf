"""Show the ledger of decisions, and record aliases that were moved outside it."""

from typing import Annotated, Any

from prefect import flow

from flows.cli import parameter_types
from flows.cli.parameter_subjects import by_subject
from flows.cli.run_page import run_page
from tasks.runtime.workspace import Workspace
from tasks.stages.models.decide import show_ledger


@flow(
    name="show-decisions",
    description="Show the ledger of decisions, and record aliases that were moved outside it",
    **run_page("name"),
)
@by_subject
def show_decisions(
    name: Annotated[str | None, parameter_types.param("Registered name of the models; null: all")] = None,
    last: Annotated[int, parameter_types.param("Number of decisions in the summary, the newest", ge=0)] = 20,
) -> dict[str, Any]:
    """Check every row against its digest, write the page of all decisions and return the newest."""
    return show_ledger(Workspace.current(), name, last)
