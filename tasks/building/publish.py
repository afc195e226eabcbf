"""From staged batches to a published version: judge rows, group, pack, split, judge sets, publish."""

import gc
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from prefect import task
from prefect.cache_policies import NO_CACHE

from expectations.split_shares import PARTS
from tasks.building.plan import Plan
from tasks.building.sky_groups import link, name_groups
from tasks.building.splits import place, split_by_time
from tasks.building.validate import STATISTICS, ValidationResult, judge_images, judge_version, require, write_validation
from tasks.runtime.allocator import return_what_is_freed
from tasks.runtime.cluster import Executor
from tasks.runtime.progress import progress
from tasks.runtime.provenance import code_version
from tasks.runtime.workspace import Workspace
from tasks.store import merging, pixels
from tasks.store.columns import align_column, drop_ids, select_ids, to_float
from tasks.store.dataset import PIXELS, Dataset
from tasks.store.errors import StoreError
from tasks.store.packing import shard_jobs, write_shard_job
from tasks.store.schema import SPLIT, TRUTH
from tasks.store.versions import NewVersion, publish, stored_rows, value_counts

Account = Callable[[pa.Table, pa.Table | None, pa.Table | None], dict[str, Any]]


MANY_ROWS = 100_000
"""Judging as many takes more memory than workers; for fewer their starting anew is not worth it."""


@dataclass(frozen=True)
class Harvest:
    """What a build brings, and what only its problem knows.

    Attributes
    ----------
    plan : Plan
    ids : Array of string
        Every id of the request, published or not: what the summary accounts for.
    ledger : Table
        The request's rows that are not published yet: `LEDGER`, the problem's own columns, and where the pixels of
        the stored ones are staged (`tasks.store.merging.PLACE`).
    labels : Table or None
        Labels of the plan's scheme for the request's ids.
    sample_shape, dtype
        Of the pixel array, should it have to be made: (y, x, channel).
    linked : bool
        Groups are found by position; else `ledger` names them.
    raw_kept : bool
        Stored rows name their raw bytes.
    least_finite_fraction : float
        Below it a row is rejected as ``nan``.
    truth : Table or None
        Hidden truth of simulated samples: id, truth, origin.
    manifest : mapping
        The problem's entries.
    accounted : sequence of str
        The ledger's columns that `account` looks at.
    account : function of (those of the request's rows, labels, split)
        Returns the summary but for name, version and time.
    judged : verdicts on what only this problem knows, each of which must hold
    test_only : str
        What the names of those groups begin with that are only judged; empty: there are none.
    """

    plan: Plan
    ids: pa.Array
    ledger: pa.Table
    labels: pa.Table | None
    sample_shape: tuple[int, int, int]
    dtype: str
    linked: bool
    raw_kept: bool
    truth: pa.Table | None
    manifest: dict[str, Any]
    accounted: Sequence[str]
    account: Account
    least_finite_fraction: float = 1.0
    judged: Sequence[ValidationResult] = field(default=(), repr=False)
    test_only: str = ""


