"""Catalogue and planning stages of `build-galaxy-dataset`."""

from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.galaxies import plan, sources
from tasks.galaxies.build_request import GalaxyBuildRequest
from tasks.galaxies.plan import GalaxyPlan
from tasks.runtime.workspace import Workspace


@task(
    name="catalogue",
    description="Find the catalogue; ingest or simulate it if it does not exist yet",
    cache_policy=NO_CACHE,
)
def find_catalog(workspace: Workspace, request: GalaxyBuildRequest) -> Path:
    """Return the path of the build's validated catalogue."""
    return sources.find_catalog(workspace, request)


@task(
    name="plan",
    description="Choose objects, frames and labels, and find the objects already published",
    cache_policy=NO_CACHE,
)
def plan_galaxies(workspace: Workspace, request: GalaxyBuildRequest, catalog: Path) -> GalaxyPlan:
    """Write the plan of a build into the dataset's staging folder."""
    return plan.plan_galaxies(workspace, request, catalog)
