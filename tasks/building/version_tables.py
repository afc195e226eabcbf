"""The tables of the next version: the parent's rows as they are, the harvest's added."""

from itertools import compress

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.building.harvest import Harvest
from tasks.building.plan import BuildParameters, Plan
from tasks.building.sky_groups import link, name_groups
from tasks.building.splits import place, split_by_time
from tasks.store import merging
from tasks.store.columns import align_column, drop_ids, select_ids, to_float
from tasks.store.dataset import Dataset
from tasks.store.schema import SPLIT, STORED, TRUTH
from tasks.store.versions import stored_rows


def assign_groups(ledger: pa.Table, parent: Dataset | None, harvest: Harvest) -> pa.Table:
    """Return the ledger with the group of every stored row.

    Published rows keep their group. A newcomer that would join groups of different parts is rejected as
    ``joins_two_groups``.
    """
    if not harvest.linked:
        return ledger
    columns = ["id", "group", "status", "staged_batch", "ra_deg", "dec_deg", "width_arcsec"]
    linked = ledger.select(columns) if harvest.linked_by_rejected else stored_rows(ledger, columns)
    ids = linked["id"].to_pylist()
    positions = (to_float(linked[name]) for name in ("ra_deg", "dec_deg", "width_arcsec"))
    is_stored = pc.equal(linked["status"], STORED)
    published = linked.filter(pc.and_(is_stored, pc.is_null(linked["staged_batch"])))
    published_group = dict(zip(published["id"].to_pylist(), published["group"].to_pylist(), strict=True))
    split = None if parent is None else parent.split()
    parts = {} if split is None else dict(zip(split["group"].to_pylist(), split["part"].to_pylist(), strict=True))
    groups, joins_two = name_groups(ids, link(*positions), published_group, parts)
    named = pa.table({"id": linked["id"], "group": pa.array(groups, pa.string())}).filter(is_stored)
    ledger = merging.with_columns(ledger, {"group": align_column(named, "group", ledger["id"])})
    rejected = compress(ids, np.logical_and(joins_two, is_stored.to_numpy()))
    return merging.reject(ledger, dict.fromkeys(rejected, "joins_two_groups"))


def merge_labels(harvest: Harvest, parent: Dataset | None) -> dict[str, pa.Table]:
    """Return the label tables of every scheme: published labels stay, new ones of the plan's scheme are added.

    A published row of a label that did not change also gets the columns that only the harvest has.
    """
    tables = {} if parent is None else parent.every_label_table()
    scheme, labels = harvest.plan.scheme, harvest.labels
    if scheme is not None and labels is not None:
        if scheme in tables:
            published = _with_new_columns(tables[scheme], labels)
            added = drop_ids(labels, published["id"])
            for field in published.schema:
                if field.name not in added.column_names:
                    added = added.append_column(field, pa.nulls(added.num_rows, field.type))
            labels = pa.concat_tables([published, added.select(published.column_names).cast(published.schema)])
        tables[scheme] = merging.set_aside(labels.sort_by("id"), harvest.plan.staging, "labels")
    return tables


def _with_new_columns(published: pa.Table, labels: pa.Table) -> pa.Table:
    """Return published labels with the columns that only `labels` has, null where the label is another there."""
    same = pc.fill_null(pc.equal(align_column(labels, "label", published["id"]), published["label"]), False)
    for name in [name for name in labels.column_names if name not in published.column_names]:
        published = published.append_column(name, pc.if_else(same, align_column(labels, name, published["id"]), None))
    return published


def merge_classes(plan: Plan[BuildParameters], parent: Dataset | None) -> dict[str, list[str]]:
    """Return the classes of every scheme of the next version."""
    classes = {} if parent is None else {scheme: parent.classes(scheme) for scheme in parent.schemes}
    return classes if plan.scheme is None else classes | {plan.scheme: plan.classes}


def groups_per_class(parent: Dataset | None) -> dict[str, dict[str, int]]:
    """Count the groups of each class of each scheme in the parent version; empty without a split."""
    split = None if parent is None else parent.split()
    if parent is None or split is None:
        return {}
    groups = {}
    for scheme in parent.schemes:
        table = parent.labels(scheme)
        group = align_column(split, "group", table["id"])
        labelled = pa.table({"label": table["label"], "group": group}).drop_null()
        counts = labelled.group_by("label").aggregate([("group", "count_distinct")]).to_pydict()
        groups[scheme] = dict(zip(counts["label"], counts["group_count_distinct"], strict=True))
    return groups


def split_seed(parent: Dataset | None, seed: int) -> int:
    """Return the seed with which the dataset's split was drawn, or `seed` if there is no split yet.

    A manifest without ``split_seed`` has it in the ``parameters`` of the first version that has a split.
    """
    version = parent
    while version is not None and version.manifest["split_hash"] is not None:
        if "split_seed" in version.manifest:
            return int(version.manifest["split_seed"])
        seed = int(version.manifest["parameters"]["seed"])
        version = version.parent()
    return seed


def extend_split(
    ledger: pa.Table, parent: Dataset | None, labels: pa.Table | None, harvest: Harvest
) -> pa.Table | None:
    """Return the split of every stored row (`SPLIT`), or None before the first scheme.

    Parameters
    ----------
    ledger : Table
        Columns id, group and status.
    labels : Table or None
        Columns id and label of the plan's scheme, by which a first split is stratified.
    """
    published = None if parent is None else parent.split()
    if published is None and labels is None:
        return None
    stored = stored_rows(ledger, ["id", "group"]).combine_chunks()
    groups = stored["group"].combine_chunks()
    classes = (
        pa.nulls(len(groups), pa.string())
        if labels is None
        else align_column(labels, "label", stored["id"]).combine_chunks()
    )
    prefix = harvest.test_only
    free = pc.invert(pc.starts_with(groups, prefix)) if prefix else pa.array(np.ones(len(groups), bool))
    seed = split_seed(parent, harvest.plan.request.seed)
    parts = place(groups.filter(free), classes.filter(free), published, seed)
    part = pc.replace_with_mask(pa.array(["test"] * len(groups), pa.string()), free, parts)
    return merging.set_aside(pa.table([stored["id"], groups, part], schema=SPLIT), harvest.plan.staging, "split")


def split_nights(ledger: pa.Table, harvest: Harvest) -> pa.Table | None:
    """Return the split by night of the stored rows (`SPLIT`), or None where there are no nights or too few."""
    if "night" not in ledger.column_names:
        return None
    stored = stored_rows(ledger, ["id", "group", "night"])
    stored = stored.filter(pc.is_valid(stored["night"])).combine_chunks()
    parts = split_by_time(stored["group"].combine_chunks(), stored["night"].combine_chunks())
    table = pa.table([stored["id"], stored["group"], parts], schema=SPLIT)
    table = table.filter(pc.is_valid(table["part"]))
    return merging.set_aside(table, harvest.plan.staging, "split_by_time") if table.num_rows else None


def merge_truth(truth: pa.Table | None, parent: Dataset | None, ledger: pa.Table) -> pa.Table | None:
    """Return the hidden truth of the stored rows (`TRUTH`): the parent's, and what `truth` adds."""
    published = None if parent is None else parent.truth()
    tables = [] if published is None else [published]
    if truth is not None:
        tables.append((truth if published is None else drop_ids(truth, published["id"])).cast(TRUTH))
    if not tables:
        return None
    return select_ids(pa.concat_tables(tables), stored_rows(ledger, ["id"])["id"]).sort_by("id")
