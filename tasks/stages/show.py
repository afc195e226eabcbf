"""What a person sees of a run: artifacts on its Prefect page and a page of its own in the workspace."""

import base64
import io
from typing import Any

import numpy as np
import pyarrow.compute as pc
from prefect import get_run_logger, task
from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE

from realbogus.completeness import binned_completeness, fit_completeness
from realbogus.pictures import draw_triplet
from tasks.learning.figures import completeness_figure
from tasks.learning.measures import Interval, wilson
from tasks.learning.parts import part_rows
from tasks.pages import Figure, Heading, Table, Text, page
from tasks.sheets import contact_sheet
from tasks.stages.galaxy_plan import BuildPlan
from tasks.store.dataset import Dataset
from tasks.store.files import whole_file
from tasks.store.versions import stored_rows
from tasks.workspace import Workspace

SAMPLES_A_CLASS = 8
TRIPLETS_A_KIND = 12
TRIPLETS_A_ROW = 4
MAGNITUDE_BINS = 8


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
    funnel = [("objects asked for", summary["objects"]), *_funnel(summary)]
    sheet = Figure(f"Samples of each class ({summary['pixels']} pixels)", dataset_sheet(dataset), "contact sheet")
    classes = Table("Stored samples by class", ("class", "samples"), list(summary["classes"].items()))
    _show_dataset(workspace, dataset, summary, funnel, sheet, [classes])


@task(
    name="show-candidates",
    description="Summary, funnel of counts, contact sheet and completeness of a build",
    cache_policy=NO_CACHE,
)
def show_candidates(workspace: Workspace, summary: dict[str, Any]) -> None:
    """Write the page of a real/bogus build and its artifacts."""
    dataset = Dataset.open(workspace, f"{summary['dataset']}@{summary['version']}")
    funnel = [("injections and detections", summary["asked"]), *_funnel(summary)]
    what = f"new, reference, difference of candidates of each kind ({summary['pixels']} pixels)"
    kinds = Table("Stored candidates by kind", ("kind", "candidates"), list(summary["kinds"].items()))
    labels = Table("Stored candidates by label", ("label", "candidates"), list(summary["labels"].items()))
    blocks: list[Any] = [kinds, labels, *_completeness(dataset)]
    _show_dataset(workspace, dataset, summary, funnel, Figure(what, candidate_sheet(dataset), "contact sheet"), blocks)


def _funnel(summary: dict[str, Any]) -> list[tuple[str, int]]:
    rejected = [(f"rejected: {reason}", -count) for reason, count in summary["rejected"].items()]
    return [*rejected, ("stored", summary["stored"])]


def _show_dataset(
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
    sheet = contact_sheet(images, [caption for caption, _ in chosen], SAMPLES_A_CLASS)
    stream = io.BytesIO()
    sheet.save(stream, "JPEG", quality=85)
    return stream.getvalue()


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


def candidate_sheet(dataset: Dataset) -> bytes:
    """Return a JPEG with triplets of each kind, as new, reference and difference side by side."""
    stored = stored_rows(dataset.samples(["id", "row", "status", "kind"]))
    images, captions = [], []
    for kind in sorted(set(stored["kind"].to_pylist())):
        rows = stored.filter(pc.equal(stored["kind"], kind))["row"].to_pylist()
        step = max(1, len(rows) // TRIPLETS_A_KIND)
        for row in rows[::step][:TRIPLETS_A_KIND]:
            images.append(draw_triplet(np.asarray(dataset.pixels[row])))
            captions.append(kind)
    sheet = contact_sheet(images, captions, TRIPLETS_A_ROW)
    stream = io.BytesIO()
    sheet.save(stream, "JPEG", quality=85)
    return stream.getvalue()


def _completeness(dataset: Dataset) -> list[Any]:
    """Return the figure of what was found of the injections against magnitude, if there were any."""
    ledger = dataset.samples(["kind", "injected_mag", "found"])
    ledger = ledger.filter(pc.is_valid(ledger["found"]))
    mag = np.asarray(ledger["injected_mag"].to_numpy(zero_copy_only=False), float)
    found = np.asarray(ledger["found"].to_pylist(), bool)
    if len(mag) == 0 or not np.isfinite(mag).all():
        return []
    edges = np.linspace(mag.min(), mag.max() + 1e-6, MAGNITUDE_BINS + 1)
    kinds = np.array(ledger["kind"].to_pylist())
    curves = {}
    for kind in sorted(set(kinds.tolist())):
        counted = binned_completeness(mag[kinds == kind], found[kinds == kind], edges)
        curves[kind.replace("_", " ")] = [
            (float(centre), Interval(k / n, *wilson(k, n)))
            for centre, (k, n) in zip((edges[:-1] + edges[1:]) / 2, counted, strict=True)
            if n
        ]
    figure = completeness_figure(curves, fit_completeness(mag, found))
    return [Figure("Share of the injections that is found, with 95 % intervals", figure, "completeness")]
