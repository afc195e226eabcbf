"""From staged batches to a published version: the steps that `tasks.stages.datasets.publish` takes in order."""

import gc
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from expectations.results import ValidationResult, require
from tasks.building.harvest import Harvest, balanced_account, class_counts
from tasks.building.plan import BuildParameters, Plan
from tasks.building.split_advice import split_advice
from tasks.building.validate import STATISTICS, validate_images, validate_version
from tasks.building.version_tables import groups_per_class, merge_classes, split_seed
from tasks.runtime.cluster import Executor
from tasks.runtime.progress import progress
from tasks.runtime.provenance import code_version
from tasks.runtime.workspace import Workspace
from tasks.store import merging, pixels
from tasks.store.dataset import Dataset
from tasks.store.errors import ShardTakenError, StoreError
from tasks.store.packing import shard_jobs, write_shard_job
from tasks.store.schema import VERSIONS
from tasks.store.versions import stored_rows


def finished_summary(workspace: Workspace, plan: Plan[BuildParameters]) -> dict[str, Any]:
    """Return the summary of a request that the published version already holds, and clear its staging folder."""
    summary = summary_of(Dataset.open(workspace, plan.dataset), plan.digest) | {"requests": 0}
    plan.staging.clear()
    return summary


def summary_of(version: Dataset, digest: str) -> dict[str, Any]:
    """Return the summary of a finished request, by the digest of its plan."""
    account: dict[str, Any] = version.manifest["builds"][digest]
    path = version.path if version.objects is None else version.objects / VERSIONS / version.path.name
    note = {name: version.manifest[name] for name in ("object_store",) if name in version.manifest}
    return {"dataset": version.name, "path": str(path), "version": version.version, **account, **note}


def is_unchanged(ledger: pa.Table, published: pa.Table) -> bool:
    """Tell whether two ledgers have the same ids, each with the same status and reason."""
    columns = ["id", "status", "reason"]
    return bool(ledger.select(columns).sort_by("id").equals(published.select(columns).sort_by("id")))


def reject_flawed_images(
    ledger: pa.Table, published: pa.Table | None, harvest: Harvest
) -> tuple[pa.Table, ValidationResult]:
    """Return the ledger without the rows that fail an expectation on images, and the results."""
    published_ids = None if published is None else stored_rows(published, ["id"])["id"].combine_chunks()
    statistics = [name for name in STATISTICS if name in ledger.column_names]
    stored = merging.set_aside(stored_rows(ledger, statistics), harvest.plan.staging, "statistics")
    images = validate_images(stored, published_ids, least_finite_fraction=harvest.least_finite_fraction)
    gc.collect()  # Great Expectations leaves the frame in a cycle
    return merging.reject(ledger, images.row_failures), images


def first_new_row(store: pixels.PixelStore, harvest: Harvest, published: pa.Table | None, ledger: pa.Table) -> int:
    """Return the array row at which the new samples begin.

    Parameters
    ----------
    store : Path or ObjectFolder
        The pixel store; created if it does not exist. One of objects has builders that know nothing of each other: each
        claims rows of its own.
    published : Table or None
        The parent's ledger.
    ledger : Table
        Columns status and row, null for a new sample.
    """
    if not pixels.has_array(store):
        create = pixels.create if isinstance(store, Path) else pixels.create_objects
        create(store, harvest.sample_shape, harvest.dtype)  # type: ignore[arg-type]  # each has its kind of store
    if isinstance(store, Path):
        return merging.next_free_row(published)
    array = pixels.open_array(store)
    if array.shape[1:] != harvest.sample_shape or array.dtype != harvest.dtype:
        raise StoreError(
            f"{store} holds samples of shape {array.shape[1:]} and type {array.dtype}, this build's have "
            f"{harvest.sample_shape} and {harvest.dtype}: build under another name"
        )
    count = int(pc.sum(pc.is_null(stored_rows(ledger, ["row", "status"])["row"])).as_py() or 0)
    claim = partial(pixels.claim_rows, store)
    return harvest.plan.staging.rows(count, claim) if count else merging.next_free_row(published)


def pack_pixels(store: pixels.PixelStore, harvest: Harvest, executor: Executor, ledger: pa.Table) -> int:
    """Write the new rows' pixels into shards and return the array's length.

    Parameters
    ----------
    store : Path or ObjectFolder
        The pixel store.
    ledger : Table
        Columns row, status and `tasks.store.merging.PLACE`.

    Raises
    ------
    ShardTakenError
        Another build wrote a shard of these rows into an object store; the next run takes others.
    """
    stored = stored_rows(ledger, ["row", *merging.PLACE.names])
    new = stored.filter(pc.is_valid(stored["staged_batch"]))
    rows, batches, positions = (column.to_numpy() for column in new.columns)
    if len(rows):
        if isinstance(store, Path):
            pixels.grow(pixels.open_array(store, writable=True), int(rows[-1]) + 1)
        jobs = shard_jobs(store, harvest.plan.staging, int(rows[0]), batches, positions)
        try:
            with progress("packing", len(rows)) as advance:
                for written in executor.map(write_shard_job, jobs):
                    advance(written)
        except ShardTakenError:
            harvest.plan.staging.forget_rows()
            raise
    return int(pixels.open_array(store).shape[0])


def validate_tables(
    harvest: Harvest,
    parent: Dataset | None,
    ledger: pa.Table,
    labels: Mapping[str, pa.Table],
    split: pa.Table | None,
    array_rows: int,
) -> list[ValidationResult]:
    """Validate the next version's tables, with the problem's own results.

    Parameters
    ----------
    ledger, labels, split
        As they are to be published; labels by scheme.
    array_rows : int
        Length of the pixel array.

    Raises
    ------
    ValidationFailed
        An expectation on a set does not hold.
    """
    results = validate_version(
        ledger,
        labels,
        merge_classes(harvest.plan, parent),
        split,
        array_rows=array_rows,
        published=None if parent is None else parent.split(),
        test_only=harvest.test_only,
        expected=groups_per_class(parent),
        raw_kept=harvest.raw_kept,
    )
    results = [*harvest.validations, *results]
    require(results)
    return results


def build_manifest(
    harvest: Harvest,
    parent: Dataset | None,
    ledger: pa.Table,
    labels: Mapping[str, pa.Table],
    split: pa.Table | None,
    requests: int,
) -> dict[str, Any]:
    """Return the manifest's entries: the problem's, the schemes, the split's seed, and the account of each request."""
    plan = harvest.plan
    schemes = {} if parent is None else dict(parent.manifest["schemes"])
    builds = {} if parent is None else dict(parent.manifest["builds"])
    scheme_labels = None if plan.scheme is None else labels[plan.scheme]
    if scheme_labels is not None:
        scheme = plan.facts["scheme"]
        counts = class_counts(ledger, scheme_labels, scheme["classes"])
        stated = {name: scheme[name] for name in ("digest", "classes", "mirror") if name in scheme}
        schemes[scheme["name"]] = stated | {"counts": counts}
    account = balanced_account(harvest, ledger, scheme_labels, split)
    advice = split_advice(split, harvest.enough_groups)
    if advice is not None:
        account |= {"split_advice": advice}
    builds.pop(plan.digest, None)  # of a build that runs again: the newest is the last
    builds[plan.digest] = account | {"requests": requests, "seconds": round(plan.seconds, 1)}
    return {
        **harvest.manifest,
        "schemes": schemes,
        "split_seed": None if split is None else split_seed(parent, plan.request.seed),
        "test_only": harvest.test_only,
        "split_advice": advice,
        "code_version": code_version(),
        "builds": builds,
    }
