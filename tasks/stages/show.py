"""Showing a run: artifacts on its Prefect page, and the page of a built dataset in the workspace."""

from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.galaxies import build_page as galaxy_page
from tasks.galaxies.plan import GalaxyPlan
from tasks.reports.dataset_page import BuildReport, write_dataset_page
from tasks.runtime.run_artifacts import put_contact_sheet, put_funnel, put_summary, put_validation_link
from tasks.runtime.run_log import run_logger
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset


@task(name="show", description="Show the summary of a run", cache_policy=NO_CACHE)
def show_summary(summary: dict[str, Any]) -> None:
    """Put a summary on the run's page."""
    put_summary(summary)


@task(name="show-build", description="Show counts and sample images of a build", cache_policy=NO_CACHE)
def show_build(workspace: Workspace, plan: GalaxyPlan, summary: dict[str, Any]) -> None:
    """Show a galaxy build; log how its counts compare with the deck's."""
    comparison = galaxy_page.compare_with_deck(plan.facts["scheme"], summary)
    if comparison is not None:
        run_logger().info(comparison)
    dataset = Dataset.open(workspace, f"{summary['dataset']}@{summary['version']}")
    show_dataset(workspace, dataset, summary, galaxy_page.report_build(dataset, summary))


def show_dataset(workspace: Workspace, dataset: Dataset, summary: dict[str, Any], report: BuildReport) -> None:
    """Write the page of a dataset version and put its content on the run's page."""
    put_summary(summary)
    put_funnel(report.funnel)
    put_validation_link(dataset.path / "validation" / "index.html")
    put_contact_sheet(report.sheet.caption, report.sheet.png)
    write_dataset_page(workspace, dataset, report)
