"""Showing a run: artifacts on its Prefect page, and the page of a built dataset in the workspace."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.reports.dataset_page import BuildReport, page_path, write_dataset_page
from tasks.runtime.run_artifacts import put_contact_sheet, put_funnel, put_link, put_summary
from tasks.runtime.run_log import run_logger
from tasks.runtime.workspace import Workspace
from tasks.server.prefect_server import processes_folder
from tasks.server.process_guard import living_processes
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
    put_contact_sheet(report.sheet.caption, report.sheet.pixels)
    write_dataset_page(workspace, dataset, report)
    link_pages(workspace, dataset)


def link_pages(workspace: Workspace, dataset: Dataset) -> None:
    """Link the report of a dataset version and the page of its validation on the run's page."""
    pages = {"report": page_path(workspace, dataset), "validation": dataset.validation_page}
    for key, page in pages.items():
        if page.is_file():
            put_link(key, page_address(workspace, page), f"{key} of {dataset.name}, version {dataset.version}")


def page_address(workspace: Workspace, page: Path) -> str:
    """Return the address of a page in the workspace: on the home page if that runs, else of the file.

    Browsers follow no link from Prefect's pages to a file.
    """
    entries = living_processes(processes_folder(workspace))
    homes = [entry["addresses"]["home"] for entry in entries if "home" in entry.get("addresses", {})]
    if not homes or not page.is_relative_to(workspace.root):
        return page.as_uri()
    return urljoin(homes[0], f"/{page.relative_to(workspace.root).as_posix()}")
