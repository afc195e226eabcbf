"""Versions of datasets, the shards and raw bytes that they share, and unfinished builds."""

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
from tasks.housekeeping.rules import BUSY, DAY_S, NEWEST, PUBLISHED, READ_ELSEWHERE, UNREADABLE, Rules
from tasks.runtime.workspace import Workspace
from tasks.server.process_guard import is_locked
from tasks.store import pixels
from tasks.store.at_work import builders_elsewhere
from tasks.store.dataset import Dataset, published_number
from tasks.store.errors import StoreError
from tasks.store.objects import FileState, ObjectFolder
from tasks.store.pixel_array import PixelArray
from tasks.store.places import dataset_folders, dataset_objects, list_files, raw_place
from tasks.store.publication import readers_of, state_token
from tasks.store.removal import being_removed
from tasks.store.schema import NAME, PIXELS, VERSIONS, version_folder
from tasks.store.schema import STAGING as STAGED
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
        place = _Place.of(workspace, name)
        survey.removing_bytes += place.removing_bytes
        _survey_dataset(survey, place, rules)
    for path in workspace.datasets.glob("[!.]*"):
        if path.is_dir() and not NAME.fullmatch(path.name):
            survey.problems.append(f"{path} has no name of a dataset; move it out of the workspace, or rename it")
    _survey_raw(survey, raw_place(workspace), rules)
    return survey


@dataclass(frozen=True)
class _Place:
    """Where a dataset is, and the files or objects in it.

    Attributes
    ----------
    workspace : Workspace
    name : str
    files : dict of str to FileState
        By the name relative to `root`, without what a removal has begun to remove.
    removing_bytes : int
        Size of that.
    """

    workspace: Workspace
    name: str
    files: dict[str, FileState] = field(default_factory=dict)
    removing_bytes: int = 0

    @classmethod
    def of(cls, workspace: Workspace, name: str) -> "_Place":
        place = cls(workspace, name)
        files = list_files(place.root)
        gone = [] if place.objects is None else [files.pop(key) for key in being_removed(place.objects) & files.keys()]
        return replace(place, files=files, removing_bytes=sum(state.size_bytes for state in gone))

    @property
    def folder(self) -> Path:
        """The local folder, with the builder's lock."""
        return self.workspace.datasets / self.name

    @property
    def objects(self) -> ObjectFolder | None:
        return dataset_objects(self.workspace, self.name)

    @property
    def root(self) -> Path | ObjectFolder:
        return self.objects or self.folder

    def parts(self, *names: str) -> tuple[Path | ObjectFolder, ...]:
        """Return what is removed with some folders: they, and on an object store what this machine has of them."""
        places: list[Path | ObjectFolder] = [] if self.objects is None else [self.objects / name for name in names]
        local = (self.folder / name for name in names)
        return (*places, *(path for path in local if path.exists()))

    def measure(self, *names: str) -> tuple[int, float]:
        """Return the bytes of `parts` and the time of their newest file, without what a removal has begun to remove."""
        inside = tuple(f"{name}/" for name in names)
        states = [state for key, state in self.files.items() if key.startswith(inside)]
        size, newest = (0, 0.0) if self.objects is None else measure(self.folder / name for name in names)
        return size + sum(state.size_bytes for state in states), max([newest, *(state.changed_at for state in states)])

    def below(self, name: str) -> list[str]:
        """Return the names directly below a folder, in order."""
        inside = (key.removeprefix(f"{name}/") for key in self.files if key.startswith(f"{name}/"))
        return sorted({key.partition("/")[0] for key in inside if not key.startswith(".")})

    def is_built(self, now: float) -> bool:
        """Return whether a process builds the dataset."""
        return is_locked(self.folder / ".builder.lock") or bool(builders_elsewhere(self.folder, self.objects, now))

    def read_by_others(self, number: int) -> bool:
        """Return whether another state folder has read a version."""
        return self.objects is not None and bool({*self.below(readers_of(number))} - {state_token(self.folder)})


def night_of(dataset: str) -> str | None:
    """Return the date of a dataset that holds one night, else None."""
    found = NIGHT_DATASET.fullmatch(dataset)
    return found[1] if found else None


