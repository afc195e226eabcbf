"""Versions of datasets, the shards and raw bytes that they share, and unfinished builds."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.housekeeping.dataset_place import DatasetPlace
from tasks.housekeeping.disk import measure
from tasks.housekeeping.mentions import versioned
from tasks.housekeeping.references import Item
from tasks.housekeeping.rules import BUSY, DAY_S, NEWEST, PUBLISHED, READ_ELSEWHERE, UNREADABLE, Rules
from tasks.runtime.workspace import Workspace
from tasks.store import pixels
from tasks.store.dataset import Dataset, published_number
from tasks.store.errors import StoreError
from tasks.store.object_store.objects import ObjectFolder
from tasks.store.object_store.publication import readers_of
from tasks.store.places import dataset_folders, list_files, raw_place
from tasks.store.schema import NAME, PIXELS, VERSIONS, version_folder
from tasks.store.schema import STAGING as STAGED
from tasks.store.shards.pixel_array import PixelArray
from tasks.store.staging import Staging
from tasks.store.version_files import MANIFEST

VERSION, SHARD, RAW, STAGING = "dataset version", "pixel shard", "raw bytes", "unfinished build"
COPY = "copy of a version"
NIGHT_DATASET = re.compile(r"night-(\d{4}-\d{2}-\d{2})(?:[._-].*)?")
"""Names of datasets that hold one night, with its date."""
_RAW_NAME = re.compile(r"[0-9a-f]{2}/[0-9a-f]{64}")
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
    busy : list of str
        Datasets that are being built, here or on another machine.
    read_elsewhere : list of str
        Datasets of one night that another machine has read.
    removing_bytes : int
        Size of the objects that removals have begun to remove.
    """

    items: dict[str, Item] = field(default_factory=dict)
    owners: list[str] = field(default_factory=list)
    raw_owners: dict[bytes, int] = field(default_factory=lambda: defaultdict(int))
    nights: dict[str, list[Dataset]] = field(default_factory=lambda: defaultdict(list))
    problems: list[str] = field(default_factory=list)
    busy: list[str] = field(default_factory=list)
    read_elsewhere: list[str] = field(default_factory=list)
    removing_bytes: int = 0

    def add(self, items: Iterable[Item]) -> None:
        """Add items under their keys."""
        self.items |= {item.key: item for item in items}

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
    for name in dataset_folders(workspace):
        _survey_dataset(survey, DatasetPlace.of(workspace, name), rules)
    for path in workspace.datasets.glob("[!.]*"):
        if path.is_dir() and not NAME.fullmatch(path.name):
            survey.problems.append(f"{path} has no name of a dataset; move it out of the workspace, or rename it")
    _survey_raw(survey, raw_place(workspace), rules)
    return survey


def night_of(dataset: str) -> str | None:
    """Return the date of a dataset that holds one night, else None."""
    found = NIGHT_DATASET.fullmatch(dataset)
    return found[1] if found else None


@dataclass(frozen=True)
class _Versions:
    """The published number of a dataset, its versions that can be read, and what is wrong with the others."""

    published: int | None
    opened: list[Dataset]
    problems: list[str]


def _survey_dataset(survey: Survey, place: DatasetPlace, rules: Rules) -> None:
    survey.removing_bytes += place.removing_bytes
    if place.is_built(rules.now):
        survey.busy.append(place.name)
    survey.add(_copy_items(survey, place, rules))
    versions, night = _open_versions(place), night_of(place.name)
    if night is None or versions.problems:
        _survey_versions(survey, place, versions, rules)
        return
    survey.nights[night] += versions.opened
    if any(place.read_by_others(version.version) for version in versions.opened):
        survey.read_elsewhere.append(place.name)
    for version in versions.opened:
        survey.own_raw(f"night {night}", _needed(version)["raw_sha256"])


def _survey_versions(survey: Survey, place: DatasetPlace, versions: _Versions, rules: Rules) -> None:
    """Add versions, shards and unfinished builds; all are kept where the dataset is built or cannot be read whole."""
    survey.problems += versions.problems
    array = _open_array(survey, place)
    shards = [] if array is None else list(_shard_items(place, array, rules))
    items = [_version_item(place, version, versions, array, rules) for version in versions.opened]
    for item, version in zip(items, versions.opened, strict=True):
        survey.own_raw(item.key, _needed(version)["raw_sha256"])
    unused = frozenset(shard.key for shard in shards).difference(*(item.needs for item in items))
    items += _staging_items(survey, place, unused, rules)
    whole = BUSY if place.name in survey.busy else UNREADABLE if versions.problems else None
    survey.add(replace(item, kept=whole or item.kept) for item in [*items, *shards])


def _open_versions(place: DatasetPlace) -> _Versions:
    published, opened, problems = None, list[Dataset](), list[str]()
    try:
        published = published_number(place.workspace, place.name)
    except StoreError as error:
        problems.append(str(error))
    for number in (int(name) for name in place.below(VERSIONS) if re.fullmatch(r"\d{6}", name)):
        own = f"{VERSIONS}/{version_folder(number)}"
        if f"{own}/{MANIFEST}" not in place.files:
            problems.append(f"{place.root}/{own} has no {MANIFEST}; restore it from a backup, or remove the folder")
            continue
        if place.objects is not None and number > (published or 0):
            problems.append(
                f"{place.objects}/{own} is above the published version: its publisher died, and the next build of the "
                "dataset completes it"
            )
            continue
        try:
            version = Dataset.open(place.workspace, f"{place.name}@{number}", as_reader=False)
            _needed(version)
            opened.append(version)
        except (StoreError, pa.ArrowInvalid, KeyError) as error:
            problems.append(str(error))
    return _Versions(published, opened, problems)