@task(
    name="publish",
    description="Validate, pack into Zarr shards, split, and publish the next version",
    cache_policy=NO_CACHE,
)
def publish_build(
    workspace: Workspace, gather: Callable[[], Harvest], executor: Executor, requests: int
) -> dict[str, Any]:
    """Publish what a build brought; return its summary.

    Parameters
    ----------
    workspace : Workspace
    gather : function
        Returns what the build's batches left in staging.
    executor : Executor
        Writes the shards. It rests after that, and while `MANY_ROWS` are judged before: that needs the memory alone.
    requests : int
        How often a service was asked, for the summary.
    """
    return_what_is_freed()
    harvest = gather()
    if harvest.ledger.num_rows >= MANY_ROWS:
        executor.rest()
    plan = harvest.plan
    parent = plan.parent(workspace)
    published = merging.published(parent, plan.staging)
    ledger = merging.merge(published, harvest.ledger, plan.staging)
    ledger, images = _judged_rows(ledger, published, harvest)
    ledger = _grouped(ledger, parent, harvest)
    if parent is not None and plan.facts["finished_before"] and _same_outcome(ledger, published):
        plan.staging.clear()
        return summary_of(parent, plan.digest) | {"requests": requests}
    _refuse_too_few(ledger, harvest)
    ledger = merging.give_rows(ledger, merging.next_free_row(published))
    folder = workspace.datasets / plan.dataset
    array_rows = _pack(folder, harvest, executor, ledger)
    executor.rest()
    ledger = ledger.drop_columns(merging.PLACE.names)
    labels = _labels(harvest, parent)
    split = _split(ledger, parent, labels.get(plan.scheme or ""), plan, harvest.test_only)
    sets = judge_version(
        ledger,
        labels,
        _classes(plan, parent),
        split,
        array_rows=array_rows,
        drawn=parent is None or parent.split() is None,
        expected=_groups_before(parent),
        raw_kept=harvest.raw_kept,
    )
    require([*harvest.judged, *sets])
    version = publish(
        folder,
        NewVersion(
            ledger,
            labels,
            split,
            _manifest(harvest, parent, labels, ledger, requests, split),
            _truth(harvest.truth, parent, ledger),
            _split_by_time(ledger, plan),
            lambda target: write_validation([images, *harvest.judged, *sets], target, f"Validation of {folder.name}"),
        ),
        parent,
    )
    plan.staging.clear()
    return summary_of(version, plan.digest)


def finished_summary(workspace: Workspace, plan: Plan) -> dict[str, Any]:
    """Return the summary of a request that the published version holds already; nothing was asked for."""
    plan.staging.clear()
    return summary_of(Dataset.open(workspace, plan.dataset), plan.digest) | {"requests": 0}


def summary_of(version: Dataset, digest: str) -> dict[str, Any]:
    """Return the summary of a request that `version` has finished."""
    kept: dict[str, Any] = version.manifest["builds"][digest]
    return {"dataset": version.name, "path": str(version.path), "version": version.version, **kept}


def _same_outcome(ledger: pa.Table, published: pa.Table) -> bool:
    """Tell whether asking again changed nothing."""
    columns = ["id", "status", "reason"]
    return bool(ledger.select(columns).sort_by("id").equals(published.select(columns).sort_by("id")))


def _judged_rows(ledger: pa.Table, published: pa.Table | None, harvest: Harvest) -> tuple[pa.Table, ValidationResult]:
    """Reject the rows that fail an expectation on images."""
    known = None if published is None else stored_rows(published, ["id"])["id"].combine_chunks()
    statistics = [name for name in STATISTICS if name in ledger.column_names]
    stored = merging.set_aside(stored_rows(ledger, statistics), harvest.plan.staging, "statistics")
    images = judge_images(stored, known, least_finite_fraction=harvest.least_finite_fraction)
    gc.collect()  # Great Expectations leaves the frame in a cycle
    return merging.reject(ledger, images.row_failures), images


def _grouped(ledger: pa.Table, parent: Dataset | None, harvest: Harvest) -> pa.Table:
    """Name the group of every stored row and reject newcomers that would join groups of different parts."""
    if not harvest.linked:
        return ledger
    stored = stored_rows(ledger, ["id", "group", "staged_batch", "ra_deg", "dec_deg", "width_arcsec"])
    ids = stored["id"].to_pylist()
    positions = (to_float(stored[name]) for name in ("ra_deg", "dec_deg", "width_arcsec"))
    old = stored.filter(pc.is_null(stored["staged_batch"]))
    known = dict(zip(old["id"].to_pylist(), old["group"].to_pylist(), strict=True))
    split = None if parent is None else parent.split()
    parts = {} if split is None else dict(zip(split["group"].to_pylist(), split["part"].to_pylist(), strict=True))
    groups, torn = name_groups(ids, link(*positions), known, parts)
    named = pa.table({"id": stored["id"], "group": pa.array(groups, pa.string())})
    ledger = merging.with_columns(ledger, {"group": align_column(named, "group", ledger["id"])})
    return merging.reject(ledger, dict.fromkeys(compress(ids, torn), "joins_two_groups"))


