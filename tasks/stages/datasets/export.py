"""Stage of `export-dataset`."""

from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.candidates import export
from tasks.runtime.workspace import Workspace


@task(name="export", description="Write arrays, tables, checksums, data card and ledger", cache_policy=NO_CACHE)
def export_candidates(workspace: Workspace, name: str, part: str, path: str | None) -> dict[str, Any]:
    """Export a part of a dataset in the published layout and return the summary."""
    return export.export_candidates(workspace, name, part, path)
