"""Simulated nights of any length, drawn from a simulated survey into a Zarr array that scoring reads like any other.

A shard of the array follows from the seed and its number alone, so an interrupted night is continued where it stopped.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field

from realbogus.records import BOGUS, REAL
from realbogus.simulation.redrawing import LabelledStamps, redraw_candidates
from tasks.learning.scoring import image_blocks
from tasks.runtime.progress import progress
from tasks.runtime.workspace import Workspace
from tasks.store import pixels
from tasks.store.dataset import Dataset
from tasks.store.errors import StoreError
from tasks.store.files import disk_full_named, whole_folder, write_json, write_table
from tasks.store.versions import stored_rows

NIGHTS = "nights"
"""Folder of a workspace that holds the nights."""
MADE, PROGRESS = "made.parquet", "made.json"
"""Files of the night: the sample behind each row with its truth, and the number of finished shards."""
_SHARDS_A_STEP = 100


class NightToMake(BaseModel):
    """The survey that a night is drawn from, and its length."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    count: int = Field(ge=1, le=10_000_000)
    real_share: float = Field(default=0.01, ge=0, le=1)
    seed: int = Field(default=0, ge=0)


def make_night(workspace: Workspace, request: NightToMake) -> dict[str, Any]:
    """Draw a night and return its path and counts; a night that exists is kept.

    Raises
    ------
    StoreError
        The dataset has no hidden truth: it is not simulated.
    """
    dataset = Dataset.open(workspace, request.dataset)
    folder = night_folder(workspace, dataset, request)
    height, width, planes = dataset.pixels.shape[1:]
    finished, shards = finished_shards(folder), pixels.shards_for(request.count)
    if finished < shards:
        samples = read_samples(dataset)
        if not folder.exists():
            with whole_folder(folder) as beside:
                array = pixels.create(beside, (height, width, planes), "float32")
                array.attrs["pixels"] = f"{dataset.manifest['pixels']}, redrawn"
        _draw_shards(folder, samples, request, finished, shards)
    reals = int(pc.sum(pq.read_table(folder / MADE)["real"]).as_py())
    return {"path": str(folder), "count": request.count, "reals": reals, "dataset": f"{dataset.name}@{dataset.version}"}


def night_folder(workspace: Workspace, dataset: Dataset, request: NightToMake) -> Path:
    """Return the folder of a night, which follows from the dataset's digest and the request."""
    settings = json.dumps([dataset.digest, request.count, request.real_share, request.seed])
    name = f"{dataset.name}-{request.count}-{hashlib.sha256(settings.encode()).hexdigest()[:8]}"
    return workspace.root / NIGHTS / f"{name}.zarr"


def read_samples(dataset: Dataset) -> LabelledStamps:
    """Return a dataset's true transients and true bogus by its hidden truth, without blends and other unclear ones.

    Raises
    ------
    StoreError
        There is no hidden truth.
    """
    truth = dataset.truth()
    if truth is None:
        raise StoreError(f"dataset {dataset.name} has no hidden truth: make a night from a simulated survey")
    table = stored_rows(dataset.samples(["id", "row", "status"])).join(truth, "id").sort_by("row")
    table = table.filter(pc.is_in(table["truth"], value_set=pa.array([REAL, BOGUS])))
    stamps = np.concatenate(list(image_blocks(dataset.pixels, table["row"].to_numpy(), pixels.SHARD_ROWS)))
    return LabelledStamps(np.array(table["id"].to_pylist()), stamps, np.array(table["truth"].to_pylist()) == REAL)


def finished_shards(folder: Path) -> int:
    """Return the number of finished shards of a night."""
    path = folder / PROGRESS
    return int(json.loads(path.read_text(encoding="ascii"))["shards"]) if path.exists() else 0


def _draw_shards(folder: Path, samples: LabelledStamps, request: NightToMake, first: int, shards: int) -> None:
    """Draw and write the shards from `first` on; progress is saved every `_SHARDS_A_STEP` shards.

    The array has its length before the last shard counts as finished.
    """
    array = pixels.open_array(folder, writable=True)
    drawn = [pq.read_table(folder / MADE).slice(0, first * pixels.SHARD_ROWS)] if first else []
    with progress("drawing", shards) as advance, disk_full_named(folder):
        advance(first)
        for shard in range(first, shards):
            rows = min(pixels.SHARD_ROWS, request.count - shard * pixels.SHARD_ROWS)
            rng = np.random.default_rng(np.random.SeedSequence(request.seed, spawn_key=(shard,)))
            rows_drawn, stamps = redraw_candidates(samples, rows, request.real_share, rng)
            pixels.grow(array, (shard + 1) * pixels.SHARD_ROWS)
            pixels.write_shard(array, shard * pixels.SHARD_ROWS, stamps)
            drawn.append(pa.table({"id": samples.ids[rows_drawn], "real": samples.real[rows_drawn]}))
            advance(1)
            if shard == shards - 1:
                array.resize((request.count, *array.shape[1:]))
            if shard % _SHARDS_A_STEP == _SHARDS_A_STEP - 1 or shard == shards - 1:
                write_table(folder / MADE, pa.concat_tables(drawn))
                write_json(folder / PROGRESS, {"shards": shard + 1})
