"""Relabelling: a new version of a dataset with changed labels beside the originals.

``labels/SCHEME.NAME.parquet`` holds the label of every labelled sample and, where it was changed, the previous label,
reason, author, round and score. It may also say how a sample counts in the loss: ``weight`` (null: 1) and, instead of
the label alone, ``target_CLASS``, the share of each class (null: the label). The original labels are never overwritten.
"""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.learning.split_parts import SplitPart
from tasks.store.columns import align_column, align_rows, to_bool, to_float
from tasks.store.dataset import Dataset
from tasks.store.errors import StoreError
from tasks.store.locks import one_builder
from tasks.store.object_store.at_work import announced_builder
from tasks.store.object_store.publication import finish_publication
from tasks.store.schema import check_name
from tasks.store.versions import NewVersion, publish

RELABELLING = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("label", pa.string()),
        pa.field("previous", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("score", pa.float64()),
        pa.field("round", pa.int32()),
        pa.field("by", pa.string()),
        pa.field("at", pa.timestamp("us", tz="UTC")),
    ]
)
WEIGHT, TARGET = "weight", "target_"
"""Column of the samples' weights in the loss, and prefix of the columns of their shares of the classes."""
_OF_PUBLISHER = (
    *("format_version", "name", "version", "parent", "digest", "pixel_store", "split_hash"),
    *("asked", "stored", "rejected"),
)


def relabelled(before: pa.Table, changes: pa.Table, at: datetime) -> pa.Table:
    """Return a relabelling: the labels `before` with the `changes`.

    Parameters
    ----------
    before : Table with id and label
        The original labels or an earlier relabelling, which keeps the record of its own changes.
    changes : Table with id, label, reason, score, round, by
        It may have `WEIGHT` and `TARGET` columns; unchanged rows keep those of `before`.
    at : datetime
        Time of the change, for the changed rows.
    """
    aligned = align_rows(changes, before["id"])
    changed = pc.is_valid(aligned["id"])
    columns: dict[str, Any] = {name: aligned[name] for name in ("reason", "score", "round", "by")}
    columns["id"], columns["previous"] = before["id"], before["label"]
    columns["label"] = pc.if_else(changed, aligned["label"], before["label"])
    moment = pa.scalar(at, RELABELLING.field("at").type)
    columns["at"] = pc.if_else(changed, moment, pa.scalar(None, moment.type))
    table = pa.table({field.name: columns[field.name] for field in RELABELLING}).cast(RELABELLING)
    for name in dict.fromkeys([*target_columns(before), *target_columns(changes)]):
        kept = before[name] if name in before.column_names else pa.nulls(before.num_rows, pa.float32())
        given = aligned[name] if name in changes.column_names else pa.nulls(before.num_rows, pa.float32())
        table = table.append_column(name, pc.if_else(changed, given, kept).cast(pa.float32()))
    return table.sort_by("id")


def target_columns(table: pa.Table) -> list[str]:
    """Return the names of the columns that say how samples count in the loss."""
    return [name for name in table.column_names if name == WEIGHT or name.startswith(TARGET)]


def with_targets(part: SplitPart, relabelling: pa.Table, originals: pa.Table, classes: Sequence[str]) -> SplitPart:
    """Return the part with the targets of a relabelling: a row's sum is the sample's weight in the loss.

    Parameters
    ----------
    part : SplitPart
        Samples with the labels of the relabelling. Its own targets stay where the relabelling changes nothing; it is
        returned as it is if neither has targets.
    relabelling : Table
        Columns id, label, and `WEIGHT` and `TARGET` columns.
    originals : Table
        Columns id and label: targets of the part belong to these labels, so a changed label replaces them.
    classes : sequence of str
        The scheme's.
    """
    names = target_columns(relabelling)
    if not names and part.targets is None:
        return part
    rows = align_rows(relabelling.select(["id", "label", *names]), part.ids)
    kept = to_bool(pc.equal(rows["label"], align_column(originals, "label", part.ids)))
    hard = replace(part, targets=None).shares(len(classes))
    targets = np.where(kept[:, None], part.shares(len(classes)), hard).astype(np.float64)
    if TARGET + classes[0] in names:
        shares = np.stack([to_float(rows[TARGET + name]) for name in classes], axis=1)
        targets = np.where(np.isfinite(shares).all(axis=1, keepdims=True), shares, targets)
    if WEIGHT in names:
        weights = to_float(rows[WEIGHT])
        targets *= np.where(np.isfinite(weights), weights, 1)[:, None]
    return replace(part, targets=targets.astype(np.float32))


def publish_relabelling(
    dataset: Dataset, scheme: str, name: str, changes: pa.Table, source: str | None, at: datetime
) -> Dataset:
    """Publish a relabelling as the dataset's next version; if it exists already, `dataset` is returned.

    Parameters
    ----------
    dataset : Dataset
        The current version.
    scheme : str
    name : str
        Of the relabelling, as `labels=NAME` takes it.
    changes : Table with id, label, reason, score, round, by
        It may have `WEIGHT` and `TARGET` columns.
    source : str, optional
        The relabelling that is changed; None: the original labels.
    at : datetime

    Raises
    ------
    StoreError
        The dataset's current version is another one.
    """
    stem = f"{scheme}.{check_name(name)}"
    with one_builder(dataset.folder), announced_builder(dataset.folder, dataset.objects):
        if dataset.objects is not None:
            finish_publication(dataset.objects)
        current = dataset.newest()
        if current != dataset.version:
            raise StoreError(
                f"dataset {dataset.name!r} is at version {current}: version {dataset.version} cannot be relabelled; "
                "name the dataset without a version"
            )
        tables = dataset.every_label_table()
        table = relabelled(dataset.labels(scheme, source), changes, at)
        if stem in tables and _same(tables[stem], table):
            return dataset
        manifest = {key: value for key, value in dataset.manifest.items() if key not in _OF_PUBLISHER}
        return publish(
            dataset.folder,
            NewVersion(
                dataset.samples(),
                tables | {stem: table},
                dataset.split(),
                manifest,
                dataset.truth(),
                dataset.split_by_time(),
                partial(_copy, dataset.path / "validation"),
            ),
            dataset,
            dataset.objects,
        )


def _copy(validation: Path, target: Path) -> None:
    shutil.copytree(validation, target, dirs_exist_ok=True)


def _same(one: pa.Table, two: pa.Table) -> bool:
    """Return whether two relabellings are equal but for the time of their changes."""
    return bool(one.drop_columns(["at"]).equals(two.drop_columns(["at"])))
