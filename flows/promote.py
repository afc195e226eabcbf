"""Make a registered model the champion, with a reason."""

from typing import Any

from prefect import flow

from flows.cli import parameter_types
from flows.cli.parameter_subjects import by_subject
from flows.cli.run_page import run_page
from tasks.runtime.workspace import Workspace
from tasks.stages.datasets.show import show_summary
from tasks.stages.models.decide import promote_model


@flow(
    name="promote",
    description="Make a registered model the champion, by hand and with a reason",
    **run_page("name", "model"),
)
@by_subject
def promote(
    name: parameter_types.RegisteredName = "realbogus",
    model: parameter_types.ModelOfName = "challenger",
    reason: parameter_types.Reason = "",
    by: parameter_types.DecidedBy = None,
) -> dict[str, Any]:
    """Move the alias champion, append the decision to the ledger and return its row."""
    summary = promote_model(Workspace.current(), name, model, reason, by)
    show_summary(summary)
    return summary
