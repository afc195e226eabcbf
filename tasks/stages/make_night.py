"""Drawing a night of any length from a simulated survey, as a Zarr array that scoring reads like any other.

Row n follows from seed and n alone, so a night that was cut short goes on where it was.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from prefect import task
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel, ConfigDict, Field

from realbogus.records import BOGUS, REAL
from realbogus.simulation.redrawing import Samples, draw
from tasks.runtime.progress import progress
from tasks.runtime.workspace import Workspace
from tasks.store import pixels
from tasks.store.dataset import Dataset
from tasks.store.errors import StoreError
from tasks.store.files import write_json, write_table
from tasks.store.versions import stored_rows

MADE, PROGRESS = "made.parquet", "made.json"
_SHARDS_A_STEP = 100


class NightToMake(BaseModel):
    """What a night is drawn from, and how long it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    count: int = Field(ge=1, le=10_000_000)
    real_share: float = Field(default=0.01, ge=0, le=1)
    seed: int = Field(default=0, ge=0)


@task(name="make-night", description="Draw candidates from a simulated survey", cache_policy=NO_CACHE)
def make_night(workspace: Workspace, request: NightToMake) -> dict[str, Any]:
    """Draw a night and return where it lies; one that was made before is kept.

    Raises
    ------
    StoreError
        The dataset has no hidden truth, as it is no simulation.
    """
    dataset = Dataset.open(workspace, request.dataset)
    told = json.dumps([dataset.digest, request.count, request.real_share, request.seed])
    name = f"{dataset.name}-{request.count}-{hashlib.sha256(told.encode()).hexdigest()[:8]}"
    folder = workspace.root / "nights" / f"{name}.zarr"
    height, width, planes = dataset.pixels.shape[1:]
    if not folder.exists():
        array = pixels.create(folder, (height, width, planes), "float32")
        array.attrs["pixels"] = f"{dataset.manifest['pixels']}, redrawn"
    done, wanted = _done(folder), pixels.shards_for(request.count)
    if done < wanted:
        _draw_shards(folder, samples_of(dataset), request, done, wanted)
        pixels.open_array(folder, writable=True).resize((request.count, height, width, planes))
    reals = int(pc.sum(pq.read_table(folder / MADE)["real"]).as_py())
    return {"path": str(folder), "count": request.count, "reals": reals, "dataset": f"{dataset.name}@{dataset.version}"}


def samples_of(dataset: Dataset) -> Samples:
    """Return a dataset's true transients and bogus by its hidden truth; blends and what else is unclear are left out.

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
    stamps = np.asarray(dataset.pixels[:])[table["row"].to_numpy()]
    return Samples(np.array(table["id"].to_pylist()), stamps, np.array(table["truth"].to_pylist()) == REAL)


def _done(folder: Path) -> int:
    path = folder / PROGRESS
    return int(json.loads(path.read_text(encoding="ascii"))["shards"]) if path.exists() else 0


def _draw_shards(folder: Path, samples: Samples, request: NightToMake, done: int, wanted: int) -> None:
    """Draw and write shards; what is drawn is written down every so often."""
    array = pixels.open_array(folder, writable=True)
    drawn = [pq.read_table(folder / MADE).slice(0, done * pixels.SHARD_ROWS)] if done else []
    with progress("drawing", wanted) as advance:
        advance(done)
        for shard in range(done, wanted):
            rows = min(pixels.SHARD_ROWS, request.count - shard * pixels.SHARD_ROWS)
            rng = np.random.default_rng(np.random.SeedSequence(request.seed, spawn_key=(shard,)))
            chosen, stamps = draw(samples, rows, request.real_share, rng)
            pixels.grow(array, (shard + 1) * pixels.SHARD_ROWS)
            pixels.write_shard(array, shard * pixels.SHARD_ROWS, stamps)
            drawn.append(pa.table({"id": samples.ids[chosen], "real": samples.real[chosen]}))
            advance(1)
            if shard % _SHARDS_A_STEP == _SHARDS_A_STEP - 1 or shard == wanted - 1:
                write_table(folder / MADE, pa.concat_tables(drawn))
                write_json(folder / PROGRESS, {"shards": shard + 1})
