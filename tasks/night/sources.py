"""Sources of a night's candidates: a dataset, a Zarr array, an array file, alert packets; in blocks, in a fixed order.

One block is in memory at a time, so memory use does not depend on the length of the night.
"""

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from realbogus.readings import Reading
from realbogus.records import CORRUPT, RecordSource, SourceError, find_places
from realbogus.sources.alerts import AlertSource
from realbogus.sources.array_files import StampArray
from realbogus.sources.pair_tables import IMAGE_SUFFIX
from realbogus.sources.triplet_files import ARRAY_SUFFIXES, TABLE_SUFFIXES
from realbogus.sources.triplets import TripletSource
from realbogus.sources.zenodo import ZenodoSource
from tasks.night.blocks import (
    CandidateBlock,
    make_block,
    require_numbers,
    require_stamps,
    row_ids,
    unscorable_reasons,
)
from tasks.night.simulated import MADE
from tasks.records.record_tables import RecordTables
from tasks.records.source_files import fingerprint_files, list_record_files
from tasks.runtime.workspace import Workspace
from tasks.store.columns import to_float
from tasks.store.dataset import PIXELS, VERSIONS, Dataset, current_version
from tasks.store.errors import StoreError
from tasks.store.pixels import PixelArray, find_array
from tasks.store.schema import REALBOGUS, version_folder
from tasks.store.versions import stored_rows

_FRAME = re.compile(rf"{IMAGE_SUFFIX}$")
BLOCK_ROWS = 2048
HDF5_SUFFIXES = (".h5", ".hdf5")
UNKNOWN_OF_ARRAYS = ("id", "ra", "dec", "time", "sign")
"""Roles that an array without a table lacks."""


class NightSource(Protocol):
    """Candidates in a fixed order."""

    @property
    def name(self) -> str:
        """Name of the night."""

    @property
    def identity(self) -> str:
        """Equal for the same candidates in the same blocks, and only for them."""

    @property
    def count(self) -> int | None:
        """Number of candidates; None if it is known only after reading them."""

    @property
    def pixels(self) -> str | None:
        """Origin of the pixels, such as ``simulated``; None if unknown."""

    def blocks(self, first: int = 0) -> Iterator[CandidateBlock]:
        """Yield the candidates from block `first` on, in the same blocks every time; earlier blocks are not read."""


def open_night(workspace: Workspace, path: str, stamp_px: int, block_rows: int = BLOCK_ROWS) -> NightSource:
    """Open the source that `path` names.

    Parameters
    ----------
    workspace : Workspace
    path : str
        A dataset (its name, folder or version folder), a Zarr array, an ``.npy`` or ``.npz`` file or its folder, with
        or without a table of its rows, or alert packets.
    stamp_px : int
        Width of the model's stamps.
    block_rows : int
        Candidates per block, for sources without batches of their own.

    Raises
    ------
    SourceError
        It is none of these, or its stamps do not suit the model.
    """
    place = Path(path).expanduser()
    dataset = _find_dataset(workspace, place, path)
    if dataset is not None:
        return DatasetNight(dataset, stamp_px, block_rows)
    if place.suffix in HDF5_SUFFIXES:
        raise SourceError(f"path={path}: HDF5 is not read; save the triplets as .npy, .npz or Zarr")
    if (place / "zarr.json").is_file() or place.suffix == ".zarr":
        return ZarrNight(place, stamp_px, block_rows)
    if next(place.glob("images*.npy"), None) is not None:
        return RecordNight(place, _open_published(place, stamp_px))
    files = place.iterdir() if place.is_dir() else [place]
    if any(file.name.lower().endswith(ARRAY_SUFFIXES) for file in files):
        return _open_array(place, stamp_px, block_rows)
    return _open_packets(place, path, stamp_px)


def _open_packets(place: Path, path: str, stamp_px: int) -> NightSource:
    """Open alert packets; frames and tables, which are taken for a night by mistake, are named as what they are."""
    names = [file.name.lower() for file in place.iterdir()] if place.is_dir() else [place.name.lower()]
    source = AlertSource(place, stamp_px)
    if place.is_dir() and not source.files():
        holds = "frames, which are no candidates yet" if any(_FRAME.search(name) for name in names) else "no candidates"
        raise SourceError(
            f"path={path} holds {holds}: give a dataset, an array .npy, .npz or Zarr, or alert packets; make a dataset "
            "of frames by build-realbogus-dataset with source=frames"
        )
    if place.is_file() and place.suffix.lower() in TABLE_SUFFIXES:
        what = "a FITS file" if _FRAME.search(place.name.lower()) else "a table"
        raise SourceError(f"path={path} is {what}: give the array of its rows, .npy or .npz, or the folder of both")
    return RecordNight(place, source)


