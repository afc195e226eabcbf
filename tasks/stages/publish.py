"""From staged batches to a published version: judge rows, group, pack, split, judge sets, publish."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.cluster import Executor
from tasks.collecting import LEDGER_COLUMNS
from tasks.learning.groups import link, name_groups
from tasks.learning.splits import PARTS, place
from tasks.progress import progress
from tasks.provenance import code_version
from tasks.stages.plan import BuildPlan
from tasks.stages.validate import Verdict, judge_images, judge_version, require, write_validation
from tasks.store import merging, pixels
from tasks.store.dataset import PIXELS, Dataset
from tasks.store.errors import StoreError
from tasks.store.packing import shard_jobs, write_shard_job
from tasks.store.schema import REJECTED, SPLIT
from tasks.store.versions import NewVersion, publish, stored_rows
from tasks.workspace import Workspace

LABEL_COLUMNS = ("id", "label", "vote_fraction", "votes_at_node")


@task(
    name="publish",
    description="Validate, pack into Zarr shards, split, and publish the next version",
    cache_policy=NO_CACHE,
)
def publish_build(
    workspace: Workspace, plan: BuildPlan, executor: Executor, counts: dict[str, int], truth: Path | None
) -> dict[str, Any]:
    """Publish what the plan's batches brought; return the build's summary."""
    parent = None if plan.facts["parent"] is None else Dataset.open(workspace, plan.dataset)
    published = None if parent is None else parent.samples()
    ledger, places = _gathered(plan, published)
    ledger, images = _judged_rows(ledger, published)
    ledger = _grouped(ledger, parent, places)
    if parent is not None and plan.facts["finished_before"] and _same_outcome(ledger, published):
        plan.staging.clear()
        return summary_of(parent, plan.facts["digest"]) | {"requests": counts["requests"]}
    _refuse_too_few(ledger, plan)
    ledger = merging.give_rows(ledger, merging.next_free_row(published))
    folder = workspace.datasets / plan.dataset
    array_rows = _pack(folder, plan, executor, ledger, places)
    labels = _labels(plan, parent)
    split = _split(ledger, parent, labels.get(plan.scheme or ""), plan)
    sets = judge_version(
        ledger,
        labels,
        _classes(plan, parent),
        split,
        array_rows=array_rows,
        drawn=parent is None or parent.split() is None,
    )
    require(sets)
    version = publish(
        folder,
        NewVersion(
            ledger,
            labels,
            split,
            _manifest(plan, parent, labels, ledger, counts, split),
            _truth(truth, ledger),
            lambda target: write_validation([images, *sets], target, f"Validation of {folder.name}"),
        ),
        parent,
    )
    plan.staging.clear()
    return summary_of(version, plan.facts["digest"])


def finished_summary(workspace: Workspace, plan: BuildPlan) -> dict[str, Any]:
    """Return the summary of a request that the published version holds already; nothing was asked for."""
    plan.staging.clear()
    return summary_of(Dataset.open(workspace, plan.dataset), plan.facts["digest"]) | {"requests": 0}


def summary_of(version: Dataset, digest: str) -> dict[str, Any]:
    """Return the summary of a request that `version` has finished."""
    kept: dict[str, Any] = version.manifest["builds"][digest]
    return {"dataset": version.name, "path": str(version.path), "version": version.version, **kept}


def _gathered(plan: BuildPlan, published: pa.Table | None) -> tuple[pa.Table, dict[str, tuple[int, int]]]:
    """Return the ledger as merged with what is published, and where new samples are staged."""
    asked = len(plan.rows_to_ask())
    ledger, places = merging.gather(plan.staging, (number for number, _ in plan.batch_starts(asked)), LEDGER_COLUMNS)
    if ledger.num_rows != asked:
        raise StoreError(f"{asked} objects were asked for and {ledger.num_rows} came back; run the same build again")
    left_out = plan.rows.filter(pc.is_valid(plan.rows["left_out"]))
    if published is not None:
        known = stored_rows(published)["id"].combine_chunks()
        left_out = left_out.filter(pc.invert(pc.is_in(left_out["id"], known)))
    now = datetime.now(UTC)
    rows = [
        {name: row.get(name) for name in LEDGER_COLUMNS.names}
        | {"source": plan.source, "parameters": "{}", "status": REJECTED, "attempts": 0, "finished_at": now}
        | {"reason": row["left_out"]}
        for row in left_out.to_pylist()
    ]
    new = pa.concat_tables([ledger, pa.Table.from_pylist(rows, LEDGER_COLUMNS)])
    return merging.merge(published, new), places


def _same_outcome(ledger: pa.Table, published: pa.Table) -> bool:
    """Tell whether asking again changed nothing."""
    columns = ["id", "status", "reason"]
    return bool(ledger.select(columns).sort_by("id").equals(published.select(columns).sort_by("id")))


def _judged_rows(ledger: pa.Table, published: pa.Table | None) -> tuple[pa.Table, Verdict]:
    """Reject the rows that fail an expectation on images."""
    known = [] if published is None else stored_rows(published)["id"].to_pylist()
    images = judge_images(stored_rows(ledger), known)
    return merging.reject(ledger, images.row_failures), images


def _grouped(ledger: pa.Table, parent: Dataset | None, places: dict[str, tuple[int, int]]) -> pa.Table:
    """Name the group of every stored row and reject newcomers that would join groups of different parts."""
    stored = stored_rows(ledger)
    ids = stored["id"].to_pylist()
    positions = (_floats(stored, name) for name in ("ra_deg", "dec_deg", "width_arcsec"))
    known = {
        sample_id: group
        for sample_id, group in zip(ids, stored["group"].to_pylist(), strict=True)
        if sample_id not in places
    }
    split = None if parent is None else parent.split()
    parts = {} if split is None else dict(zip(split["group"].to_pylist(), split["part"].to_pylist(), strict=True))
    groups, torn = name_groups(ids, link(*positions), known, parts)
    group_of = dict(zip(ids, groups, strict=True))
    ledger = merging.with_columns(
        ledger, {"group": [group_of.get(sample_id) for sample_id in ledger["id"].to_pylist()]}
    )
    torn_ids = [sample_id for sample_id, is_torn in zip(ids, torn, strict=True) if is_torn]
    return merging.reject(ledger, dict.fromkeys(torn_ids, "joins_two_groups"))


def _refuse_too_few(ledger: pa.Table, plan: BuildPlan) -> None:
    """Stop when nothing, or less than was asked for, is left to store."""
    ids = plan.rows["id"].combine_chunks()
    mine = ledger.filter(pc.is_in(ledger["id"], ids))
    stored = stored_rows(mine).num_rows
    least = max(1, plan.facts["request"]["min_stored_fraction"] * mine.num_rows)
    if stored < least:
        reasons = Counter(mine["reason"].drop_null().to_pylist()).most_common(4)
        told = ", ".join(f"{reason} {count}" for reason, count in reasons)
        raise StoreError(
            f"{stored} of {mine.num_rows} objects are left, at least {least:.0f} are needed; rejected: {told}"
        )


def _pack(
    folder: Path, plan: BuildPlan, executor: Executor, ledger: pa.Table, places: dict[str, tuple[int, int]]
) -> int:
    """Write the new rows' pixels into shards; return the array's length."""
    store = folder / PIXELS
    if not store.exists():
        pixels.create(store, (plan.size_px, plan.size_px, 3), "uint8")
    array = pixels.open_array(store, writable=True)
    stored = stored_rows(ledger)
    new = [
        (row, places[sample_id])
        for sample_id, row in zip(stored["id"].to_pylist(), stored["row"].to_pylist(), strict=True)
        if sample_id in places
    ]
    if new:
        pixels.grow(array, new[-1][0] + 1)
        jobs = shard_jobs(store, plan.staging, new[0][0], (where for _, where in new))
        with progress("packing", len(new)) as advance:
            for written in executor.map(write_shard_job, jobs):
                advance(written)
    return int(pixels.open_array(store).shape[0])


def _labels(plan: BuildPlan, parent: Dataset | None) -> dict[str, pa.Table]:
    """Return every scheme's labels: those published stay as they are, this scheme's new ones are added."""
    labels = {} if parent is None else parent.every_label_table()
    if plan.scheme is not None:
        mine = plan.rows.select(LABEL_COLUMNS)
        if plan.scheme in labels:
            old = labels[plan.scheme]
            fresh = mine.filter(pc.invert(pc.is_in(mine["id"], old["id"].combine_chunks())))
            mine = pa.concat_tables([old, fresh.cast(old.schema)])
        labels[plan.scheme] = mine.sort_by("id").combine_chunks()
    return labels


def _classes(plan: BuildPlan, parent: Dataset | None) -> dict[str, list[str]]:
    """Return the classes of every scheme of the new version."""
    known = {} if parent is None else {scheme: parent.classes(scheme) for scheme in parent.schemes}
    return known if plan.scheme is None else known | {plan.scheme: plan.facts["scheme"]["classes"]}


def _split(ledger: pa.Table, parent: Dataset | None, labels: pa.Table | None, plan: BuildPlan) -> pa.Table | None:
    """Return the split of every stored row, or None before the first scheme."""
    old = None if parent is None else parent.split()
    if old is None and labels is None:
        return None
    stored = stored_rows(ledger).sort_by("id")
    ids, groups = stored["id"].to_pylist(), stored["group"].to_pylist()
    known = {} if old is None else dict(zip(old["group"].to_pylist(), old["part"].to_pylist(), strict=True))
    label_of = {} if labels is None else dict(zip(labels["id"].to_pylist(), labels["label"].to_pylist(), strict=True))
    parts = place(groups, [label_of.get(sample_id) for sample_id in ids], known, plan.facts["request"]["seed"])
    return pa.table([ids, groups, [parts[group] for group in groups]], schema=SPLIT)


def _truth(truth: Path | None, ledger: pa.Table) -> pa.Table | None:
    """Return the hidden truth of the stored rows, for simulated sources."""
    if truth is None:
        return None
    table = pq.read_table(truth, columns=["id", "truth"])
    stored = stored_rows(ledger)["id"].combine_chunks()
    known = table.filter(pc.is_in(table["id"], stored)).sort_by("id")
    return known.append_column("origin", pa.array(["simulated"] * known.num_rows))


def _manifest(
    plan: BuildPlan,
    parent: Dataset | None,
    labels: dict[str, pa.Table],
    ledger: pa.Table,
    counts: dict[str, int],
    split: pa.Table | None,
) -> dict[str, Any]:
    """Return what the publisher cannot know of a galaxy dataset."""
    request = plan.facts["request"]
    archive = plan.source == "archive"
    schemes = {} if parent is None else dict(parent.manifest["schemes"])
    if plan.scheme is not None:
        scheme = plan.facts["scheme"]
        schemes[plan.scheme] = {
            "digest": scheme["digest"],
            "classes": scheme["classes"],
            "counts": class_counts(ledger, labels[plan.scheme], scheme["classes"]),
        }
    summary = _summary(plan, ledger, labels, split) | {
        "requests": counts["requests"],
        "seconds": round(plan.seconds, 1),
    }
    first = {} if parent is None else {name: parent.manifest[name] for name in ("source", "release", "field")}
    return {
        "problem": "galaxy",
        "pixels": "simulated" if plan.source == "simulated" else "real",
        "label_kind": "votes",
        "source": plan.source,
        "release": None if archive else plan.facts["release"],
        "field": None if archive else request["field"],
        "request_px": None if archive else request["request_px"],
        "size_px": plan.size_px,
        "crop_fraction": plan.crop_fraction,
        "schemes": schemes,
        "parameters": request | {"catalog": plan.facts["catalog"], "catalog_sha256": plan.facts["catalog_sha256"]},
        "code_version": code_version(),
        "builds": {**({} if parent is None else parent.manifest["builds"]), plan.facts["digest"]: summary},
        **first,
    }


def _summary(plan: BuildPlan, ledger: pa.Table, labels: dict[str, pa.Table], split: pa.Table | None) -> dict[str, Any]:
    """Return the account of the request's own objects, which must balance."""
    mine = ledger.filter(pc.is_in(ledger["id"], plan.rows["id"].combine_chunks())).sort_by("id")
    left_out = dict(zip(plan.rows["id"].to_pylist(), plan.rows["left_out"].to_pylist(), strict=True))
    reasons = [
        left_out[sample_id] or reason
        for sample_id, reason in zip(mine["id"].to_pylist(), mine["reason"].to_pylist(), strict=True)
    ]
    rejected = dict(Counter(reason for reason in reasons if reason).most_common())
    stored = reasons.count(None)
    if stored + sum(rejected.values()) != plan.facts["objects"]:
        raise StoreError(
            f"{plan.facts['objects']} objects, {stored} stored, {sum(rejected.values())} rejected: no balance"
        )
    classes = {} if plan.scheme is None else class_counts(mine, labels[plan.scheme], plan.facts["scheme"]["classes"])
    parts = None
    if split is not None:
        chosen = {sample_id for sample_id, why in zip(mine["id"].to_pylist(), reasons, strict=True) if why is None}
        in_part = Counter(
            part
            for sample_id, part in zip(split["id"].to_pylist(), split["part"].to_pylist(), strict=True)
            if sample_id in chosen
        )
        parts = {part: in_part[part] for part in PARTS}
    return {
        "objects": plan.facts["objects"],
        "stored": stored,
        "rejected": rejected,
        "split": parts,
        "scheme": plan.scheme,
        "classes": classes,
        "pixels": "simulated" if plan.source == "simulated" else "real",
    }


def class_counts(ledger: pa.Table, labels: pa.Table, classes: Iterable[str]) -> dict[str, int]:
    """Count the stored samples of each class."""
    stored = stored_rows(ledger)["id"].combine_chunks()
    counted = Counter(labels.filter(pc.is_in(labels["id"], stored))["label"].to_pylist())
    return {name: counted[name] for name in classes}


def _floats(table: pa.Table, name: str) -> np.ndarray:
    return np.asarray(table[name].to_numpy(zero_copy_only=False), np.float64)
