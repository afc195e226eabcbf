"""Make the champion before the present one champion again, with a reason."""

from typing import Annotated, Any

from prefect import flow

from flows.cli import parameter_types
from flows.cli.parameter_subjects import by_subject
from flows.cli.run_page import run_page
from tasks.runtime.workspace import Workspace
from tasks.stages.datasets.show import show_summary
from tasks.stages.models.decide import roll_back_model


@flow(
    name="rollback",
    description="Make the champion before the present one champion again, with a reason",
    **run_page("name", "model"),
)
@by_subject
def rollback(
    name: parameter_types.RegisteredName = "realbogus",
    model: Annotated[
        str | None,
        parameter_types.param(
            "Model to go back to, with an address as of promote; null: the champion before, by the ledger"
        ),
    ] = None,
    reason: parameter_types.Reason = "",
    by: parameter_types.DecidedBy = None,
) -> dict[str, Any]:
    """Move the alias champion back, append the decision to the ledger and return its row."""
    summary = roll_back_model(Workspace.current(), name, model, reason, by)
    show_summary(summary)
    return summary
