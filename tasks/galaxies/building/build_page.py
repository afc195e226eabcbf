"""Content of the page of a galaxy build: samples of each class, counts by class, and the deck's counts."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galaxy.images.image_files import preview_image
from tasks.ingest.column_account import NEEDED
from tasks.learning.split_parts import ALL, part_rows
from tasks.reports.contact_sheet import contact_sheet, to_jpeg
from tasks.reports.dataset_page import BuildReport, count_funnel
from tasks.reports.page import Block, Figure, Table
from tasks.reports.understanding import understood_blocks
from tasks.store.dataset import Dataset
from tasks.store.object_store.objects import ObjectFolder
from tasks.store.raw import open_raw
from tasks.store.versions import stored_rows

SAMPLES_PER_CLASS = 8
_ROWS_WITHOUT_CLASSES = 4


def report_build(dataset: Dataset, summary: Mapping[str, Any], raw: Path | ObjectFolder) -> BuildReport:
    """Return what is shown of a build, from its dataset version, its summary, and the place of received bytes."""
    caption = f"Samples of each class ({summary['pixels']} pixels)"
    blocks: list[Block] = [Table("Stored samples by class", ("class", "samples"), list(summary["classes"].items()))]
    if summary.get("images"):
        blocks.append(Table("Images converted on reading", ("what", "images"), list(summary["images"].items())))
    blocks += understood_blocks(shown_account(summary), "rows")
    return BuildReport(
        funnel=count_funnel("requested objects", summary["objects"], summary),
        sheet=Figure(caption, class_sheet(dataset), "contact sheet"),
        blocks=blocks,
        preview=partial(preview_received, raw),
        pictures_are="the images as they were received",
    )


def preview_received(raw: Path | ObjectFolder, row: Mapping[str, Any]) -> NDArray[np.uint8] | str:
    """Return the picture of a rejected object from its received bytes, or why it has none.

    Parameters
    ----------
    raw : Path or ObjectFolder
        Place of the received bytes.
    row : mapping
        Of the ledger: ``raw_sha256``.
    """
    if row["raw_sha256"] is None:
        return "no image was received"
    received = open_raw(raw).read(row["raw_sha256"])
    if received is None:
        return "its bytes were removed"
    picture = preview_image(received)
    return "not decoded: damaged, or too large" if picture is None else picture


def shown_account(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return a summary with the counts of missing values that its page shows.

    Of the quantities that no column gives, those that a build may need; of the others, also those that are not counted.
    """
    understood, missing = summary.get("understood", {}), summary.get("missing", {})
    counts = {role: missing.get(role, "not counted") for role in understood}
    counts |= {role: count for role, count in missing.items() if role in NEEDED}
    return {**summary, "missing": counts}


def compare_with_deck(scheme: Mapping[str, Any] | None, summary: Mapping[str, Any]) -> str | None:
    """Return how many images the lecture deck has for this scheme and how many are stored.

    None for simulated pixels, for a scheme whose deck count is unknown, and for a build of fewer objects than the
    deck's images.

    Parameters
    ----------
    scheme : mapping or None
        The scheme's entry in ``plan.json``: ``name`` and ``deck_images``.
    """
    expected = (scheme or {}).get("deck_images")
    if scheme is None or expected is None or summary["pixels"] != "real" or summary["objects"] < expected:
        return None
    stored = summary["stored"]
    return f"{scheme['name']}: {stored} images stored, {expected} in the deck, difference {stored - expected:+d}"


def class_sheet(dataset: Dataset) -> bytes:
    """Return a JPEG with `SAMPLES_PER_CLASS` samples of each class of the first scheme; without one, of any."""
    samples = _sample_rows(dataset)
    images = [np.asarray(dataset.pixels[row]) for _, row in samples]
    return to_jpeg(contact_sheet(images, [caption for caption, _ in samples], SAMPLES_PER_CLASS))


def _sample_rows(dataset: Dataset) -> list[tuple[str, int]]:
    """Return caption and array row of the samples to show, class by class."""
    if not dataset.schemes:
        rows = stored_rows(dataset.samples(["id", "row", "status"]))["row"].to_pylist()
        return [("", row) for row in rows[: _ROWS_WITHOUT_CLASSES * SAMPLES_PER_CLASS]]
    scheme = dataset.schemes[0]
    part = part_rows(dataset, scheme, ALL)
    return [
        (name, int(row))
        for number, name in enumerate(dataset.classes(scheme))
        for row in part.rows[part.labels == number][:SAMPLES_PER_CLASS]
    ]
