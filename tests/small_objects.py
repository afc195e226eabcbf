"""A small dataset on an object store, built without a problem, by processes that can be killed before any write."""

import os
import signal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from obstore.store import S3Store

from tasks.building.builder_turn import prepare_objects
from tasks.runtime.workspace import Workspace
from tasks.store import merging, pixels, versions
from tasks.store.dataset import PIXELS, Dataset, published_number
from tasks.store.locks import one_builder
from tasks.store.packing import shard_jobs, write_shard_job
from tasks.store.places import dataset_objects
from tasks.store.schema import SPLIT
from tasks.store.staging import Staging
from tests.small_ledgers import small_ledger

NAME = "tiny"
SIDE = 4


def image(sample_id: str) -> np.ndarray:
    """The pixels of an id, (4, 4, 3) uint8."""
    return np.random.default_rng([*sample_id.encode()]).integers(1, 255, (SIDE, SIDE, 3), np.uint8)


def build(workspace: Workspace, ids: list[str], request: str = "request") -> Dataset:
    """Add the ids that the dataset lacks, as a build does: stage, pack, publish."""
    with one_builder(workspace.datasets / NAME):
        prepare_objects(workspace, NAME)
        parent = None if published_number(workspace, NAME) is None else Dataset.open(workspace, NAME)
        held = [] if parent is None else parent.samples(["id"])["id"].to_pylist()
        new = sorted({*ids} - {*held})
        if parent is None or new:
            return publish(workspace, parent, new, request)
        _staging(workspace, request).clear()
        return parent


def _staging(workspace: Workspace, request: str) -> Staging:
    objects = dataset_objects(workspace, NAME)
    assert objects is not None
    return Staging(workspace.datasets / NAME / "staging" / request, objects / "staging" / request)


def publish(workspace: Workspace, parent: Dataset | None, ids: list[str], request: str = "request") -> Dataset:
    """Publish the ids as the version after `parent`, whatever has been published meanwhile."""
    folder, objects = workspace.datasets / NAME, dataset_objects(workspace, NAME)
    assert objects is not None
    staging = _staging(workspace, request)
    if not staging.is_finished(0):
        staging.write(0, small_ledger(ids), np.stack([image(name) for name in ids]))
    store = objects / PIXELS
    if not pixels.has_array(store):
        pixels.create_objects(store, (SIDE, SIDE, 3), "uint8")
    first_row = staging.rows(len(ids), lambda count: pixels.claim_rows(store, count))
    batches, positions = np.zeros(len(ids), int), np.arange(len(ids))
    for job in shard_jobs(store, staging, first_row, batches, positions):
        write_shard_job(job)
    old = None if parent is None else parent.samples()
    table = merging.give_rows(merging.merge(old, merging.without_place(staging.ledger(0)), staging), first_row)
    table = table.drop_columns(merging.PLACE.names)
    labels = {"scheme": pa.table({"id": table["id"], "label": pa.array(["E"] * table.num_rows)})}
    split = pa.table([table["id"], table["id"], pa.array(["train"] * table.num_rows)], schema=SPLIT)
    manifest = {"problem": "galaxy", "schemes": {"scheme": {"classes": ["E"]}}}
    new = versions.NewVersion(table, labels, split, manifest)
    version = versions.publish(folder, new, parent, objects)
    staging.clear()
    return version


def holds(dataset: Dataset) -> dict[str, bool]:
    """Tell of each stored id whether its pixels are those of `image`."""
    ids = dataset.samples(["id", "status"]).filter(pc.equal(dataset.samples(["status"])["status"], "stored"))["id"]
    found = dataset.images(ids.to_pylist())
    return {name: np.array_equal(image(name), pixels) for name, pixels in zip(ids.to_pylist(), found, strict=True)}


def die_before_write(step: int) -> None:
    """Kill this process before its write or removal of that number, from 0, on any object store."""
    left = [step]

    def counted(write: Any) -> Any:
        def call(*words: Any, **more: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return write(*words, **more)

        return call

    S3Store.put = counted(S3Store.put)  # type: ignore[method-assign]
    S3Store.delete = counted(S3Store.delete)  # type: ignore[method-assign]


def build_and_die(environment: dict[str, str], ids: list[str], step: int) -> None:
    """Build in a process of its own, which is killed before a write."""
    os.environ.update(environment)
    die_before_write(step)
    build(Workspace.current(), ids)
