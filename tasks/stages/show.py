"""Showing a run: artifacts on its Prefect page, and the page of a built dataset in the workspace."""

from collections.abc import Mapping
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.reports.dataset_page import BuildReport, write_dataset_page
from tasks.runtime.run_artifacts import put_contact_sheet, put_funnel, put_summary, put_validation_link
from tasks.runtime.run_log import run_logger
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset


@task(name="show", description="Show the summary of a run", cache_policy=NO_CACHE)
def show_summary(summary: dict[str, Any]) -> None:
    """Put a summary on the run's page."""
    put_summary(summary)


def warn_of_empty_classes(counts: Mapping[str, int], scheme: str, dataset: str) -> None:
    """Log the classes of a scheme of which a dataset has no object."""
    for name in (name for name, count in counts.items() if count == 0):
        run_logger().warning("class %r of scheme %s has no object in dataset %r", name, scheme, dataset)


def show_dataset(workspace: Workspace, dataset: Dataset, summary: dict[str, Any], report: BuildReport) -> None:
    """Write the page of a dataset version and put its content on the run's page."""
    put_summary(summary)
    put_funnel(report.funnel)
    put_validation_link(dataset.validation_page)
    put_contact_sheet(report.sheet.caption, report.sheet.pixels)
    write_dataset_page(workspace, dataset, report)
