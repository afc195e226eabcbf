"""The images that a galaxy model was trained on, as far as its card says: which images are unlike them.

The card's ``training_range`` holds, for each of `RANGES`, the smallest and the largest value among the training
samples; None where it is unknown, or where that end is no limit. Its ``crop_fraction`` is the central part of each
image that became a sample.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tasks.runtime.workspace import Workspace
from tasks.store.columns import align_rows, to_bool, to_float
from tasks.store.dataset import SAMPLES, Dataset
from tasks.store.errors import StoreError

IMAGE_PX = "image_px"
LEDGER_RANGES = ("width_arcsec", "redshift", "r_mag")
"""Columns of the ledger whose range is recorded."""
RANGES = (IMAGE_PX, *LEDGER_RANGES)
UNKNOWN = (
    "outside_training is null: the card of this model has no training_range, and the dataset that it was trained on is "
    "not here"
)

Ends = tuple[float | None, float | None]


def measure_training_range(dataset: Dataset, ids: Any) -> dict[str, Any]:
    """Return the card's entries ``training_range`` and ``crop_fraction`` for training samples, given by id."""
    rows = align_rows(dataset.samples(ledger_columns(dataset, ("id", *LEDGER_RANGES, "enlarged"))), ids)
    ranges: dict[str, list[float | None] | None] = {IMAGE_PX: _image_px(dataset, rows)}
    for name in LEDGER_RANGES:
        values = to_float(rows[name]) if name in rows.column_names else np.empty(0)
        values = values[np.isfinite(values)]
        ranges[name] = [float(values.min()), float(values.max())] if len(values) else None
    return {"training_range": ranges, "crop_fraction": dataset.manifest.get("crop_fraction") or 1.0}


def ledger_columns(dataset: Dataset, names: Sequence[str]) -> list[str]:
    """Return those of `names` that the dataset's ledger has as columns."""
    present = set(pq.read_schema(dataset.path / SAMPLES).names)
    return [name for name in names if name in present]


def find_training_range(workspace: Workspace, card: Mapping[str, Any]) -> tuple[dict[str, Any] | None, float | None]:
    """Return a card's ``training_range`` and ``crop_fraction``; of an older card they follow from its dataset.

    Both are None where that dataset is not in the workspace.
    """
    if "training_range" in card:
        return card["training_range"], card.get("crop_fraction")
    try:
        dataset = Dataset.open(workspace, f"{card['dataset']}@{card['dataset_version']}")
    except StoreError:
        return None, None
    if dataset.digest != card["dataset_digest"]:
        return None, None
    split = dataset.split()
    if split is None:
        return None, None
    measured = measure_training_range(dataset, split.filter(pc.equal(split["part"], "train"))["id"])
    return measured["training_range"], measured["crop_fraction"]


def outside_reasons(facts: pa.Table, training_range: Mapping[str, Any] | None) -> list[str | None]:
    """Return, for each of n rows, how it differs from the training samples; None where nothing is known to.

    Parameters
    ----------
    facts : (n,) Table
        Numbers under names of `RANGES`; a missing column and a null are not judged.
    training_range : mapping of str to (smallest, largest), optional
        As the card holds it.

    Returns
    -------
    list of str or None
        Such as ``redshift 0.31 above 0.25; r_mag 12.1 below 13.4``.
    """
    reasons: list[list[str]] = [[] for _ in range(facts.num_rows)]
    for name in RANGES:
        ends = (training_range or {}).get(name)
        if ends is None or name not in facts.column_names:
            continue
        values = to_float(facts[name])
        for row, word, end in _outside(values, (ends[0], ends[1])):
            reasons[row].append(f"{name} {values[row]:.5g} {word} {end:.5g}")
    return ["; ".join(found) or None for found in reasons]


def _outside(values: NDArray[np.float64], ends: Ends) -> list[tuple[int, str, float]]:
    low, high = ends
    below = [] if low is None else [(int(row), "below", low) for row in np.flatnonzero(values < low)]
    above = [] if high is None else [(int(row), "above", high) for row in np.flatnonzero(values > high)]
    return below + above


def _image_px(dataset: Dataset, rows: pa.Table) -> list[float | None] | None:
    """Return the range of the images' shorter sides, in pixels before the crop.

    A service sends images of one size. Of an archive's images the ledger says only whether they were enlarged: where
    none was, a smaller image than that is unlike them.
    """
    manifest = dataset.manifest
    if manifest.get("request_px"):
        return [float(manifest["request_px"])] * 2
    if "enlarged" not in rows.column_names or to_bool(rows["enlarged"]).any() or not manifest.get("size_px"):
        return None
    return [math.floor(manifest["size_px"] / (manifest.get("crop_fraction") or 1.0)), None]
