"""Showing a run: artifacts on its Prefect page, and the page of a built dataset in the workspace."""

from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.reports.dataset_page import BuildReport, write_dataset_page
from tasks.runtime.run_artifacts import put_contact_sheet, put_funnel, put_summary, put_validation_link
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset


@task(name="show", description="Show the summary of a run", cache_policy=NO_CACHE)
def show_summary(summary: dict[str, Any]) -> None:
    """Put a summary on the run's page."""
    put_summary(summary)


def show_dataset(workspace: Workspace, dataset: Dataset, summary: dict[str, Any], report: BuildReport) -> None:
    """Write the page of a dataset version and put its content on the run's page."""
    put_summary(summary)
    put_funnel(report.funnel)
    put_validation_link(dataset.path / "validation" / "index.html")
    put_contact_sheet(report.sheet.caption, report.sheet.png)
    write_dataset_page(workspace, dataset, report)
