"""The page of a dataset version: sample images, the counts of the build that published it, figures of the problem."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.reports.page import Block, Figure, Heading, Table, Text, page
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.files import whole_file


@dataclass(frozen=True)
class BuildReport:
    """The content of a build's page that depends on the problem.

    Attributes
    ----------
    funnel : sequence of (str, int)
        Steps from the requested samples to the stored ones, removed samples as negative counts.
    sheet : Figure
        Sample images.
    blocks : sequence of Block
        Tables and figures below the funnel.
    """

    funnel: Sequence[tuple[str, int]]
    sheet: Figure
    blocks: Sequence[Block]


def count_funnel(requested: str, count: int, summary: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Return the steps from `count` samples, called `requested`, to the stored ones; rejections are negative."""
    rejected = [(f"rejected: {reason}", -number) for reason, number in summary["rejected"].items()]
    return [(requested, count), *rejected, ("stored", summary["stored"])]


def page_path(workspace: Workspace, dataset: Dataset) -> Path:
    """Return where the page of a dataset version is written."""
    return workspace.reports / f"{dataset.name}-{dataset.version:06d}.html"


def dataset_page(dataset: Dataset, report: BuildReport) -> str:
    """Return the page as HTML."""
    manifest = dataset.manifest
    return page(
        f"Dataset {dataset.name}, version {dataset.version}",
        [
            Text(f"Pixels are {manifest['pixels']}, labels are {manifest['label_kind']}. Digest {dataset.digest}."),
            *([Text(manifest["split_advice"])] if manifest.get("split_advice") else []),
            report.sheet,
            Heading("Sample counts"),
            Table("From requested to stored samples", ("step", "samples"), report.funnel),
            *report.blocks,
        ],
    )


def write_dataset_page(workspace: Workspace, dataset: Dataset, report: BuildReport) -> None:
    """Write the page into the workspace's reports."""
    with whole_file(page_path(workspace, dataset)) as path:
        path.write_text(dataset_page(dataset, report), encoding="utf-8")
