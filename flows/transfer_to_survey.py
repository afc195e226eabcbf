"""Measure a model on another survey: alone, and stacked with scores that need no training, with few labels or none."""

from typing import Annotated, Any

from prefect import flow

from flows.cli import parameter_types
from flows.cli.parameter_subjects import by_subject
from flows.cli.run_page import run_page
from tasks.runtime.workspace import Workspace
from tasks.stages.datasets.show import show_summary
from tasks.stages.models.transfer import transfer_to_survey as measure
from tasks.studies.transfer import TransferRequest


@flow(
    name="transfer-to-survey",
    description="Measure a model on another survey with few labels of it or none",
    **run_page("dataset", "model"),
)
@by_subject
def transfer_to_survey(
    dataset: parameter_types.Dataset = "transients",
    labels: Annotated[
        list[int], parameter_types.param("Numbers of labels of the other survey that the stack is refitted to")
    ] = [0, 10, 50],  # noqa: B006  # Prefect's form shows it; nothing writes to it
    draws: Annotated[int, parameter_types.param("Number of draws of those labels", ge=1)] = 20,
    leave_out_night: Annotated[
        str | None,
        parameter_types.param("A night that is left out, so that settings are chosen on the others; null: none"),
    ] = None,
    model: parameter_types.Model = "champion",
    seed: parameter_types.Seed = 0,
) -> dict[str, Any]:
    """Measure the transfer; return a row for each score, number of labels and night, and the report."""
    request = TransferRequest(
        model=model, dataset=dataset, labels=labels, draws=draws, leave_out_night=leave_out_night, seed=seed
    )
    summary = measure(Workspace.current(), request)
    show_summary({name: value for name, value in summary.items() if name != "rows"})
    return summary
