"""Relabelling: a new version of a dataset with changed labels beside the originals.

``labels/SCHEME.NAME.parquet`` holds the label of every labelled sample and, where it was changed, the previous label,
reason, author, round and score. The original labels are never overwritten.
"""

import shutil
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tasks.store.columns import align_rows
from tasks.store.dataset import CURRENT, Dataset
from tasks.store.errors import StoreError
from tasks.store.locks import one_builder
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
    return pa.table({field.name: columns[field.name] for field in RELABELLING}).cast(RELABELLING).sort_by("id")


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
    source : str, optional
        The relabelling that is changed; None: the original labels.
    at : datetime

    Raises
    ------
    StoreError
        The dataset's current version is another one.
    """
    folder = dataset.path.parents[1]
    current = int((folder / CURRENT).read_text(encoding="ascii"))
    if current != dataset.version:
        raise StoreError(
            f"dataset {dataset.name!r} is at version {current}: version {dataset.version} cannot be relabelled; name "
            "the dataset without a version"
        )
    stem = f"{scheme}.{check_name(name)}"
    tables = dataset.every_label_table()
    table = relabelled(dataset.labels(scheme, source), changes, at)
    if stem in tables and _same(tables[stem], table):
        return dataset
    with one_builder(folder):
        manifest = {key: value for key, value in dataset.manifest.items() if key not in _OF_PUBLISHER}
        return publish(
            folder,
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
        )


def _copy(validation: Path, target: Path) -> None:
    shutil.copytree(validation, target, dirs_exist_ok=True)


def _same(one: pa.Table, two: pa.Table) -> bool:
    """Return whether two relabellings are equal but for the time of their changes."""
    columns = [name for name in RELABELLING.names if name != "at"]
    return bool(one.select(columns).equals(two.select(columns)))