def _refuse_too_few(ledger: pa.Table, harvest: Harvest) -> None:
    """Stop when nothing, or less than was asked for, is left to store."""
    mine = _of_request(ledger, ["id", "status", "reason", "parameters"], harvest)
    stored = stored_rows(mine).num_rows
    least = max(1, harvest.plan.request.get("min_stored_fraction", 0) * mine.num_rows)
    if stored < least:
        reasons = value_counts(mine["reason"].drop_null()).most_common(4)
        told = ", ".join(f"{reason} {count}" for reason, count in reasons)
        first = mine.filter(pc.is_valid(mine["reason"])).slice(0, 1).to_pylist()
        named = "".join("; the first: {id} ({reason}) {parameters}".format(**row) for row in first)
        raise StoreError(
            f"{stored} of {mine.num_rows} samples are left, at least {least:.0f} are needed; rejected: {told}{named}"
        )


def _pack(folder: Path, harvest: Harvest, executor: Executor, ledger: pa.Table) -> int:
    """Write the new rows' pixels into shards; return the array's length."""
    store = folder / PIXELS
    if not store.exists():
        pixels.create(store, harvest.sample_shape, harvest.dtype)
    array = pixels.open_array(store, writable=True)
    stored = stored_rows(ledger, ["row", *merging.PLACE.names])
    new = stored.filter(pc.is_valid(stored["staged_batch"]))
    rows, batches, positions = (column.to_numpy() for column in new.columns)
    if len(rows):
        pixels.grow(array, int(rows[-1]) + 1)
        jobs = shard_jobs(store, harvest.plan.staging, int(rows[0]), batches, positions)
        with progress("packing", len(rows)) as advance:
            for written in executor.map(write_shard_job, jobs):
                advance(written)
    return int(pixels.open_array(store).shape[0])


def _labels(harvest: Harvest, parent: Dataset | None) -> dict[str, pa.Table]:
    """Return every scheme's labels: those published stay as they are, this scheme's new ones are added."""
    labels = {} if parent is None else parent.every_label_table()
    scheme, mine = harvest.plan.scheme, harvest.labels
    if scheme is not None and mine is not None:
        if scheme in labels:
            old = labels[scheme]
            fresh = drop_ids(mine, old["id"])
            mine = pa.concat_tables([old, fresh.cast(old.schema)])
        labels[scheme] = merging.set_aside(mine.sort_by("id"), harvest.plan.staging, "labels")
    return labels


def _classes(plan: Plan, parent: Dataset | None) -> dict[str, list[str]]:
    """Return the classes of every scheme of the new version."""
    known = {} if parent is None else {scheme: parent.classes(scheme) for scheme in parent.schemes}
    return known if plan.scheme is None else known | {plan.scheme: plan.facts["scheme"]["classes"]}


def _groups_before(parent: Dataset | None) -> dict[str, dict[str, int]]:
    """Count the groups of each class of each scheme in the parent version."""
    split = None if parent is None else parent.split()
    if parent is None or split is None:
        return {}
    groups = {}
    for scheme in parent.schemes:
        table = parent.labels(scheme)
        labelled = pa.table({"label": table["label"], "group": align_column(split, "group", table["id"])}).drop_null()
        counted = labelled.group_by("label").aggregate([("group", "count_distinct")]).to_pydict()
        groups[scheme] = dict(zip(counted["label"], counted["group_count_distinct"], strict=True))
    return groups


def _split(
    ledger: pa.Table, parent: Dataset | None, labels: pa.Table | None, plan: Plan, test_only: str
) -> pa.Table | None:
    """Return the split of every stored row, or None before the first scheme."""
    old = None if parent is None else parent.split()
    if old is None and labels is None:
        return None
    stored = stored_rows(ledger, ["id", "group"]).combine_chunks()
    groups = stored["group"].combine_chunks()
    classes = (
        pa.nulls(len(groups), pa.string())
        if labels is None
        else align_column(labels, "label", stored["id"]).combine_chunks()
    )
    free = pc.invert(pc.starts_with(groups, test_only)) if test_only else pa.array(np.ones(len(groups), bool))
    parts = place(groups.filter(free), classes.filter(free), old, plan.request["seed"])
    every = pc.replace_with_mask(pa.array(["test"] * len(groups), pa.string()), free, parts)
    return merging.set_aside(pa.table([stored["id"], groups, every], schema=SPLIT), plan.staging, "split")