def _needed(version: Dataset) -> pa.Table:
    return version.samples(_NEEDED_COLUMNS).select(_NEEDED_COLUMNS)


def _version_item(
    place: DatasetPlace, version: Dataset, versions: _Versions, array: PixelArray | None, rules: Rules
) -> Item:
    """Return a version as an item, which needs its shards where these are known."""
    own = f"{VERSIONS}/{version_folder(version.version)}"
    parts = place.parts(own, readers_of(version.version))
    size, _ = place.measure(own, readers_of(version.version))
    changed_at = place.files[f"{own}/{MANIFEST}"].changed_at
    newest = sorted(other.version for other in versions.opened)[-rules.request.keep_versions :]
    kept = PUBLISHED if version.version == versions.published else None
    kept = kept or (NEWEST if version.version in newest else rules.young(changed_at))
    kept = kept or (READ_ELSEWHERE if place.read_by_others(version.version) else None)
    needs = set[str]() if array is None else _shards_of(version, array)
    parent = version.manifest.get("parent")
    if version.manifest["split_hash"] is not None and "split_seed" not in version.manifest and parent is not None:
        needs.add(f"{VERSION} {version.name}@{parent}")  # it tells the seed of the split
    word = versioned(version.name, version.version)
    return Item(
        f"{VERSION} {word}",
        VERSION,
        size,
        changed_at,
        parts,
        frozenset(needs),
        frozenset({word, version.digest}),
        kept,
        (version.name,),
    )


def _copy_items(survey: Survey, place: DatasetPlace, rules: Rules) -> Iterator[Item]:
    """Yield what this machine has of versions that the store has no more: a removal died before it came to them."""
    copies = [] if place.objects is None else sorted((place.folder / VERSIONS).glob("[0-9]" * 6))
    for path in copies:
        if f"{VERSIONS}/{path.name}/{MANIFEST}" not in place.files:
            size, changed_at = measure([path])
            key = f"{COPY} {versioned(place.name, int(path.name))}"
            kept = BUSY if place.name in survey.busy else rules.young(changed_at)
            yield Item(key, COPY, size, changed_at, (path,), kept=kept, datasets=(place.name,))


def _open_array(survey: Survey, place: DatasetPlace) -> PixelArray | None:
    """Return the pixel array of a dataset; None where it cannot be opened, and its shards stay."""
    if not pixels.has_array(place.root / PIXELS):
        return None
    try:
        return pixels.open_array(place.root / PIXELS)
    # Damaged metadata may hold any value, on which Zarr raises whatever comes of it; it reads nothing else here.
    except Exception as error:
        survey.problems.append(f"{place.root / PIXELS} cannot be read ({type(error).__name__}: {error})")
        return None


def _shard_key(dataset: str, shard: int) -> str:
    return f"{SHARD} {dataset}#{shard}"


def _shard_items(place: DatasetPlace, array: PixelArray, rules: Rules) -> Iterator[Item]:
    for shard in range(-(-array.shape[0] // array.shard_rows())):
        file = array.shard_file(shard)
        state = place.files.get(str(file).removeprefix(f"{place.root}/"))
        if state is not None:
            kept = rules.young(state.changed_at)
            key = _shard_key(place.name, shard)
            yield Item(key, SHARD, state.size_bytes, state.changed_at, (file,), kept=kept, datasets=(place.name,))


def _shards_of(version: Dataset, array: PixelArray) -> set[str]:
    """Return the keys of the shards that hold a version's rows."""
    rows = _needed(version)["row"].drop_null().to_numpy()
    return {_shard_key(version.name, int(shard)) for shard in np.unique(rows // array.shard_rows())}


def _staging_items(survey: Survey, place: DatasetPlace, unused_shards: frozenset[str], rules: Rules) -> Iterator[Item]:
    """Yield the unfinished builds, each of which may have written the shards that no version uses.

    On an object store also the journals of publishers that died, and builds of which this machine has the plan only.
    """
    plans = [path.name for path in (place.folder / STAGED).glob("*") if not path.name.startswith(".")]
    for name in sorted({*place.below(STAGED), *plans}):
        parts = place.parts(f"{STAGED}/{name}")
        size, changed_at = place.measure(f"{STAGED}/{name}")
        key = f"{STAGING} {place.name} {name}"
        staging = Staging(
            place.folder / STAGED / name, None if place.objects is None else place.objects / STAGED / name
        )
        for number in sorted(staging.finished()):
            try:
                survey.own_raw(key, staging.ledger(number)["raw_sha256"])
            except (StoreError, pa.ArrowException, OSError, KeyError) as error:
                survey.problems.append(f"the ledger of batch {number} of {place.root}/{STAGED}/{name}: {error}")
        kept = rules.young(changed_at)
        yield Item(key, STAGING, size, changed_at, parts, unused_shards, kept=kept, datasets=(place.name,))


def _survey_raw(survey: Survey, raw: Path | ObjectFolder, rules: Rules) -> None:
    """Add raw bytes, an item for those of one day that the same items name, and who needs them."""
    found: dict[tuple[int, int, bool], dict[str, Any]] = {}
    for name, state in list_files(raw).items():
        if not _RAW_NAME.fullmatch(name):
            continue
        owners = survey.raw_owners.get(bytes.fromhex(name[3:]), 0)
        group = owners, int(state.changed_at // DAY_S), rules.young(state.changed_at) is not None
        content = found.setdefault(group, {"size": 0, "newest": 0.0, "paths": []})
        content["size"] += state.size_bytes
        content["newest"] = max(content["newest"], state.changed_at)
        content["paths"].append(raw / name if isinstance(raw, Path) else raw.file(name))
    kept = BUSY if survey.busy else UNREADABLE if survey.problems else None
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