def _find_dataset(workspace: Workspace, place: Path, path: str) -> Dataset | None:
    """Return the dataset whose name, folder or version folder `path` is; None where there is another file or folder."""
    published = current_version(place) if place.is_dir() else None
    folder = place if published is None else place / VERSIONS / version_folder(published)
    if (folder / "manifest.json").is_file():
        return Dataset.at(folder.resolve())
    if place.exists():
        return None
    if place.suffix or os.sep in path:
        raise SourceError(f"path={path} does not exist")
    try:
        return Dataset.open(workspace, path)
    except (StoreError, ValueError) as error:
        raise SourceError(f"path={path} is no file or folder, and no dataset: {error}") from error


def _open_array(place: Path, stamp_px: int, block_rows: int) -> NightSource:
    """Open an array file, or the folder that holds it, with its table if there is one."""
    source = TripletSource(place, stamp_px, conventions=RecordTables().conventions())
    require_stamps(str(source.array.path), source.array.shape, stamp_px)
    if not source.table.names:
        return ArrayNight(source.array.path, stamp_px, block_rows, notes=source.table.notes)
    return RecordNight(place, source)


def _open_published(place: Path, stamp_px: int) -> RecordSource:
    published = ZenodoSource(place, stamp_px, read_table=RecordTables())
    for detector in published.detectors:
        file = place / f"images{detector}.npy"
        require_stamps(str(file), StampArray(file).shape, stamp_px)
    return published


@dataclass(frozen=True)
class DatasetNight:
    """The stored candidates of a dataset, in the order of their rows."""

    dataset: Dataset
    stamp_px: int
    block_rows: int = BLOCK_ROWS

    def __post_init__(self) -> None:
        if self.dataset.manifest["problem"] != REALBOGUS:
            raise SourceError(
                f"dataset {self.dataset.name!r} is of problem {self.dataset.manifest['problem']!r}: its samples are "
                "no triplets"
            )
        require_stamps(f"dataset {self.dataset.name!r}", self.dataset.pixels.shape, self.stamp_px)

    @property
    def name(self) -> str:
        """Name of the dataset."""
        return self.dataset.name

    @property
    def identity(self) -> str:
        """Digest of the version, and the block size."""
        return f"{self.dataset.digest}:{self.block_rows}"

    @property
    def count(self) -> int:
        """Number of stored candidates."""
        return len(self.ledger)

    @property
    def pixels(self) -> str:
        """The manifest's entry."""
        return str(self.dataset.manifest["pixels"])

    @cached_property
    def ledger(self) -> pa.Table:
        """Ledger rows of the stored candidates, sorted by ``row``: id, row, status, kind, group, ra_deg, dec_deg."""
        columns = ["id", "row", "status", "kind", "group", "ra_deg", "dec_deg"]
        return stored_rows(self.dataset.samples(columns)).sort_by("row")

    def blocks(self, first: int = 0) -> Iterator[CandidateBlock]:
        """Yield the stored candidates by row."""
        rows, array = self.ledger["row"].to_numpy(), self.dataset.pixels
        for start in range(first * self.block_rows, len(rows), self.block_rows):
            part, block_rows = self.ledger.slice(start, self.block_rows), rows[start : start + self.block_rows]
            stamps = _rows_of(array, block_rows)
            ra_deg, dec_deg = to_float(part["ra_deg"]), to_float(part["dec_deg"])
            yield make_block(part["id"].to_pylist(), stamps, self.stamp_px, ra_deg, dec_deg)


def _rows_of(array: PixelArray, rows: NDArray) -> NDArray:
    """Read ascending rows (n,) of an array (sample, y, x, channel) in one piece: (n, y, x, channel)."""
    stamps = np.asarray(array[int(rows[0]) : int(rows[-1]) + 1])
    return stamps if len(stamps) == len(rows) else stamps[rows - rows[0]]


