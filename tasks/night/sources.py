"""Where the candidates of a night come from: a dataset, an array, alert packets, a Zarr array; in blocks, in order.

A block is read whole, the next while others are judged, so memory holds a few blocks whatever the night's length.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import zarr
from numpy.typing import NDArray
from zarr.errors import ArrayNotFoundError
from zarr.storage import LocalStore

from realbogus.records import RecordSource, SourceError
from realbogus.sources.alerts import AlertSource
from realbogus.sources.array_files import StampArray, read_member_ids
from realbogus.sources.triplets import TripletSource
from realbogus.sources.zenodo import ZenodoSource
from realbogus.stamps import centre_pixel, fit_size, stamp_reasons
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import PIXELS, VERSIONS, Dataset, current_version
from tasks.store.errors import StoreError
from tasks.store.pixels import ARRAY_NAME
from tasks.store.schema import version_folder
from tasks.store.versions import stored_rows

BLOCK_ROWS = 2048
CONSTANT_PLANE = "constant_plane"
"""Reason of a candidate of which a plane holds one value only: scaled by its noise it would be rounding errors."""
PLANES = 3
_CORE_PX = 2


@dataclass(frozen=True)
class CandidateBlock:
    """Candidates that are judged together.

    Attributes
    ----------
    ids : list of str
    stamps : (n, stamp_px, stamp_px, 3) float32
        NaN where there is nothing, never infinite.
    ra_deg, dec_deg : (n,) float64
        NaN where there is no position.
    reasons : list of str or None
        Why a candidate cannot be scored.
    """

    ids: list[str]
    stamps: NDArray[np.float32]
    ra_deg: NDArray[np.float64]
    dec_deg: NDArray[np.float64]
    reasons: list[str | None]


class NightSource(Protocol):
    """Candidates in a fixed order."""

    @property
    def name(self) -> str:
        """What the night is called."""

    @property
    def identity(self) -> str:
        """The same for the same candidates in the same blocks."""

    @property
    def count(self) -> int | None:
        """How many candidates there are, None where only reading them tells."""

    @property
    def pixels(self) -> str | None:
        """What kind of pixels they are, such as simulated; None where nothing tells."""

    def blocks(self, first: int = 0) -> Iterator[CandidateBlock]:
        """Yield the candidates from block ``first`` on, in the same blocks every time; those before are not read."""


def open_night(workspace: Workspace, path: str, stamp_px: int, block_rows: int = BLOCK_ROWS) -> NightSource:
    """Open what `path` names: a dataset (its name, folder or version folder), an array, alerts, a Zarr array.

    Raises
    ------
    SourceError
        It is none of these, or its stamps are not what a model takes.
    """
    place = Path(path).expanduser()
    published = current_version(place) if place.is_dir() else None
    if published is not None:
        place = place / VERSIONS / version_folder(published)
    if (place / "manifest.json").is_file():
        return DatasetNight(Dataset.at(place.resolve()), stamp_px, block_rows)
    if not place.exists():
        if place.suffix or os.sep in path:
            raise SourceError(f"path={path} does not exist")
        try:
            return DatasetNight(Dataset.open(workspace, path), stamp_px, block_rows)
        except (StoreError, ValueError) as error:
            raise SourceError(f"path={path} is no file or folder, and no dataset: {error}") from error
    if place.suffix in (".h5", ".hdf5"):
        raise SourceError(f"path={path}: HDF5 is not read; save the triplets as .npy, .npz or Zarr")
    if (place / "zarr.json").is_file() or place.suffix == ".zarr":
        return ZarrNight(place, stamp_px, block_rows)
    if place.is_file() and place.suffix in (".npy", ".npz"):
        return ArrayNight(place, stamp_px, block_rows)
    return RecordNight(place, _records(place, stamp_px))


def _records(place: Path, stamp_px: int) -> RecordSource:
    """Open a folder or file of records by what it holds."""
    names = [path.name for path in place.iterdir()] if place.is_dir() else [place.name]
    if any(name.startswith("images") and name.endswith(".npy") for name in names):
        published = ZenodoSource(place, stamp_px)
        for detector in published.detectors:
            file = place / f"images{detector}.npy"
            require_stamps(str(file), StampArray(file).shape, stamp_px)
        return published
    if place.is_dir() and any(name.endswith((".npy", ".npz")) for name in names):
        source = TripletSource(place, stamp_px)
        require_stamps(str(source.array.path), source.array.shape, stamp_px)
        return source
    return AlertSource(place, stamp_px)


@dataclass(frozen=True)
class DatasetNight:
    """The stored candidates of a dataset, in the order of their rows."""

    dataset: Dataset
    stamp_px: int
    block_rows: int = BLOCK_ROWS

    def __post_init__(self) -> None:
        if self.dataset.manifest["problem"] != "realbogus":
            raise SourceError(
                f"dataset {self.dataset.name!r} is of problem {self.dataset.manifest['problem']!r}: its samples are "
                "no triplets"
            )
        require_stamps(f"dataset {self.dataset.name!r}", self.dataset.pixels.shape, self.stamp_px)

    @property
    def name(self) -> str:
        """The dataset's name."""
        return self.dataset.name

    @property
    def identity(self) -> str:
        """The version's digest."""
        return f"{self.dataset.digest}:{self.block_rows}"

    @property
    def count(self) -> int:
        """How many are stored."""
        return len(self.ledger)

    @property
    def pixels(self) -> str:
        """As the manifest says."""
        return str(self.dataset.manifest["pixels"])

    @cached_property
    def ledger(self) -> pa.Table:
        """Ledger rows of the candidates, in their order."""
        columns = ["id", "row", "status", "kind", "group", "ra_deg", "dec_deg"]
        return stored_rows(self.dataset.samples(columns)).sort_by("row")

    def blocks(self, first: int = 0) -> Iterator[CandidateBlock]:
        """Yield the stored candidates by row."""
        rows, stored = self.ledger["row"].to_numpy(), self.dataset.pixels
        for start in range(first * self.block_rows, len(rows), self.block_rows):
            part, mine = self.ledger.slice(start, self.block_rows), rows[start : start + self.block_rows]
            stamps = np.asarray(stored[int(mine[0]) : int(mine[-1]) + 1])
            if len(stamps) != len(mine):
                stamps = stamps[mine - mine[0]]
            yield _block(
                part["id"].to_pylist(), stamps, self.stamp_px, _numbers(part, "ra_deg"), _numbers(part, "dec_deg")
            )


