"""Showing a real/bogus build."""

from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.candidates.build_page import report_build
from tasks.runtime.workspace import Workspace
from tasks.stages.show import show_dataset
from tasks.store.dataset import Dataset


@task(
    name="show-candidates",
    description="Show counts, sample triplets and completeness of a build",
    cache_policy=NO_CACHE,
)
def show_candidates(workspace: Workspace, summary: dict[str, Any]) -> None:
    """Write the page of a real/bogus build and its artifacts."""
    dataset = Dataset.open(workspace, f"{summary['dataset']}@{summary['version']}")
    show_dataset(workspace, dataset, summary, report_build(dataset, summary))
