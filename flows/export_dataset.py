"""Export a part of a real/bogus dataset in the published layout."""

from typing import Annotated, Any

from prefect import flow

from expectations.split_shares import PartName
from flows.cli import parameter_types
from flows.cli.parameter_subjects import by_subject
from flows.cli.run_page import run_page
from tasks.runtime.workspace import Workspace
from tasks.stages.datasets.export import export_candidates
from tasks.stages.datasets.show import show_summary


@flow(
    name="export-dataset",
    description="Export a part of a dataset with checksums, data card and ledger",
    **run_page("dataset", "part"),
)
@by_subject
def export_dataset(
    dataset: parameter_types.Dataset = "transients",
    part: Annotated[PartName, parameter_types.param("Part of the split to export")] = "all",
    path: Annotated[
        str | None, parameter_types.param("Output folder; null: exports/NAME-VERSION-PART in the workspace")
    ] = None,
) -> dict[str, Any]:
    """Write arrays and tables per detector, SHA256SUMS, README.md and the ledger; return the counts."""
    summary = export_candidates(Workspace.current(), dataset, part, path)
    show_summary(summary)
    return summary