@dataclass(frozen=True)
class ZarrNight:
    """A Zarr array (sample, y, x, channel), or a store that holds one called ``pixels``; ids are rows."""

    path: Path
    stamp_px: int
    block_rows: int = BLOCK_ROWS

    def __post_init__(self) -> None:
        require_stamps(str(self.path), self.array.shape, self.stamp_px)
        _require_numbers(str(self.path), self.array.dtype)

    @property
    def name(self) -> str:
        """The store's name."""
        return self.path.stem

    @property
    def identity(self) -> str:
        """Place, shape, and when its files were last written: the array has no digest of its own."""
        newest = max(file.stat().st_mtime_ns for file in self.path.rglob("*") if file.is_file())
        return f"{self.path.resolve()}:{self.array.shape}:{newest}:{self.block_rows}"

    @property
    def count(self) -> int:
        """The array's length."""
        return int(self.array.shape[0])

    @property
    def pixels(self) -> str | None:
        """The array's attribute of that name."""
        return self.array.attrs.get("pixels")  # type: ignore[return-value]

    @cached_property
    def array(self) -> zarr.Array:
        """The array, read only."""
        folder = self.path / PIXELS if (self.path / PIXELS).is_dir() else self.path
        name = ARRAY_NAME if (folder / ARRAY_NAME).is_dir() else ""
        try:
            return zarr.open_array(LocalStore(folder, read_only=True), path=name, mode="r")
        except (ArrayNotFoundError, FileNotFoundError) as error:
            raise SourceError(f"{self.path} holds no Zarr array, nor one called {ARRAY_NAME}") from error

    def blocks(self, first: int = 0) -> Iterator[CandidateBlock]:
        """Yield the rows in order."""
        for start in range(first * self.block_rows, self.count, self.block_rows):
            stamps = np.asarray(self.array[start : start + self.block_rows])
            yield _block(_row_ids(start, len(stamps)), stamps, self.stamp_px)


@dataclass(frozen=True)
class ArrayNight:
    """An array file alone; ids are its member ``candid`` or ``id``, else rows."""

    path: Path
    stamp_px: int
    block_rows: int = BLOCK_ROWS
    pixels: None = None

    def __post_init__(self) -> None:
        require_stamps(str(self.path), self.array.shape, self.stamp_px)
        if self.ids is not None and len(self.ids) != len(self.array):
            raise SourceError(f"{self.path} names {len(self.ids)} ids for {len(self.array)} candidates")

    @cached_property
    def array(self) -> StampArray:
        """The array."""
        return StampArray(self.path)

    @cached_property
    def ids(self) -> NDArray | None:
        """The file's own ids."""
        return read_member_ids(self.path)

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.stem

    @property
    def identity(self) -> str:
        """Place, size and time of the file."""
        facts = self.path.stat()
        return f"{self.path.resolve()}:{facts.st_size}:{facts.st_mtime_ns}:{self.block_rows}"

    @property
    def count(self) -> int:
        """The array's length."""
        return len(self.array)

    def blocks(self, first: int = 0) -> Iterator[CandidateBlock]:
        """Yield the rows in order."""
        for start in range(first * self.block_rows, self.count, self.block_rows):
            count = min(self.block_rows, self.count - start)
            names = _row_ids(start, count)
            if self.ids is not None:
                names = [str(name) for name in self.ids[start : start + count]]
            yield _block(names, self.array.rows(start, count), self.stamp_px)


