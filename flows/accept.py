"""Accept a night that the nightly retraining set aside, with a reason."""

from typing import Annotated, Any

from prefect import flow

from flows.cli import parameter_types
from flows.cli.parameter_subjects import by_subject
from flows.cli.run_page import run_page
from tasks.runtime.workspace import Workspace
from tasks.stages.datasets.show import show_summary
from tasks.stages.models.decide import accept as accept_one


@flow(
    name="accept",
    description="Accept a night that the nightly retraining set aside, with a reason",
    **run_page("name", "night"),
)
@by_subject
def accept(
    night: Annotated[str, parameter_types.param("Night, the date of its local evening, YYYY-MM-DD")] = "",
    name: parameter_types.RegisteredName = "realbogus",
    reason: parameter_types.Reason = "",
    by: parameter_types.DecidedBy = None,
) -> dict[str, Any]:
    """Append the acceptance to the ledger, where the nightly retraining finds it, and return its row."""
    summary = accept_one(Workspace.current(), name, night, reason, by)
    show_summary(summary)
    return summary
