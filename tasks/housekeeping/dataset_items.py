"""Versions of datasets, the shards and raw bytes that they share, and unfinished builds."""

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.housekeeping.disk import measure
from tasks.housekeeping.mentions import versioned
from tasks.housekeeping.references import Item
from tasks.housekeeping.rules import BUSY, DAY_S, NEWEST, PUBLISHED, UNREADABLE, Rules
from tasks.runtime.workspace import Workspace
from tasks.server.process_guard import is_locked
from tasks.store import pixels
from tasks.store.dataset import PIXELS, VERSIONS, Dataset, current_version
from tasks.store.errors import StoreError
from tasks.store.files import read_table
from tasks.store.pixel_array import PixelArray
from tasks.store.schema import version_folder
from tasks.store.version_files import MANIFEST

VERSION, SHARD, RAW, STAGING = "dataset version", "pixel shard", "raw bytes", "unfinished build"
NIGHT_DATASET = re.compile(r"night-(\d{4}-\d{2}-\d{2})(?:[._-].*)?")
"""Names of datasets that hold one night, with its date."""
_NEEDED_COLUMNS = ["row", "raw_sha256"]


@dataclass
class Survey:
    """The items of a workspace's datasets, as they are found.

    Attributes
    ----------
    items : dict of str to Item
        By key.
    owners : list of str
        Keys of the items that name raw bytes.
    raw_owners : dict of bytes to int
        By digest: the numbers of its owners as bits.
    nights : dict of str to list of Dataset
        By date: versions of datasets of that one night.
    problems : list of str
        What cannot be read.
    """

    items: dict[str, Item] = field(default_factory=dict)
    owners: list[str] = field(default_factory=list)
    raw_owners: dict[bytes, int] = field(default_factory=lambda: defaultdict(int))
    nights: dict[str, list[Dataset]] = field(default_factory=lambda: defaultdict(list))
    problems: list[str] = field(default_factory=list)

    def own_raw(self, owner: str, digests: pa.Array | pa.ChunkedArray) -> None:
        """Note that the item of that key names raw bytes."""
        if owner not in self.owners:
            self.owners.append(owner)
        bit = 1 << self.owners.index(owner)
        for digest in pc.unique(digests.drop_null()).to_pylist():
            self.raw_owners[bytes.fromhex(digest)] |= bit


def survey_datasets(workspace: Workspace, rules: Rules) -> Survey:
    """Return versions, shards, raw bytes and unfinished builds; of a night's dataset only what `Survey.nights` says."""
    survey = Survey()
    for folder in sorted(workspace.datasets.glob("*")):
        if folder.is_dir() and not folder.name.startswith("."):
            _survey_dataset(survey, folder, rules)
    busy = any(is_locked(path) for path in workspace.datasets.glob("*/.builder.lock"))
    _survey_raw(survey, workspace.raw, rules, BUSY if busy else None)
    return survey


def night_of(dataset: str) -> str | None:
    """Return the date of a dataset that holds one night, else None."""
    found = NIGHT_DATASET.fullmatch(dataset)
    return found[1] if found else None


def _survey_dataset(survey: Survey, folder: Path, rules: Rules) -> None:
    opened, unreadable = _open_versions(survey, folder)
    night = night_of(folder.name)
    if night is not None and not unreadable:
        for version in opened:
            survey.nights[night].append(version)
            survey.own_raw(f"night {night}", _needed(version)["raw_sha256"])
        return
    try:
        published = current_version(folder)
    except StoreError as error:
        published = None
        unreadable.append(str(error))
    busy = BUSY if is_locked(folder / ".builder.lock") else None
    whole = busy or (UNREADABLE if unreadable else None)
    survey.problems += unreadable
    array = _open_array(survey, folder)
    items = [_version_item(version, opened, published, rules) for version in opened]
    shards: dict[str, Item] = {}
    if array is not None:
        shards = {item.key: item for item in _shard_items(folder.name, array, rules)}
        items = [_with_shards(item, version, array) for item, version in zip(items, opened, strict=True)]
    for version in opened:
        survey.own_raw(f"{VERSION} {version.name}@{version.version}", _needed(version)["raw_sha256"])
    used = frozenset().union(*(item.needs for item in items))
    items += _staging_items(survey, folder, frozenset(shards) - used, rules)
    for item in [*items, *shards.values()]:
        survey.items[item.key] = replace(item, kept=whole or item.kept)


def _open_versions(survey: Survey, folder: Path) -> tuple[list[Dataset], list[str]]:
    """Return a dataset's versions that can be read, and what is wrong with the others."""
    opened, problems = [], []
    for path in sorted((folder / VERSIONS).glob("[0-9]" * len(version_folder(1)))):
        try:
            version = Dataset.at(path)
            _needed(version)
            opened.append(version)
        except (StoreError, pa.ArrowInvalid, KeyError) as error:
            problems.append(str(error))
    return opened, problems


def _needed(version: Dataset) -> pa.Table:
    return version.samples(_NEEDED_COLUMNS).select(_NEEDED_COLUMNS)


