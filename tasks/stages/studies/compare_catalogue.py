"""Stage of `compare-catalogue`."""

from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.predictions import catalogue_comparison
from tasks.predictions.catalogue_comparison import ComparisonRequest
from tasks.runtime.workspace import Workspace


@task(name="compare-catalogue", description="Compare predictions with a published catalogue", cache_policy=NO_CACHE)
def compare_catalogue(workspace: Workspace, request: ComparisonRequest) -> dict[str, Any]:
    """Compare predictions with a catalogue and return the summary."""
    return catalogue_comparison.compare_catalogue(workspace, request)
