"""List the nights whose scores today's model would not give."""

from typing import Any

from prefect import flow

from flows.cli import parameter_types
from flows.cli.parameter_subjects import by_subject
from flows.cli.run_page import run_page
from tasks.runtime.workspace import Workspace
from tasks.stages.datasets.show import show_summary
from tasks.stages.nights.stale import find_stale


@flow(
    name="stale",
    description="List the model, preprocessing and threshold of every scored night, and which are stale",
    **run_page("model"),
)
@by_subject
def stale(model: parameter_types.Model = "champion") -> dict[str, Any]:
    """Examine every night with scores; no model is run."""
    summary = find_stale(Workspace.current(), model)
    show_summary(summary)
    return summary
