"""Publishing a version: a folder written beside, synced and renamed; then ``CURRENT`` is replaced."""

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.store.dataset import CURRENT, PIXELS, VERSIONS, Dataset
from tasks.store.errors import AccountError
from tasks.store.files import sync, whole_file, whole_folder, write_json
from tasks.store.schema import FORMAT_VERSION, STORED, version_folder


@dataclass(frozen=True)
class NewVersion:
    """Everything a version holds but the pixels, which are in the store already.

    Attributes
    ----------
    ledger : Table
        Every row ever asked for, `tasks.store.schema.LEDGER` and the problem's own columns.
    labels : mapping of file stem to Table
        ``SCHEME`` or ``SCHEME.NAME``; columns as in README.md.
    split : Table or None
        id, group and part of every stored row; None before the first scheme.
    manifest : mapping
        What the publisher cannot know; counts, digest and version are added here.
    truth : Table or None
        Hidden truth of simulated samples.
    split_by_time : Table or None
        id, group and part of the samples that a split by night may use.
    write_validation : callable or None
        Given the folder ``validation/`` to fill.
    """

    ledger: pa.Table
    labels: Mapping[str, pa.Table]
    split: pa.Table | None
    manifest: Mapping[str, Any]
    truth: pa.Table | None = None
    split_by_time: pa.Table | None = None
    write_validation: Callable[[Path], None] | None = field(default=None, repr=False)


def stored_rows(ledger: pa.Table) -> pa.Table:
    """Return the ledger's stored rows."""
    return ledger.filter(pc.equal(ledger["status"], STORED))


def account(ledger: pa.Table) -> tuple[int, dict[str, int]]:
    """Return how many rows are stored and, by reason, how many are rejected.

    Raises
    ------
    AccountError
        A row is neither stored with a place nor rejected with a reason.
    """
    stored = 0
    rejected: dict[str, int] = {}
    columns = [ledger[name].to_pylist() for name in ("id", "status", "row", "reason")]
    for sample_id, status, row, reason in zip(*columns, strict=True):
        if status == STORED and row is not None and reason is None:
            stored += 1
        elif status != STORED and row is None and reason:
            rejected[reason] = rejected.get(reason, 0) + 1
        else:
            raise AccountError(f"ledger row {sample_id} is {status!r} with row {row} and reason {reason!r}")
    return stored, dict(sorted(rejected.items(), key=lambda item: (-item[1], item[0])))


def digest(ledger: pa.Table, labels: Mapping[str, pa.Table]) -> str:
    """Return the sha256 over id, pixel sha256 and label of the stored rows, sorted by id.

    A line an id: the fields are separated by tabs, labels follow in the order of the schemes' names,
    and an unlabelled sample has an empty field. Relabellings do not enter.
    """
    originals = [dict(zip(*_id_and_label(labels[stem]), strict=True)) for stem in sorted(labels) if "." not in stem]
    total = hashlib.sha256()
    stored = stored_rows(ledger).select(["id", "pixel_sha256"]).sort_by("id")
    for sample_id, pixel_sha256 in zip(stored["id"].to_pylist(), stored["pixel_sha256"].to_pylist(), strict=True):
        fields = [sample_id, pixel_sha256, *((original.get(sample_id) or "") for original in originals)]
        total.update(("\t".join(fields) + "\n").encode())
    return total.hexdigest()


def split_hash(split: pa.Table | None) -> str | None:
    """Return the sha256 over id, group and part, sorted by id, or None without a split."""
    if split is None:
        return None
    total = hashlib.sha256()
    ordered = split.sort_by("id")
    for row in zip(*(ordered[name].to_pylist() for name in ("id", "group", "part")), strict=True):
        total.update(("\t".join(row) + "\n").encode())
    return total.hexdigest()


def publish(folder: Path, new: NewVersion, parent: Dataset | None) -> Dataset:
    """Write the next version of the dataset at `folder` and make it the current one.

    The caller holds the builder's lock and has written the pixels of every stored row.
    """
    number = 1 if parent is None else parent.version + 1
    target = folder / VERSIONS / version_folder(number)
    stored, rejected = account(new.ledger)
    manifest = {
        "format_version": FORMAT_VERSION,
        "name": folder.name,
        "version": number,
        "parent": None if parent is None else parent.version,
        "digest": digest(new.ledger, new.labels),
        "pixel_store": os.path.relpath(folder / PIXELS, target),
        "split_hash": split_hash(new.split),
        "asked": new.ledger.num_rows,
        "stored": stored,
        "rejected": rejected,
        **new.manifest,
    }
    # A folder of that number is what a publisher left that died before replacing CURRENT.
    shutil.rmtree(target, ignore_errors=True)
    with whole_folder(target) as beside:
        _fill(beside, new, manifest, folder)
    with whole_file(folder / CURRENT) as path:
        path.write_text(f"{number}\n", encoding="ascii")
    return Dataset.at(target)


def _fill(version: Path, new: NewVersion, manifest: dict[str, Any], folder: Path) -> None:
    """Write a version's files into `version`."""
    pq.write_table(new.ledger, version / "samples.parquet", compression="zstd")
    (version / "labels").mkdir()
    for stem, table in new.labels.items():
        pq.write_table(table, version / "labels" / f"{stem}.parquet", compression="zstd")
    if new.split is not None:
        pq.write_table(new.split, version / "split.parquet", compression="zstd")
    if new.split_by_time is not None:
        pq.write_table(new.split_by_time, version / "split_by_time.parquet", compression="zstd")
    if new.truth is not None:
        pq.write_table(new.truth, version / "truth.parquet", compression="zstd")
    (version / "validation").mkdir()
    if new.write_validation is not None:
        new.write_validation(version / "validation")
    (version / PIXELS).symlink_to(Path("..", "..", PIXELS), target_is_directory=True)
    sync(folder / PIXELS)
    write_json(version / "manifest.json", manifest)


def _id_and_label(table: pa.Table) -> tuple[list[str], list[str | None]]:
    """Return a label table's two columns as lists."""
    return table["id"].to_pylist(), table["label"].to_pylist()
