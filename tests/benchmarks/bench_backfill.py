"""Backfill of a scheme for 46,000 objects whose pixels are all stored: time of the flow, and of the whole command.

The first command, for the plan alone, starts the workspace's server.
"""

import json
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from galaxy.labels.labelling import label_rows
from galaxy.labels.schemes import load_scheme
from galaxy.simulation.synthetic_sky import synthetic_sky
from tasks.galaxies.building.collect import LEDGER_COLUMNS
from tasks.galaxies.building.plan import read_catalog
from tasks.ingest.catalogs import ingest_into_workspace
from tasks.runtime.workspace import Workspace
from tasks.store import merging, pixels, versions
from tasks.store.dataset import Dataset
from tasks.store.files import write_table
from tasks.store.schema import GALAXY, SPLIT
from tests.benchmarks.scene import command, flow_words
from tests.small_galaxies import build_request

OBJECTS, SIZE_PX = 46_000, 16
FIRST, SECOND = "deck-3", "deck-7"
PARTS = ["train"] * 8 + ["validation", "test"]


def run(objects: int = OBJECTS) -> dict[str, float]:
    """Return the seconds of the flow and of its command, and whether the shards are as they were."""
    with tempfile.TemporaryDirectory() as name:
        workspace = Workspace(Path(name) / "workspace")
        before = publish_sky(workspace, objects)
        shards = {path: path.stat().st_mtime_ns for path in (before.path.parents[1] / "pixels.zarr").rglob("c/*/*/*/*")}
        words = flow_words("backfill-class-scheme", dataset="bench", scheme=SECOND)
        plan = command(workspace.root, *words, "-p", "plan_only=true")
        begun = time.perf_counter()
        summary = command(workspace.root, *words)
        took = time.perf_counter() - begun
        command(workspace.root, "down")
        same = all(path.stat().st_mtime_ns == when for path, when in shards.items())
    return {
        "objects": summary["objects"],
        "fetched": summary["fetched"],
        "labelled": summary["labelled"],
        "plan_s": plan["seconds"],
        "flow_s": summary["seconds"],
        "command_s": took,
        "shards_untouched": float(same and bool(shards)),
    }


def publish_sky(workspace: Workspace, objects: int, size_px: int = SIZE_PX, dataset: str = "bench") -> Dataset:
    """Publish a dataset of a synthetic sky's galaxies with random pixels, labelled for `FIRST`."""
    tables = synthetic_sky(objects, 1)
    for name, table in (("votes", tables.votes), ("metadata", tables.metadata)):
        write_table(workspace.root / f"{name}.parquet", table)
    paths = [str(workspace.root / f"{name}.parquet") for name in ("votes", "metadata")]
    ingested = ingest_into_workspace(workspace, dataset, paths[:1], paths[1])
    table = read_catalog(Path(ingested["path"])).sort_by("id")
    ids, count = table["id"], table.num_rows
    samples = np.random.default_rng(0).integers(1, 255, (count, size_px, size_px, 3), np.uint8)
    ledger = pa.table(
        {
            field.name: table[field.name].cast(field.type)
            if field.name in table.column_names
            else pa.nulls(count, field.type)
            for field in LEDGER_COLUMNS
        }
    )
    digests = [f"{number:064x}" for number in range(count)]
    width = pa.array(np.full(count, 40.0))
    ledger = merging.with_columns(
        ledger,
        {
            "group": ids,
            "status": ["stored"] * count,
            "source": ["sdss"] * count,
            "parameters": ["{}"] * count,
            "raw_sha256": digests,
            "pixel_sha256": digests,
            "width_arcsec": width,
            "blank_fraction": [0.0] * count,
            "mean": [100.0] * count,
            "std": [30.0] * count,
        },
    )
    ledger = merging.give_rows(ledger, 0)
    folder = workspace.datasets / dataset
    array = pixels.create(folder / "pixels.zarr", (size_px, size_px, 3), "uint8")
    pixels.grow(array, count)
    for first in range(0, count, pixels.SHARD_ROWS):
        pixels.write_shard(array, first, samples[first : first + pixels.SHARD_ROWS])
    scheme = load_scheme(FIRST)
    labels = label_rows(scheme, table).select(["id", "label", "vote_fraction", "votes_at_node"])
    split = pa.table([ids, ids, pa.array([PARTS[number % 10] for number in range(count)])], schema=SPLIT)
    request = build_request(dataset=dataset, scheme=FIRST, size_px=size_px)
    manifest = {
        "problem": GALAXY,
        "pixels": "real",
        "label_kind": "votes",
        "source": "sdss",
        "release": "dr17",
        "field": "petrosian",
        "request_px": request.request_px,
        "size_px": size_px,
        "crop_fraction": 1.0,
        "schemes": {FIRST: {"digest": scheme.digest, "classes": list(scheme.classes), "counts": {}}},
        "split_seed": 0,
        "builds": {},
        "parameters": request.model_dump(mode="json") | {"catalog": f"{dataset}.parquet"},
    }
    return versions.publish(folder, versions.NewVersion(ledger, {FIRST: labels}, split, manifest), None)


if __name__ == "__main__":
    print(json.dumps(run()))
