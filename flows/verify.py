"""Compare every byte of a dataset version with its digests."""

from typing import Any

from prefect import flow

from flows.cli import parameter_types
from flows.cli.parameter_subjects import by_subject
from flows.cli.run_page import run_page
from tasks.runtime.workspace import Workspace
from tasks.stages.datasets.show import show_summary
from tasks.stages.datasets.verify import verify_dataset


@flow(
    name="verify",
    description="Compare a dataset's pixels, tables, manifest and raw bytes with their digests",
    **run_page("dataset"),
)
@by_subject
def verify(dataset: parameter_types.Dataset = "sky") -> dict[str, Any]:
    """Return what was compared; fail, naming file and remedy, if anything is not as it was written."""
    summary = verify_dataset(Workspace.current(), dataset)
    show_summary(summary)
    return summary
