"""Decide scored nights anew from their logits."""

from typing import Annotated, Any

from prefect import flow

from flows.cli import parameter_types
from flows.cli.parameter_subjects import by_subject
from flows.cli.run_page import run_page
from tasks.past_nights.rethresholding import RethresholdRequest
from tasks.runtime.workspace import Workspace
from tasks.stages.datasets.show import show_summary
from tasks.stages.nights.rethreshold import rethreshold_nights


@flow(
    name="rethreshold",
    description="Make new decisions from the logits of scored nights; no model is run",
    **run_page("night", "model"),
)
@by_subject
def rethreshold(
    night: Annotated[
        str | None,
        parameter_types.param("Name of a night with scores; null: all whose own rule gives another threshold now"),
    ] = None,
    detector: Annotated[
        str | None,
        parameter_types.param("With a night: detector whose own operating point sets the threshold"),
    ] = None,
    model: parameter_types.Model = "champion",
    threshold: Annotated[
        float | None, parameter_types.param("With a night: minimum logit of a selected candidate")
    ] = None,
    tpr: Annotated[
        float | None, parameter_types.param("With a night: true-positive rate of the operating point")
    ] = None,
    max_candidates: Annotated[
        int | None, parameter_types.param("With a night: number of candidates to select, highest scores first")
    ] = None,
) -> dict[str, Any]:
    """Decide anew; scores that are replaced are kept."""
    request = RethresholdRequest(
        night=night, threshold=threshold, tpr=tpr, detector=detector, max_candidates=max_candidates, model=model
    )
    summary = rethreshold_nights(Workspace.current(), request)
    show_summary(summary)
    return summary
