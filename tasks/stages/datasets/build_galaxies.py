"""Stages of `build-galaxy-dataset` before and after the publishing: catalogue, plan, collect, show."""

from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.galaxies.building import build_page, plan, sources
from tasks.galaxies.building.build_request import GalaxyBuildRequest
from tasks.galaxies.building.collect import Source, collect_batch, unfinished_batches
from tasks.galaxies.building.plan import GalaxyPlan
from tasks.runtime.cluster import Executor
from tasks.runtime.progress import progress
from tasks.runtime.run_log import run_logger
from tasks.runtime.workspace import Workspace
from tasks.stages.datasets.show import show_dataset, warn_of_empty_classes
from tasks.store.dataset import Dataset
from tasks.store.places import raw_place


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


@task(name="collect", description="Get every missing image, in parallel, into staging", cache_policy=NO_CACHE)
def collect_cutouts(plan: GalaxyPlan, source: Source, executor: Executor, max_connections: int) -> dict[str, int]:
    """Collect the plan's unfinished batches; return counts of objects, stored and requests."""
    workers = min(executor.workers, max_connections)
    batches = unfinished_batches(plan, source, max_connections // workers)
    totals = {"objects": 0, "stored": 0, "requests": 0}
    with progress("collecting", sum(stop - start for _, start, stop in plan.unfinished_spans())) as advance:
        for counts in executor.map(collect_batch, batches, None if workers == executor.workers else workers):
            totals = {name: totals[name] + counts[name] for name in totals}
            advance(counts["objects"], rejected=counts["objects"] - counts["stored"])
    return totals


@task(name="show-build", description="Show counts and sample images of a build", cache_policy=NO_CACHE)
def show_build(workspace: Workspace, plan: GalaxyPlan, summary: dict[str, Any]) -> None:
    """Show a galaxy build; log how its counts compare with the deck's."""
    comparison = build_page.compare_with_deck(plan.facts["scheme"], summary)
    if comparison is not None:
        run_logger().info(comparison)
    warn_of_empty_classes(summary["classes"], summary["scheme"], summary["dataset"])
    dataset = Dataset.open(workspace, f"{summary['dataset']}@{summary['version']}")
    show_dataset(workspace, dataset, summary, build_page.report_build(dataset, summary, raw_place(workspace)))