@dataclass(frozen=True)
class RecordNight:
    """Records of one of a build's sources, a block for each of its batches."""

    path: Path
    source: RecordSource
    pixels: None = None

    @property
    def name(self) -> str:
        """The file's or folder's name."""
        return self.path.resolve().name.split(".")[0]

    @property
    def identity(self) -> str:
        """The names of all batches, which follow from the content."""
        return ":".join(batch.name for batch in self._batches)

    @property
    def count(self) -> None:
        """Only reading the packets tells."""
        return None

    @cached_property
    def _batches(self) -> Sequence[Any]:
        return self.source.batches()

    def blocks(self, first: int = 0) -> Iterator[CandidateBlock]:
        """Yield the records batch by batch."""
        for batch in islice(self._batches, first, None):
            records = self.source.read(batch)
            table = records.table
            reasons = _reasons(records.pixels, table["reason"].to_pylist())
            yield CandidateBlock(
                table["id"].to_pylist(), records.pixels, _numbers(table, "ra_deg"), _numbers(table, "dec_deg"), reasons
            )


def require_stamps(what: str, shape: tuple[int, ...], stamp_px: int) -> None:
    """Refuse arrays that are no triplets, or whose stamps are smaller than a model takes; larger ones are cut.

    Raises
    ------
    SourceError
    """
    if len(shape) != 4 or shape[3] != PLANES:
        raise SourceError(f"{what} has shape {shape}, expected (n, side, side, 3): new, reference, difference")
    if min(shape[1:3]) < stamp_px:
        raise SourceError(
            f"{what}: a candidate is {(shape[1], shape[2])}, expected {(stamp_px, stamp_px)}; larger stamps are cut "
            "about their centre, smaller ones cannot be scored by this model"
        )


def _require_numbers(what: str, dtype: Any) -> None:
    if np.dtype(dtype).kind not in "iuf":
        raise SourceError(f"{what} is of type {dtype}, expected whole or floating-point numbers")


def _row_ids(first: int, count: int) -> list[str]:
    return [f"{row:09d}" for row in range(first, first + count)]


def _block(
    ids: list[str],
    stamps: NDArray[Any],
    stamp_px: int,
    ra_deg: NDArray | None = None,
    dec_deg: NDArray | None = None,
) -> CandidateBlock:
    """Return a block of stamps of any size and type, brought to the model's."""
    if stamps.shape[1:3] != (stamp_px, stamp_px) or stamps.dtype != np.float32:
        stamps = fit_size(stamps, stamp_px)
    stamps = _without_infinities(stamps)
    nowhere = np.full(len(ids), np.nan)
    reasons = _reasons(stamps, [None] * len(ids))
    return CandidateBlock(
        ids, stamps, nowhere if ra_deg is None else ra_deg, nowhere if dec_deg is None else dec_deg, reasons
    )


def _without_infinities(stamps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return stamps with NaN for what is infinite; a copy where something is, or where they are a file's pages."""
    with np.errstate(over="ignore", invalid="ignore"):  # a sum is finite only if all its terms are
        rows = np.flatnonzero(~np.isfinite(stamps.reshape(len(stamps), -1).sum(axis=1)))
    if isinstance(stamps, np.memmap) or len(rows):
        stamps = np.array(stamps)
        stamps[rows] = np.where(np.isfinite(stamps[rows]), stamps[rows], np.float32(np.nan))
    return stamps


def _reasons(stamps: NDArray[np.float32], known: list[str | None]) -> list[str | None]:
    """Return why candidates cannot be scored: what a build would reject them for, or a plane without content."""
    reasons = [before or after for before, after in zip(known, stamp_reasons(stamps), strict=True)]
    for row in _suspected_constant(stamps):
        if reasons[row] is None and np.any(np.nanmin(stamps[row], (0, 1)) == np.nanmax(stamps[row], (0, 1))):
            reasons[row] = CONSTANT_PLANE
    return reasons


def _suspected_constant(stamps: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the rows of which a plane holds one value in its middle: few, and only they are looked at whole."""
    middle = centre_pixel(stamps.shape[1])
    core = stamps[:, middle - _CORE_PX : middle + _CORE_PX + 1, middle - _CORE_PX : middle + _CORE_PX + 1]
    return np.flatnonzero((core == core[:, :1, :1]).all(axis=(1, 2)).any(axis=1))


def _numbers(table: pa.Table, name: str) -> NDArray[np.float64]:
    return np.asarray(pc.cast(table[name], pa.float64()).to_numpy(zero_copy_only=False), float)