def _split_by_time(ledger: pa.Table, plan: Plan) -> pa.Table | None:
    """Return the split by night of the stored rows, or None where the problem has no nights or too few."""
    if "night" not in ledger.column_names:
        return None
    stored = stored_rows(ledger, ["id", "group", "night"])
    stored = stored.filter(pc.is_valid(stored["night"])).combine_chunks()
    parts = split_by_time(stored["group"].combine_chunks(), stored["night"].combine_chunks())
    table = pa.table([stored["id"], stored["group"], parts], schema=SPLIT)
    table = table.filter(pc.is_valid(table["part"]))
    return merging.set_aside(table, plan.staging, "split_by_time") if table.num_rows else None


def _truth(fresh: pa.Table | None, parent: Dataset | None, ledger: pa.Table) -> pa.Table | None:
    """Return the hidden truth of the stored rows: what is published, and what this build adds."""
    before = None if parent is None else parent.truth()
    tables = [] if before is None else [before]
    if fresh is not None:
        tables.append((fresh if before is None else drop_ids(fresh, before["id"])).cast(TRUTH))
    if not tables:
        return None
    truth = pa.concat_tables(tables)
    return select_ids(truth, stored_rows(ledger, ["id"])["id"]).sort_by("id")


def _manifest(
    harvest: Harvest,
    parent: Dataset | None,
    labels: dict[str, pa.Table],
    ledger: pa.Table,
    requests: int,
    split: pa.Table | None,
) -> dict[str, Any]:
    """Return what the publisher cannot know: the problem's entries, the schemes, and the account of each request."""
    plan = harvest.plan
    schemes = {} if parent is None else dict(parent.manifest["schemes"])
    mine = None if plan.scheme is None else labels[plan.scheme]
    if plan.scheme is not None:
        scheme = plan.facts["scheme"]
        schemes[plan.scheme] = {
            "digest": scheme["digest"],
            "classes": scheme["classes"],
            "counts": class_counts(ledger, mine, scheme["classes"]),
        }
    account = _account(harvest, ledger, mine, split) | {"requests": requests, "seconds": round(plan.seconds, 1)}
    return {
        **harvest.manifest,
        "schemes": schemes,
        "code_version": code_version(),
        "builds": {**({} if parent is None else parent.manifest["builds"]), plan.digest: account},
    }


def _account(harvest: Harvest, ledger: pa.Table, labels: pa.Table | None, split: pa.Table | None) -> dict[str, Any]:
    """Return the account of the request's own samples, which must balance."""
    account = harvest.account(_of_request(ledger, harvest.accounted, harvest), labels, split)
    asked = account.get("objects", account.get("asked"))
    stored, rejected = account["stored"], sum(account["rejected"].values())
    if stored + rejected != asked:
        raise StoreError(f"{asked} were asked for, {stored} stored, {rejected} rejected: no balance")
    return account


def _of_request(ledger: pa.Table, columns: Sequence[str], harvest: Harvest) -> pa.Table:
    """Return some columns of the request's own rows."""
    return select_ids(ledger.select(columns), harvest.ids)


def part_counts(split: pa.Table | None, ids: pa.Array) -> dict[str, int] | None:
    """Count the given samples in each part of the split, or return None without one."""
    if split is None:
        return None
    counted = value_counts(select_ids(split.select(["id", "part"]), ids)["part"])
    return {part: counted[part] for part in PARTS}


def class_counts(ledger: pa.Table, labels: pa.Table, classes: Iterable[str]) -> dict[str, int]:
    """Count the stored samples of each class."""
    counted = value_counts(select_ids(labels.select(["id", "label"]), stored_rows(ledger, ["id"])["id"])["label"])
    return {name: counted[name] for name in classes}
