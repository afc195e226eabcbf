"""What a person sees of a run: artifacts on its Prefect page and a page of its own in the workspace."""

import base64
from typing import Any

import numpy as np
from prefect import get_run_logger, task
from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE

from tasks.galaxies.plan import BuildPlan
from tasks.learning.split_parts import part_rows
from tasks.reports.contact_sheet import contact_sheet, to_jpeg
from tasks.reports.page import Figure, Heading, Table, Text, page
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.files import whole_file
from tasks.store.versions import stored_rows

SAMPLES_A_CLASS = 8


@task(name="show-build", description="Summary, funnel of counts and contact sheet of a build", cache_policy=NO_CACHE)
def show_build(workspace: Workspace, plan: BuildPlan, summary: dict[str, Any]) -> None:
    """Write a build's page and its artifacts; say how far a scheme's count is from its source's."""
    published = (plan.facts["scheme"] or {}).get("deck_images")
    if published is not None and summary["pixels"] == "real" and summary["objects"] >= published:
        get_run_logger().info(
            "%s: %d images here, %d in the deck, difference %+d",
            plan.scheme,
            summary["stored"],
            published,
            summary["stored"] - published,
        )
    dataset = Dataset.open(workspace, f"{summary['dataset']}@{summary['version']}")
    funnel = [("objects asked for", summary["objects"]), *funnel_of(summary)]
    sheet = Figure(f"Samples of each class ({summary['pixels']} pixels)", dataset_sheet(dataset), "contact sheet")
    classes = Table("Stored samples by class", ("class", "samples"), list(summary["classes"].items()))
    show_dataset(workspace, dataset, summary, funnel, sheet, [classes])


def funnel_of(summary: dict[str, Any]) -> list[tuple[str, int]]:
    """Return the steps from what was asked for to what is stored."""
    rejected = [(f"rejected: {reason}", -count) for reason, count in summary["rejected"].items()]
    return [*rejected, ("stored", summary["stored"])]


def show_dataset(
    workspace: Workspace,
    dataset: Dataset,
    summary: dict[str, Any],
    funnel: list[tuple[str, int]],
    sheet: Figure,
    blocks: list[Any],
) -> None:
    """Put account, validation and contact sheet on the run's page, and write the dataset's own."""
    put_account(summary, funnel)
    page_of_validation = dataset.path / "validation" / "index.html"
    create_link_artifact(key="validation", link=page_of_validation.as_uri(), link_text="what was expected and found")
    encoded = base64.b64encode(sheet.png).decode("ascii")
    create_markdown_artifact(
        key="contact-sheet", markdown=f"{sheet.caption}\n\n![samples](data:image/jpeg;base64,{encoded})"
    )
    about = f"Pixels are {summary['pixels']}, labels are {dataset.manifest['label_kind']}. Digest {dataset.digest}."
    html = page(
        f"Dataset {dataset.name}, version {dataset.version}",
        [
            Text(about),
            sheet,
            Heading("Account"),
            Table("What was asked for and what became of it", ("step", "samples"), funnel),
            *blocks,
        ],
    )
    with whole_file(workspace.reports / f"{dataset.name}-{dataset.version:06d}.html") as path:
        path.write_text(html, encoding="utf-8")


@task(name="show", description="Summary of a run", cache_policy=NO_CACHE)
def show_summary(summary: dict[str, Any]) -> None:
    """Put a summary on the run's page."""
    put_account(summary)


def put_account(summary: dict[str, Any], funnel: list[tuple[str, int]] | None = None) -> None:
    """Put a summary, and the steps by which its counts came about, on the present run's page."""
    create_table_artifact(key="summary", table=[{"name": name, "value": str(value)} for name, value in summary.items()])
    if funnel is not None:
        create_table_artifact(key="funnel", table=[{"step": step, "count": count} for step, count in funnel])


def dataset_sheet(dataset: Dataset) -> bytes:
    """Return a JPEG with a row of samples for each class of the first scheme, or of any samples without one."""
    chosen = _chosen_rows(dataset)
    images = [np.asarray(dataset.pixels[row]) for _, row in chosen]
    return to_jpeg(contact_sheet(images, [caption for caption, _ in chosen], SAMPLES_A_CLASS))


def _chosen_rows(dataset: Dataset) -> list[tuple[str, int]]:
    """Return caption and array row of the samples to show."""
    if not dataset.schemes:
        rows = stored_rows(dataset.samples(["id", "row", "status"]))["row"].to_pylist()
        return [("", row) for row in rows[: 4 * SAMPLES_A_CLASS]]
    scheme = dataset.schemes[0]
    part = part_rows(dataset, scheme, "all")
    chosen = []
    for number, name in enumerate(dataset.classes(scheme)):
        rows = part.rows[part.labels == number][:SAMPLES_A_CLASS]
        chosen += [(name, int(row)) for row in rows]
    return chosen