def _version_item(version: Dataset, opened: list[Dataset], published: int | None, rules: Rules) -> Item:
    size, _ = measure([version.path])
    changed_at = (version.path / MANIFEST).stat().st_mtime
    newest = sorted(other.version for other in opened)[-rules.request.keep_versions :]
    kept = PUBLISHED if version.version == published else None
    kept = kept or (NEWEST if version.version in newest else rules.young(changed_at))
    needs: set[str] = set()
    parent = version.manifest.get("parent")
    if version.manifest["split_hash"] is not None and "split_seed" not in version.manifest and parent is not None:
        needs.add(f"{VERSION} {version.name}@{parent}")  # it tells the seed of the split
    word = versioned(version.name, version.version)
    return Item(
        f"{VERSION} {word}",
        VERSION,
        size,
        changed_at,
        (version.path,),
        frozenset(needs),
        frozenset({word, version.digest}),
        kept,
        version.name,
    )


def _open_array(survey: Survey, folder: Path) -> PixelArray | None:
    """Return the pixel array of a dataset; None where it cannot be opened, and its shards stay."""
    if not (folder / PIXELS).exists():
        return None
    try:
        return pixels.open_array(folder / PIXELS)
    # Damaged metadata may hold any value, on which Zarr raises whatever comes of it; it reads nothing else here.
    except Exception as error:
        survey.problems.append(f"{folder / PIXELS} cannot be read ({type(error).__name__}: {error})")
        return None


def _shard_key(dataset: str, shard: int) -> str:
    return f"{SHARD} {dataset}#{shard}"


def _shard_items(dataset: str, array: PixelArray, rules: Rules) -> Iterator[Item]:
    for shard in range(-(-array.shape[0] // array.shard_rows())):
        path = array.shard_file(shard)
        if isinstance(path, Path) and path.is_file():
            size, changed_at = measure([path])
            kept = rules.young(changed_at)
            yield Item(_shard_key(dataset, shard), SHARD, size, changed_at, (path,), kept=kept, dataset=dataset)


def _with_shards(item: Item, version: Dataset, array: PixelArray) -> Item:
    rows = _needed(version)["row"].drop_null().to_numpy()
    shards = {_shard_key(version.name, int(shard)) for shard in np.unique(rows // array.shard_rows())}
    return replace(item, needs=item.needs | shards)


def _staging_items(survey: Survey, folder: Path, unused_shards: frozenset[str], rules: Rules) -> Iterator[Item]:
    """Yield the unfinished builds, each of which may have written the shards that no version uses."""
    for staging in sorted((folder / "staging").glob("*")):
        size, changed_at = measure([staging])
        key = f"{STAGING} {folder.name} {staging.name}"
        for ledger in sorted(staging.glob("batch-*/ledger.parquet")):
            try:
                survey.own_raw(key, read_table(ledger, ["raw_sha256"])["raw_sha256"])
            except StoreError as error:
                survey.problems.append(str(error))
        kept = rules.young(changed_at)
        yield Item(key, STAGING, size, changed_at, (staging,), unused_shards, kept=kept, dataset=folder.name)


def _survey_raw(survey: Survey, raw: Path, rules: Rules, busy: str | None) -> None:
    """Add raw bytes, an item for those of one day that the same items name, and who needs them."""
    found: dict[tuple[int, int, bool], dict[str, Any]] = {}
    for entry in _raw_files(raw):
        state = entry.stat()
        owners = survey.raw_owners.get(bytes.fromhex(entry.name), 0)
        group = owners, int(state.st_mtime // DAY_S), rules.young(state.st_mtime) is not None
        content = found.setdefault(group, {"size": 0, "newest": 0.0, "paths": []})
        content["size"] += state.st_size
        content["newest"] = max(content["newest"], state.st_mtime)
        content["paths"].append(Path(entry.path))
    kept = busy or (UNREADABLE if survey.problems else None)
    for (owners, day, young), content in sorted(found.items()):
        key = f"{RAW} of day {day}{' young' if young else ''}, owners {owners:x}"
        own = kept or rules.young(content["newest"])
        paths = tuple(content["paths"])
        survey.items[key] = Item(key, RAW, content["size"], content["newest"], paths, kept=own, count=len(paths))
        for number, owner in enumerate(survey.owners):
            if owners >> number & 1 and owner in survey.items:
                item = survey.items[owner]
                survey.items[owner] = replace(item, needs=item.needs | {key})


def raw_keys(survey: Survey, owner: str) -> frozenset[str]:
    """Return the keys of the raw bytes that an item outside of the datasets, such as a night, names."""
    if owner not in survey.owners:
        return frozenset()
    number = survey.owners.index(owner)
    raw = (key for key in survey.items if key.startswith(f"{RAW} "))
    return frozenset(key for key in raw if int(key.rpartition(" ")[2], 16) >> number & 1)


def _raw_files(raw: Path) -> Iterator[os.DirEntry[str]]:
    """Yield the files that are named by a digest."""
    for folder in sorted(raw.glob("[0-9a-f][0-9a-f]")):
        with os.scandir(folder) as entries:
            for entry in entries:
                if re.fullmatch(r"[0-9a-f]{64}", entry.name):
                    yield entry