def _survey_dataset(survey: Survey, place: _Place, rules: Rules) -> None:
    if place.is_built(rules.now):
        survey.busy.append(place.name)
    try:
        published = published_number(place.workspace, place.name)
        unreadable = []
    except StoreError as error:
        published, unreadable = None, [str(error)]
    for item in _copy_items(place, rules):
        survey.items[item.key] = item
    opened, more = _open_versions(place, published)
    unreadable += more
    night = night_of(place.name)
    if night is not None and not unreadable:
        if any(place.read_by_others(version.version) for version in opened):
            survey.read_elsewhere.append(place.name)
        for version in opened:
            survey.nights[night].append(version)
            survey.own_raw(f"night {night}", _needed(version)["raw_sha256"])
        return
    survey.problems += unreadable
    whole = BUSY if place.name in survey.busy else UNREADABLE if unreadable else None
    array = _open_array(survey, place)
    items = [_version_item(place, version, opened, published, rules) for version in opened]
    shards: dict[str, Item] = {}
    if array is not None:
        shards = {item.key: item for item in _shard_items(place, array, rules)}
        items = [_with_shards(item, version, array) for item, version in zip(items, opened, strict=True)]
    for version in opened:
        survey.own_raw(f"{VERSION} {version.name}@{version.version}", _needed(version)["raw_sha256"])
    used = frozenset().union(*(item.needs for item in items))
    items += _staging_items(survey, place, frozenset(shards) - used, rules)
    for item in [*items, *shards.values()]:
        survey.items[item.key] = replace(item, kept=whole or item.kept)


def _open_versions(place: _Place, published: int | None) -> tuple[list[Dataset], list[str]]:
    """Return a dataset's versions that can be read, and what is wrong with the others."""
    opened, problems = [], []
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
    return opened, problems


def _needed(version: Dataset) -> pa.Table:
    return version.samples(_NEEDED_COLUMNS).select(_NEEDED_COLUMNS)


def _version_item(place: _Place, version: Dataset, opened: list[Dataset], published: int | None, rules: Rules) -> Item:
    own = f"{VERSIONS}/{version_folder(version.version)}"
    parts = place.parts(own, readers_of(version.version))
    size, _ = place.measure(own, readers_of(version.version))
    changed_at = place.files[f"{own}/{MANIFEST}"].changed_at
    newest = sorted(other.version for other in opened)[-rules.request.keep_versions :]
    kept = PUBLISHED if version.version == published else None
    kept = kept or (NEWEST if version.version in newest else rules.young(changed_at))
    kept = kept or (READ_ELSEWHERE if place.read_by_others(version.version) else None)
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
        parts,
        frozenset(needs),
        frozenset({word, version.digest}),
        kept,
        (version.name,),
    )


def _copy_items(place: _Place, rules: Rules) -> Iterator[Item]:
    """Yield what this machine has of versions that the store has no more: a removal died before it came to them."""
    copies = [] if place.objects is None else sorted((place.folder / VERSIONS).glob("[0-9]" * 6))
    for path in copies:
        if f"{VERSIONS}/{path.name}/{MANIFEST}" not in place.files:
            size, changed_at = measure([path])
            key = f"{COPY} {versioned(place.name, int(path.name))}"
            kept = BUSY if place.is_built(rules.now) else rules.young(changed_at)
            yield Item(key, COPY, size, changed_at, (path,), kept=kept, datasets=(place.name,))


def _open_array(survey: Survey, place: _Place) -> PixelArray | None:
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


def _shard_items(place: _Place, array: PixelArray, rules: Rules) -> Iterator[Item]:
    for shard in range(-(-array.shape[0] // array.shard_rows())):
        file = array.shard_file(shard)
        state = place.files.get(str(file).removeprefix(f"{place.root}/"))
        if state is not None:
            kept = rules.young(state.changed_at)
            key = _shard_key(place.name, shard)
            yield Item(key, SHARD, state.size_bytes, state.changed_at, (file,), kept=kept, datasets=(place.name,))


def _with_shards(item: Item, version: Dataset, array: PixelArray) -> Item:
    rows = _needed(version)["row"].drop_null().to_numpy()
    shards = {_shard_key(version.name, int(shard)) for shard in np.unique(rows // array.shard_rows())}
    return replace(item, needs=item.needs | shards)


def _staging_items(survey: Survey, place: _Place, unused_shards: frozenset[str], rules: Rules) -> Iterator[Item]:
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
