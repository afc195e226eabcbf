"""Reading one published version of a dataset."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks.runtime.workspace import Workspace
from tasks.store import pixels
from tasks.store.columns import Ids, align_column
from tasks.store.errors import (
    DamagedPixelsError,
    DamagedTableError,
    DatasetNotFoundError,
    FormatVersionError,
    StoreError,
)
from tasks.store.files import read_table, sha256_of_file, whole_file
from tasks.store.object_store.objects import ObjectFolder
from tasks.store.object_store.publication import copy_version, current_object
from tasks.store.places import dataset_names, dataset_objects
from tasks.store.schema import (
    CURRENT,
    PIXELS,
    READABLE_VERSIONS,
    SAMPLES,
    VERSIONS,
    check_name,
    parse_current,
    parse_reference,
    version_folder,
)
from tasks.store.shards.pixel_array import Owner, PixelArray

VALIDATION, VALIDATION_PAGE = "validation", "index.html"


def validation_address(name: str, version: int) -> str:
    """Return the path below ``datasets/`` of the page of a version's validation."""
    return "/".join((name, VERSIONS, version_folder(version), VALIDATION, VALIDATION_PAGE))


def current_version(folder: Path) -> int | None:
    """Return the published version of the dataset at `folder`, or None where nothing is published.

    Raises
    ------
    DamagedTableError
        The file holds no number.
    """
    try:
        content = (folder / CURRENT).read_bytes()
    except FileNotFoundError:
        return None
    there = ", ".join(sorted(path.name for path in (folder / VERSIONS).glob("*"))) or "none"
    return parse_current(content, str(folder / CURRENT), f"one of {there}")


def published_number(workspace: Workspace, name: str) -> int | None:
    """Return the published version of a dataset of the workspace, or None where nothing is published.

    Raises
    ------
    DamagedTableError
        ``CURRENT`` holds no number.
    """
    return _published_in(workspace.datasets / name, dataset_objects(workspace, name))


def _published_in(folder: Path, objects: ObjectFolder | None) -> int | None:
    return current_version(folder) if objects is None else current_object(objects)


