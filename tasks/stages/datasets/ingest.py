"""Stages of `ingest-catalog`."""

from collections.abc import Mapping, Sequence
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.ingest.catalogs import ingest_into_workspace
from tasks.runtime.run_artifacts import put_funnel, put_summary
from tasks.runtime.workspace import Workspace


@task(name="ingest tables", description="Read tables into one catalogue", cache_policy=NO_CACHE)
def ingest_tables(
    workspace: Workspace,
    name: str,
    tables: Sequence[str],
    metadata: str | None,
    columns: Mapping[str, str] | None,
) -> dict[str, Any]:
    """Ingest tables as catalogue `name` and return the summary."""
    return ingest_into_workspace(workspace, name, tables, metadata, columns)


@task(name="show catalogue", description="Show the row counts of an ingest", cache_policy=NO_CACHE)
def show_ingest(summary: dict[str, Any]) -> None:
    """Write the summary and the funnel of rows as artifacts."""
    funnel = [("rows in", summary["rows_in"]), *summary["rejected"].items(), ("rows", summary["rows"])]
    put_summary(summary)
    put_funnel(funnel)
