"""Publishing a version: a folder written beside, synced and renamed; then ``CURRENT`` is replaced."""

import hashlib
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tasks.store.columns import align_column
from tasks.store.dataset import CURRENT, PIXELS, SAMPLES, VERSIONS, Dataset
from tasks.store.errors import AccountError
from tasks.store.files import sync, whole_file, whole_folder, write_checked_table, write_json
from tasks.store.object_store.conditions import UNCONDITIONAL_NOTE, require_conditions
from tasks.store.object_store.objects import ObjectFolder
from tasks.store.object_store.publication import JOURNAL, journals_of, keep_copy, publish_object_version
from tasks.store.schema import FORMAT_VERSION, STORED, version_folder
from tasks.store.version_files import MANIFEST, signed

_LINES_AT_ONCE = 10_000
_ROW_GROUP_ROWS = 65_536
_SCRATCH = ".publish-"


@dataclass(frozen=True)
class NewVersion:
    """The content of a version except the pixels, which are in the store already.

    Attributes
    ----------
    ledger : Table
        Every row ever requested, `tasks.store.schema.LEDGER` and the problem's own columns.
    labels : mapping of file stem to Table
        ``SCHEME`` or ``SCHEME.NAME``; columns as in README.md.
    split : Table or None
        id, group and part of every stored row; None before the first scheme.
    manifest : mapping
        The problem's entries; `publish` adds counts, digest and version.
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


def stored_rows(ledger: pa.Table, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the ledger's stored rows, or some of their columns: only those are copied."""
    selected = ledger if columns is None else ledger.select(columns)
    return selected.filter(pc.equal(ledger["status"], STORED))


def account(ledger: pa.Table) -> tuple[int, dict[str, int]]:
    """Return the number of stored rows and, by reason, of rejected rows.

    Raises
    ------
    AccountError
        A row is neither stored with a place nor rejected with a reason.
    """
    stored = pc.equal(ledger["status"], STORED)
    has_row, has_reason = pc.is_valid(ledger["row"]), pc.fill_null(pc.not_equal(ledger["reason"], ""), False)
    is_good = pc.if_else(
        stored, pc.and_(has_row, pc.is_null(ledger["reason"])), pc.and_(pc.invert(has_row), has_reason)
    )
    bad = ledger.select(["id", "status", "row", "reason"]).filter(pc.invert(is_good)).slice(0, 1).to_pylist()
    if bad:
        raise AccountError("ledger row {id} is {status!r} with row {row} and reason {reason!r}".format(**bad[0]))
    counts = value_counts(ledger["reason"].drop_null())
    return pc.sum(stored).as_py() or 0, dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def digest(ledger: pa.Table, labels: Mapping[str, pa.Table]) -> str:
    """Return the sha256 over id, pixel sha256 and label of the stored rows, sorted by id.

    A line an id: the fields are separated by tabs, labels follow in the order of the schemes' names,
    and an unlabelled sample has an empty field. Relabellings do not enter.
    """
    originals = [labels[stem] for stem in sorted(labels) if "." not in stem]
    stored = stored_rows(ledger, ["id", "pixel_sha256"]).sort_by("id")
    columns = [stored["id"], stored["pixel_sha256"]]
    columns += [pc.fill_null(align_column(table, "label", stored["id"]), "") for table in originals]
    return _hash_lines(columns)


def split_hash(split: pa.Table | None) -> str | None:
    """Return the sha256 over id, group and part, sorted by id, or None without a split."""
    if split is None:
        return None
    ordered = split.sort_by("id")
    return _hash_lines([ordered[name] for name in ("id", "group", "part")])


def publish(folder: Path, new: NewVersion, parent: Dataset | None, objects: ObjectFolder | None = None) -> Dataset:
    """Write the next version of the dataset at `folder` and make it the current one.

    The caller holds the builder's lock and has written the pixels of every stored row.

    Parameters
    ----------
    folder : Path
        The dataset; with `objects`, its local folder.
    new : NewVersion
    parent : Dataset or None
        The version that the new one was made from.
    objects : ObjectFolder, optional
        The dataset on an object store.

    Raises
    ------
    DatasetBusyError
        Another machine has published that version meanwhile.
    """
    number = 1 if parent is None else parent.version + 1
    target = folder / VERSIONS / version_folder(number)
    stored, rejected = account(new.ledger)
    manifest = {
        "format_version": FORMAT_VERSION if parent is None else parent.manifest["format_version"],
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
    if objects is not None:
        _publish_objects(folder, new, manifest, objects)
        return Dataset.at(target, objects)
    # A folder of that number, or a half-written one, was left by a publisher that died before replacing CURRENT.
    for left in (target, *target.parent.glob(".*.part")):
        shutil.rmtree(left, ignore_errors=True)
    with whole_folder(target) as beside:
        _fill(beside, new)
        (beside / PIXELS).symlink_to(Path("..", "..", PIXELS), target_is_directory=True)
        sync(folder / PIXELS)
        write_json(beside / MANIFEST, signed(manifest, beside))
    with whole_file(folder / CURRENT) as path:
        path.write_text(f"{number}\n", encoding="ascii")
    return Dataset.at(target)


def _publish_objects(folder: Path, new: NewVersion, manifest: dict[str, Any], objects: ObjectFolder) -> None:
    """Publish a version on an object store; its files stay on this machine as their local copy."""
    assert objects.address.endswith(f"/datasets/{folder.name}")
    keeps_pointer = require_conditions(objects.parent.parent.address)
    journals = journals_of(folder)
    journal = f"{journals}/{version_folder(manifest['version'])}"
    for left in folder.glob(f"{_SCRATCH}*"):  # by a publisher that died
        shutil.rmtree(left)
    notes = {} if keeps_pointer else {"object_store": UNCONDITIONAL_NOTE}
    with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=folder) as made:
        files = Path(made, "files")
        files.mkdir()
        _fill(files, new)
        write_json(files / MANIFEST, signed(manifest | notes | {JOURNAL: journal}, files))
        publish_object_version(objects, manifest["version"], files, journals)
        keep_copy(objects, manifest["version"], files, folder)


def _fill(version: Path, new: NewVersion) -> None:
    """Write a version's files into `version`, without manifest and pixels."""
    write_checked_table(version / SAMPLES, new.ledger, row_group_size=_ROW_GROUP_ROWS)
    (version / "labels").mkdir()
    for stem, table in new.labels.items():
        write_checked_table(version / "labels" / f"{stem}.parquet", table)
    if new.split is not None:
        write_checked_table(version / "split.parquet", new.split)
    if new.split_by_time is not None:
        write_checked_table(version / "split_by_time.parquet", new.split_by_time)
    if new.truth is not None:
        write_checked_table(version / "truth.parquet", new.truth)
    (version / "validation").mkdir()
    if new.write_validation is not None:
        new.write_validation(version / "validation")


def value_counts(values: pa.ChunkedArray) -> Counter[Any]:
    """Return the number of occurrences of each value."""
    return Counter({item["values"]: item["counts"] for item in pc.value_counts(values).to_pylist()})


def _hash_lines(columns: Sequence[pa.ChunkedArray]) -> str:
    """Return the sha256 over lines of columns of text, a tab between them, each line ended."""
    total = hashlib.sha256()
    lines = pc.binary_join_element_wise(*columns, "\t")
    for start in range(0, len(lines), _LINES_AT_ONCE):
        total.update("".join(f"{line}\n" for line in lines.slice(start, _LINES_AT_ONCE).to_pylist()).encode())
    return total.hexdigest()