@dataclass(frozen=True)
class Dataset:
    """One immutable version of a dataset.

    Attributes
    ----------
    path : Path
        The version's folder; of a dataset on an object store, the copy of its files on this machine.
    manifest : dict
    objects : ObjectFolder or None
        The dataset on an object store, where its pixels are read.
    """

    path: Path
    manifest: dict[str, Any]
    objects: ObjectFolder | None = None

    @classmethod
    def open(cls, workspace: Workspace, reference: str, as_reader: bool = True) -> "Dataset":
        """Open ``NAME`` (its published version) or ``NAME@3`` (its third).

        On an object store the version is then one that this machine has read, which the housekeeping of others keeps,
        unless `as_reader` is False.

        Raises
        ------
        DatasetNotFoundError
            There is no such dataset or version; the message lists the existing datasets.
        FormatVersionError
            It was written in another version of the format.
        DamagedTableError
            ``CURRENT`` or the manifest cannot be read.
        """
        name, version = parse_reference(reference)
        folder, objects = workspace.datasets / name, dataset_objects(workspace, name)
        is_named = objects is None and version is not None
        number = version if is_named else published_number(workspace, name)
        # On an object store, a version above the published one may be incomplete.
        if number is None or (version is not None and version > number):
            place = workspace.datasets if objects is None else f"{workspace.address}/datasets"
            names = ", ".join(dataset_names(workspace)) or "none"
            raise DatasetNotFoundError(f"no dataset {reference!r} in {place}; there are: {names}")
        if objects is not None:
            wanted = number if version is None else version
            dataset = cls.at(copy_version(objects, wanted, folder, as_reader), objects)
            if dataset.version == number:
                _note_current(folder, number)
            return dataset
        return cls.at(folder / VERSIONS / version_folder(number))

    @classmethod
    def at(cls, path: Path, objects: ObjectFolder | None = None) -> "Dataset":
        """Open the version whose folder, or copy of one of `objects`, is `path`."""
        try:
            manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise DatasetNotFoundError(f"no dataset version at {path}") from None
        except ValueError as error:  # not UTF-8, or no JSON
            raise DamagedTableError(
                f"{path / 'manifest.json'} cannot be read ({error}); restore it from a backup, or use another version"
            ) from error
        version = manifest.get("format_version")
        if version not in READABLE_VERSIONS:
            raise FormatVersionError(
                f"{path} is of format {version}, this program reads {', '.join(map(str, READABLE_VERSIONS))}; "
                "build the dataset again"
            )
        return cls(path, manifest, objects)

    def parent(self) -> "Dataset | None":
        """Open the version that this one was made from; None for the first."""
        number = self.manifest["parent"]
        return None if number is None else self.sibling(number)

    def sibling(self, number: int) -> "Dataset":
        """Open another version of the dataset."""
        if self.objects is not None:
            return Dataset.at(copy_version(self.objects, number, self.folder), self.objects)
        return Dataset.at(self.path.with_name(version_folder(number)))

    def newest(self) -> int | None:
        """Return the published version's number as it is now."""
        return _published_in(self.folder, self.objects)

    @property
    def folder(self) -> Path:
        """The dataset's local folder, with its lock; on an object store also with the copies of its versions."""
        return self.path.parents[1]

    @property
    def name(self) -> str:
        """The dataset's name."""
        return str(self.manifest["name"])

    @property
    def version(self) -> int:
        """The version's number, from 1."""
        return int(self.manifest["version"])

    @property
    def digest(self) -> str:
        """Sha256 over id, pixel digest and labels of the stored samples."""
        return str(self.manifest["digest"])

    @property
    def schemes(self) -> list[str]:
        """Names of the schemes that label it, in the order they were built."""
        return list(self.manifest["schemes"])

    @cached_property
    def pixels(self) -> PixelArray:
        """The pixel array, shape (sample, y, x, channel), read only; the ledger's ``row`` names its samples."""
        remedy = (
            f"`starloom verify {self.name}@{self.version}` lists what is damaged; restore the file from a backup or "
            "build the dataset again under another name"
        )
        owner = Owner(f"dataset {self.name!r} version {self.version}", remedy, complete=True)
        place = self.path / PIXELS if self.objects is None else self.objects / PIXELS
        try:
            return pixels.open_array(place, owner=owner)
        except StoreError:
            raise
        # Damaged metadata may hold any value, on which Zarr raises whatever comes of it; it reads nothing else here.
        except Exception as error:
            raise DamagedPixelsError(
                f"{owner.name}: the metadata of the pixel array in {place} cannot be read "
                f"({type(error).__name__}: {error}); {remedy}"
            ) from error

    def images(self, ids: Ids) -> NDArray[Any]:
        """Return the pixels of some samples, (n, y, x, channel), uint8 of galaxies and float32 of candidates.

        All n images are in memory at once; `tasks.learning.scoring.image_blocks` streams them.

        Parameters
        ----------
        ids : (n,) text
            Ids of stored samples in any order, repeats allowed.

        Raises
        ------
        StoreError
            An id is unknown, or its sample was rejected; the message names the first five.
        DamagedPixelsError
            Bytes fail their checksum, or a shard's file is missing.
        """
        rows = align_column(self.samples(["id", "row"]), "row", ids)
        if rows.null_count:
            absent = [str(name) for name, row in zip(ids, rows.to_pylist(), strict=True) if row is None]
            raise StoreError(
                f"dataset {self.name!r} version {self.version} holds no pixels of {len(absent)} ids, such as "
                f"{', '.join(absent[:5])}: they are unknown, or rejected with the ledger's reason"
            )
        return np.asarray(self.pixels[np.asarray(pc.cast(rows, pa.int64()).to_numpy())])

    def samples(self, columns: list[str] | None = None) -> pa.Table:
        """Return the ledger, or some of its columns."""
        return read_table(self.path / SAMPLES, columns=columns)

    def split(self) -> pa.Table | None:
        """Return id, group and part of every stored sample, or None before the first scheme."""
        path = self.path / "split.parquet"
        return read_table(path) if path.exists() else None

    def split_by_time(self) -> pa.Table | None:
        """Return id, group and part of the samples in the split by night, or None if there is none."""
        path = self.path / "split_by_time.parquet"
        return read_table(path) if path.exists() else None

    def truth(self) -> pa.Table | None:
        """Return id, truth and origin of simulated samples, or None; training must not read them."""
        path = self.path / "truth.parquet"
        return read_table(path) if path.exists() else None

    def labels(self, scheme: str, name: str | None = None) -> pa.Table:
        """Return id, label and the scheme's own columns: the original labels, or a relabelling by its name."""
        self.classes(scheme)
        path = self.path / "labels" / (f"{scheme}.parquet" if name is None else f"{scheme}.{check_name(name)}.parquet")
        if name is not None and not path.exists():
            raise StoreError(f"dataset {self.name!r} version {self.version} has no relabelling {name!r} of {scheme!r}")
        return read_table(path)

    def labels_sha256(self, scheme: str, name: str) -> str:
        """Return the sha256 of the file of a relabelling."""
        self.labels(scheme, name)  # refuses one that is not there
        return sha256_of_file(self.path / "labels" / f"{scheme}.{name}.parquet")

    @property
    def validation_page(self) -> Path:
        """The page of the version's validation, existing or not."""
        return self.path / VALIDATION / VALIDATION_PAGE

    def label_versions(self, scheme: str) -> list[str]:
        """Return the names of a scheme's relabellings in alphabetical order."""
        files = sorted((self.path / "labels").glob(f"{scheme}.*.parquet"))
        return [path.name.removeprefix(f"{scheme}.").removesuffix(".parquet") for path in files]

    def every_label_table(self) -> dict[str, pa.Table]:
        """Return all label tables by the stem of their file: ``SCHEME`` and ``SCHEME.NAME``."""
        return {path.stem: read_table(path) for path in sorted((self.path / "labels").glob("*.parquet"))}

    def classes(self, scheme: str) -> list[str]:
        """Return a scheme's classes in order."""
        schemes = self.manifest["schemes"]
        if scheme not in schemes:
            raise StoreError(
                f"dataset {self.name!r} version {self.version} is not labelled by scheme {scheme!r}; "
                f"it has: {', '.join(schemes) or 'none'}"
            )
        return list(schemes[scheme]["classes"])


def _note_current(folder: Path, number: int) -> None:
    """Keep the number of a published version beside its copies, for pages that ask no object store."""
    if current_version(folder) != number:
        with whole_file(folder / CURRENT) as path:
            path.write_text(f"{number}\n", encoding="ascii")
