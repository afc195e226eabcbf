"""Planning and showing stages of `backfill-class-scheme`."""

from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.galaxies.building import backfill, plan
from tasks.galaxies.building.backfill import Backfill, BackfillRequest
from tasks.galaxies.building.build_page import report_build
from tasks.galaxies.building.plan import GalaxyPlan
from tasks.reports.dataset_page import write_dataset_page
from tasks.runtime.run_artifacts import put_summary, put_values
from tasks.runtime.run_log import run_logger
from tasks.runtime.workspace import Workspace
from tasks.stages.datasets.show import link_pages, warn_of_empty_classes
from tasks.store.dataset import Dataset
from tasks.store.places import raw_place


@task(
    name="plan-backfill",
    description="Count what is to be fetched, labelled and dropped, before anything is done",
    cache_policy=NO_CACHE,
)
def plan_backfill(workspace: Workspace, request: BackfillRequest) -> tuple[Backfill, dict[str, Any]]:
    """Return the planned backfill and its outline, which is logged and put on the run's page."""
    planned = backfill.draft_backfill(workspace, request)
    outline = backfill.outline_backfill(planned)
    dropped = ", ".join(f"{reason} {count}" for reason, count in outline["to_drop"].items()) or "none"
    run_logger().info(
        f"plan for dataset {planned.parent.name!r} version {planned.parent.version}, scheme {planned.scheme}: "
        f"{outline['objects']} objects; to fetch {outline['to_fetch']}; to label {outline['to_label']}; "
        f"to drop {sum(outline['to_drop'].values())} ({dropped}); about {outline['estimated_seconds']:.0f} s"
    )
    warn_of_empty_classes(outline["classes"], planned.scheme, planned.parent.name)
    put_values("plan", outline)
    return planned, outline


@task(name="begin-backfill", description="Write the plan into the dataset's staging folder", cache_policy=NO_CACHE)
def begin_backfill(workspace: Workspace, planned: Backfill) -> GalaxyPlan:
    """Return the written plan, with the batches that an earlier run finished."""
    return plan.write_plan(workspace, planned.draft)


@task(name="show-backfill", description="Count the labels; show the summary and samples", cache_policy=NO_CACHE)
def show_backfill(workspace: Workspace, planned: Backfill, outline: dict[str, Any]) -> dict[str, Any]:
    """Return the summary of the published version, which is put on the run's page; write the version's page."""
    version = Dataset.open(workspace, planned.parent.name)
    summary = backfill.summarise_backfill(planned, version, outline)
    put_summary(summary)
    account = version.manifest["builds"].get(planned.draft.facts["digest"])
    if account is not None:
        write_dataset_page(workspace, version, report_build(version, account, raw_place(workspace)))
    link_pages(workspace, version)
    return summary