@dataclass(frozen=True)
class ZarrNight:
    """A Zarr array (sample, y, x, channel), or a store that holds one called ``pixels``; ids are row numbers."""

    path: Path
    stamp_px: int
    block_rows: int = BLOCK_ROWS

    def __post_init__(self) -> None:
        require_stamps(str(self.path), self.array.shape, self.stamp_px)
        require_numbers(str(self.path), self.array.dtype)

    @property
    def name(self) -> str:
        """Name of the store."""
        return self.path.stem

    @property
    def identity(self) -> str:
        """Path, shape, newest file time and block size: the array has no digest."""
        newest = max(file.stat().st_mtime_ns for file in self.path.rglob("*") if file.is_file())
        return f"{self.path.resolve()}:{self.array.shape}:{newest}:{self.block_rows}"

    @property
    def count(self) -> int:
        """Length of the array."""
        return int(self.array.shape[0])

    @property
    def pixels(self) -> str | None:
        """The array's attribute ``pixels``."""
        origin = self.array.attrs.get("pixels")
        return None if origin is None else str(origin)

    @property
    def origin_ids(self) -> pa.ChunkedArray | None:
        """Ids of the samples behind the rows of a night that was drawn from a dataset, (n,); None for another array."""
        made = self.path / MADE
        return pq.read_table(made, columns=["id"])["id"] if made.is_file() else None

    @cached_property
    def array(self) -> PixelArray:
        """The array, read only."""
        try:
            return find_array(self.path / PIXELS if (self.path / PIXELS).is_dir() else self.path)
        except FileNotFoundError as error:
            raise SourceError(str(error)) from error

    def blocks(self, first: int = 0) -> Iterator[CandidateBlock]:
        """Yield the rows in order."""
        for start in range(first * self.block_rows, self.count, self.block_rows):
            stamps = np.asarray(self.array[start : start + self.block_rows])
            yield make_block(row_ids(start, len(stamps)), stamps, self.stamp_px)


@dataclass(frozen=True)
class ArrayNight:
    """An array file alone; ids are row numbers."""

    path: Path
    stamp_px: int
    block_rows: int = BLOCK_ROWS
    pixels: None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_stamps(str(self.path), self.array.shape, self.stamp_px)

    @cached_property
    def array(self) -> StampArray:
        """The array, (n, y, x, 3)."""
        return StampArray(self.path)

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.path.stem

    @property
    def identity(self) -> str:
        """Path, size and time of the file, and the block size."""
        facts = self.path.stat()
        return f"{self.path.resolve()}:{facts.st_size}:{facts.st_mtime_ns}:{self.block_rows}"

    @property
    def count(self) -> int:
        """Length of the array."""
        return len(self.array)

    def blocks(self, first: int = 0) -> Iterator[CandidateBlock]:
        """Yield the rows in order."""
        for start in range(first * self.block_rows, self.count, self.block_rows):
            count = min(self.block_rows, self.count - start)
            block = make_block(row_ids(start, count), self.array.rows(start, count), self.stamp_px)
            yield replace(block, reading=self._reading(count))

    def _reading(self, count: int) -> Reading:
        notes = tuple(f"{self.path}: {note}" for note in self.notes)
        return Reading(missing=dict.fromkeys(UNKNOWN_OF_ARRAYS, count), notes=notes)


@dataclass(frozen=True)
class RecordNight:
    """Records of one of a build's sources, a block for each of its batches."""

    path: Path
    source: RecordSource
    pixels: None = None

    @property
    def name(self) -> str:
        """Name of the file or folder, up to its first dot."""
        return self.path.resolve().name.split(".")[0]

    @property
    def identity(self) -> str:
        """Names of all batches, and a fingerprint of the files beside them, such as the table of the rows."""
        return ":".join([*(batch.name for batch in self._batches), fingerprint_files(list_record_files(self.source))])

    @property
    def count(self) -> None:
        """Unknown until the records are read."""
        return None

    @cached_property
    def _batches(self) -> Sequence[Any]:
        return self.source.batches()

    def blocks(self, first: int = 0) -> Iterator[CandidateBlock]:
        """Yield the records batch by batch."""
        for batch in islice(self._batches, first, None):
            records = self.source.read(batch)
            table = records.table
            reasons = unscorable_reasons(records.pixels, table["reason"].to_pylist())
            ra_deg, dec_deg = to_float(table["ra_deg"]), to_float(table["dec_deg"])
            yield CandidateBlock(table["id"].to_pylist(), records.pixels, ra_deg, dec_deg, reasons, records.reading)

    def places(self, sample_id: str, blocks: Sequence[int]) -> list[str]:
        """Return where two records of one id stand, by the numbers of their blocks."""
        return find_places(self.source, [self._batches[number] for number in blocks], sample_id)

    def first_fault(self) -> str | None:
        """Return the file and the error of the first record of the first block that cannot be decoded."""
        for batch in self._batches[:1]:
            table = self.source.read(batch).table
            for text in table.filter(pc.equal(table["reason"], CORRUPT))["parameters"].to_pylist():
                fault = json.loads(text)
                return f"{fault['file']}: {fault['error']}" if "error" in fault else None
        return None
