"""Ingest Galaxy Zoo tables into a catalogue."""

from typing import Annotated, Any

from prefect import flow

from flows.cli import parameter_types
from flows.cli.parameter_subjects import by_subject
from flows.cli.run_page import run_page
from tasks.galaxies.building.sources import sky_tables
from tasks.runtime.workspace import Workspace
from tasks.stages.datasets.ingest import ingest_tables, show_ingest


@flow(
    name="ingest-catalog",
    description="Combine published tables into one catalogue, counting every rejected row",
    **run_page("name", "tables"),
)
@by_subject
def ingest_catalog(
    name: Annotated[str, parameter_types.param("Name of the catalogue; an existing catalogue is replaced")] = "sky",
    tables: Annotated[
        list[str] | None,
        parameter_types.param("Files, URLs or names of published tables such as gz2-hart16; null: the simulated sky"),
    ] = None,
    metadata: Annotated[
        str | None,
        parameter_types.param("Table of redshifts, radii and magnitudes, joined on id, else within 2 arcsec"),
    ] = None,
    columns: parameter_types.Columns = None,
) -> dict[str, Any]:
    """Return the summary: the counts of rows, and what was understood of the tables' columns."""
    workspace = Workspace.current()
    if not tables:
        votes, sky_metadata, _ = sky_tables(workspace, seed=0)
        tables, metadata = [str(votes)], metadata or str(sky_metadata)
    summary = ingest_tables(workspace, name, tables, metadata, columns)
    show_ingest(summary)
    return summary
