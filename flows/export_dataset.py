"""Export a part of a real/bogus dataset in the published layout."""

from typing import Annotated, Any, Literal

from prefect import flow

from flows.cli import parameter_types
from tasks.runtime.workspace import Workspace
from tasks.stages.export import export_candidates
from tasks.stages.show import show_summary


@flow(name="export-dataset", description="A part in the published layout, with checksums, data card and ledger")
def export_dataset(
    dataset: parameter_types.Dataset = "transients",
    part: Annotated[
        Literal["train", "validation", "test", "all"], parameter_types.told("Part of the split that is exported")
    ] = "all",
    path: Annotated[
        str | None, parameter_types.told("Folder to make; empty: exports/NAME-VERSION-PART in the workspace")
    ] = None,
) -> dict[str, Any]:
    """Write arrays and tables a detector, SHA256SUMS, README.md and the ledger, and return the account."""
    summary = export_candidates(Workspace.current(), dataset, part, path)
    show_summary(summary)
    return summary
