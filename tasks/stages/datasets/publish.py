"""Publishing a build: its steps in order, from staged batches to the next version."""

from collections.abc import Callable
from functools import partial
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.building.harvest import Harvest, require_enough
from tasks.building.publish import (
    build_manifest,
    first_new_row,
    is_unchanged,
    pack_pixels,
    reject_flawed_images,
    summary_of,
    validate_tables,
)
from tasks.building.validate import write_validation
from tasks.building.version_tables import assign_groups, extend_split, merge_labels, merge_truth, split_nights
from tasks.runtime.allocator import return_what_is_freed
from tasks.runtime.cluster import Executor
from tasks.runtime.run_log import run_logger
from tasks.runtime.workspace import Workspace
from tasks.store import merging
from tasks.store.dataset import PIXELS
from tasks.store.places import dataset_objects
from tasks.store.versions import NewVersion, publish

MANY_ROWS = 100_000
"""Validating this many rows takes more memory than the workers use; for fewer, restarting them is not worth it."""


@task(
    name="publish",
    description="Validate, pack into Zarr shards, split, and publish the next version",
    cache_policy=NO_CACHE,
)
def publish_build(
    workspace: Workspace, gather: Callable[[], Harvest], executor: Executor, requests: int
) -> dict[str, Any]:
    """Publish what the workers staged and return the build's summary.

    `gather` returns the harvest. `executor` writes the shards; it rests afterwards, and before if there are
    `MANY_ROWS`, so that validation has the memory. `requests` is the number of requests sent to a service.
    """
    return_what_is_freed()
    harvest = gather()
    if harvest.ledger.num_rows >= MANY_ROWS:
        executor.rest()
    plan, folder = harvest.plan, workspace.datasets / harvest.plan.dataset
    objects = dataset_objects(workspace, plan.dataset)
    store = folder / PIXELS if objects is None else objects / PIXELS
    parent = plan.parent(workspace)
    published = merging.published(parent, plan.staging)
    ledger = merging.merge(published, harvest.ledger, plan.staging)
    ledger, images = reject_flawed_images(ledger, published, harvest)
    ledger = assign_groups(ledger, parent, harvest)
    if parent is not None and plan.finished_before and is_unchanged(ledger, published):
        plan.staging.clear()
        return summary_of(parent, plan.digest) | {"requests": requests}
    require_enough(ledger, harvest)
    ledger = merging.give_rows(ledger, first_new_row(store, harvest, published, ledger))
    array_rows = pack_pixels(store, harvest, executor, ledger)
    executor.rest()
    ledger = ledger.drop_columns(merging.PLACE.names)
    labels = merge_labels(harvest, parent)
    split = extend_split(ledger, parent, labels.get(plan.scheme or ""), harvest)
    results = validate_tables(harvest, parent, ledger, labels, split, array_rows)
    manifest = build_manifest(harvest, parent, ledger, labels, split, requests)
    if manifest["split_advice"] is not None:
        run_logger().warning("%s", manifest["split_advice"])
    truth, nights = merge_truth(harvest.truth, parent, ledger), split_nights(ledger, harvest)
    write = partial(write_validation, [images, *results], title=f"Validation of {folder.name}")
    version = publish(folder, NewVersion(ledger, labels, split, manifest, truth, nights, write), parent, objects)
    plan.staging.clear()
    return summary_of(version, plan.digest)
