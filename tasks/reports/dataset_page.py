"""The page of a dataset version: sample images, the counts of the build that published it, figures of the problem."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks.reports.contact_sheet import thumbnail
from tasks.reports.page import Answer, Block, Cell, Figure, Heading, Link, Stamp, Stamps, Table, Text, page
from tasks.reports.sufficiency import class_sufficiency, visits_of
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset, validation_address
from tasks.store.files import whole_file
from tasks.store.versions import value_counts

NAMED = 3
"""Rejected samples of each reason that the page names and shows."""
PREVIEW_PX = 224
"""Largest side of a picture: it is shown at half the size, sharp on a fine screen too."""

Preview = Callable[[Mapping[str, Any]], NDArray[np.uint8] | str]
"""Given a ledger row, its picture, (height, width, 3) uint8, or why it has none."""


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
    preview : Preview
        Of rejected samples.
    pictures_are : str
        What the previews show.
    """

    funnel: Sequence[tuple[str, int]]
    sheet: Figure
    blocks: Sequence[Block]
    preview: Preview
    pictures_are: str


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
            dataset_answer(manifest),
            Text(f"Pixels are {manifest['pixels']}, labels are {manifest['label_kind']}. Digest {dataset.digest}."),
            *([Text(manifest["split_advice"])] if manifest.get("split_advice") else []),
            report.sheet,
            Heading("Sample counts"),
            Table("From requested to stored samples", ("step", "samples"), report.funnel),
            *rejected_blocks(dataset.samples(), report.preview, report.pictures_are),
            *report.blocks,
            *_validation_link(dataset),
        ],
    )


def dataset_answer(manifest: Mapping[str, Any]) -> Answer:
    """Return what is in a dataset version, and whether its smallest class can be tested."""
    stored, asked = manifest["stored"], manifest["asked"]
    said = f"Dataset {manifest['name']} holds {stored:,} of the {asked:,} samples that were asked for"
    if not manifest["schemes"]:
        return Answer(f"{said}; they have no labels yet.")
    scheme, entry = next(iter(manifest["schemes"].items()))
    counts = {name: entry["counts"].get(name, 0) for name in entry["classes"]}
    data, advice = class_sufficiency(counts, visits_of(manifest))
    shares = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    others = [name for name in manifest["schemes"] if name != scheme]
    also = f" It is also labelled under {', '.join(others)}." if others else ""
    labelled = sum(counts.values())
    return Answer(
        f"{said}, {labelled:,} of them labelled in {len(counts)} classes.",
        f"Under {scheme}: {shares}.{also}",
        data,
        advice,
    )


def _validation_link(dataset: Dataset) -> list[Block]:
    """Return the link from the reports to the validation of a version; nothing where there is none."""
    if not dataset.validation_page.is_file():
        return []
    return [Link("Validation of this version", f"../datasets/{validation_address(dataset.name, dataset.version)}")]


def rejected_blocks(ledger: pa.Table, preview: Preview, pictures_are: str) -> list[Block]:
    """Return the table of rejected samples by reason with the first of each, and their pictures; nothing without any.

    Parameters
    ----------
    ledger : Table
        All columns that `preview` reads, and ``id, status, reason, ra_deg, dec_deg``.
    preview : Preview
    pictures_are : str
        What the pictures show.
    """
    rejected = ledger.filter(pc.equal(ledger["status"], "rejected"))
    counts = value_counts(rejected["reason"])
    rows: list[list[Cell]] = []
    pictures: list[Stamp] = []
    for reason, count in counts.most_common():
        first = rejected.filter(pc.equal(rejected["reason"], pa.scalar(reason))).slice(0, NAMED).to_pylist()
        found = [preview(row) for row in first]
        shown = [(row, picture) for row, picture in zip(first, found, strict=True) if not isinstance(picture, str)]
        pictures += [Stamp(row["id"], str(reason), thumbnail(picture, PREVIEW_PX)) for row, picture in shown]
        without = dict.fromkeys(text for text in found if isinstance(text, str))
        told = [*([f"{len(shown)} below"] if shown else []), *without]
        named = "; ".join(map(_named, first)) + ("; ..." if count > NAMED else "")
        rows.append([reason, count, named, "; ".join(told)])
    if not rows:
        return []
    blocks: list[Block] = [
        Table("Rejected samples", ("reason", "samples", "which (RA, Dec in degrees)", "pictures"), rows)
    ]
    if pictures:
        blocks.append(Stamps(f"The first rejected samples of each reason: {pictures_are}", pictures))
    return blocks


def _named(sample: Mapping[str, Any]) -> str:
    """Return the id of a sample, with its position where that is known."""
    ra, dec = sample["ra_deg"], sample["dec_deg"]
    if ra is None or dec is None or not (math.isfinite(ra) and math.isfinite(dec)):
        return str(sample["id"])
    return f"{sample['id']} ({ra:.5f}, {dec:+.5f})"


def write_dataset_page(workspace: Workspace, dataset: Dataset, report: BuildReport) -> None:
    """Write the page into the workspace's reports."""
    with whole_file(page_path(workspace, dataset)) as path:
        path.write_text(dataset_page(dataset, report), encoding="utf-8")
