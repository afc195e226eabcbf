"""Where the candidates of a night come from: a dataset, an array, alert packets, a Zarr array; in blocks, in order."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import zarr
from numpy.typing import NDArray
from zarr.storage import LocalStore

from realbogus.alerts import AlertSource
from realbogus.arrayfiles import StampArray, read_member_ids
from realbogus.records import RecordSource, SourceError
from realbogus.stamps import fit_size, stamp_reasons
from realbogus.triplets import TripletSource
from realbogus.zenodo import ZenodoSource
from tasks.store.dataset import PIXELS, Dataset
from tasks.store.errors import StoreError
from tasks.store.pixels import open_array
from tasks.store.versions import stored_rows
from tasks.workspace import Workspace

BLOCK_ROWS = 4096
CONSTANT_PLANE = "constant_plane"
"""Reason of a candidate of which the new or the difference plane holds one value only."""
PLANES = 3


@dataclass(frozen=True)
class Block:
    """Candidates that are judged together.

    Attributes
    ----------
    ids : list of str
    stamps : (n, stamp_px, stamp_px, 3) float32
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
        """The same for the same candidates."""

    @property
    def count(self) -> int | None:
        """How many candidates there are, None where only reading them tells."""

    def blocks(self) -> Iterator[Block]:
        """Yield all candidates in blocks, the same ones every time."""


def open_night(workspace: Workspace, path: str, stamp_px: int) -> NightSource:
    """Open what `path` names: a dataset of the workspace, a version folder, an array, alerts, a Zarr array.

    Raises
    ------
    SourceError
        It is none of these, or its stamps are not what a model takes.
    """
    place = Path(path).expanduser()
    if (place / "manifest.json").is_file():
        return DatasetNight(Dataset.at(place.resolve()), stamp_px)
    if not place.exists():
        try:
            return DatasetNight(Dataset.open(workspace, path), stamp_px)
        except (StoreError, ValueError) as error:
            raise SourceError(f"path={path} is neither a file or folder nor a dataset: {error}") from error
    if place.suffix == ".h5":
        raise SourceError(f"path={path}: HDF5 is not read; save the triplets as .npy, .npz or Zarr")
    if (place / "zarr.json").is_file() or place.suffix == ".zarr":
        return ZarrNight(place, stamp_px)
    if place.is_file() and place.suffix in (".npy", ".npz"):
        return ArrayNight(place, stamp_px)
    return RecordNight(place, _records(place, stamp_px))


def _records(place: Path, stamp_px: int) -> RecordSource:
    """Open a folder or file of records by what it holds."""
    names = [path.name for path in place.iterdir()] if place.is_dir() else [place.name]
    if any(name.startswith("images") and name.endswith(".npy") for name in names):
        return ZenodoSource(place, stamp_px)
    if place.is_dir() and any(name.endswith((".npy", ".npz")) for name in names):
        return TripletSource(place, stamp_px)
    return AlertSource(place, stamp_px)


@dataclass(frozen=True)
class DatasetNight:
    """The stored candidates of a dataset, in the order of their rows."""

    dataset: Dataset
    stamp_px: int

    def __post_init__(self) -> None:
        if self.dataset.manifest["problem"] != "realbogus":
            raise SourceError(f"dataset {self.dataset.name!r} is of problem {self.dataset.manifest['problem']!r}")
        _require_planes(f"dataset {self.dataset.name!r}", self.dataset.pixels.shape)

    @property
    def name(self) -> str:
        """The dataset's name."""
        return self.dataset.name

    @property
    def identity(self) -> str:
        """The dataset's digest."""
        return self.dataset.digest

    @property
    def count(self) -> int:
        """How many are stored."""
        return int(self.dataset.manifest["stored"])

    def blocks(self) -> Iterator[Block]:
        """Yield the stored candidates by row."""
        ledger = stored_rows(self.dataset.samples(["id", "row", "status", "ra_deg", "dec_deg"])).sort_by("row")
        rows = ledger["row"].to_numpy()
        pixels = self.dataset.pixels
        for first in range(0, len(rows), BLOCK_ROWS):
            part, mine = ledger.slice(first, BLOCK_ROWS), rows[first : first + BLOCK_ROWS]
            stamps = np.asarray(pixels[int(mine[0]) : int(mine[-1]) + 1])[mine - mine[0]]
            yield _block(
                part["id"].to_pylist(), stamps, self.stamp_px, _numbers(part, "ra_deg"), _numbers(part, "dec_deg")
            )


@dataclass(frozen=True)
class ZarrNight:
    """A Zarr array (sample, y, x, channel), or a store that holds one called ``pixels``; ids are rows."""

    path: Path
    stamp_px: int

    def __post_init__(self) -> None:
        _require_planes(str(self.path), self._open().shape)

    @property
    def name(self) -> str:
        """The store's name."""
        return self.path.stem

    @property
    def identity(self) -> str:
        """Place and shape: the array has no digest of its own."""
        return f"{self.path.resolve()}:{self._open().shape}"

    @property
    def count(self) -> int:
        """The array's length."""
        return int(self._open().shape[0])

    def _open(self) -> zarr.Array:
        if (self.path / "pixels").is_dir() or (self.path / PIXELS).is_dir():
            return open_array(self.path if (self.path / "pixels").is_dir() else self.path / PIXELS)
        return zarr.open_array(LocalStore(self.path, read_only=True), mode="r")

    def blocks(self) -> Iterator[Block]:
        """Yield the rows in order."""
        array = self._open()
        for first in range(0, array.shape[0], BLOCK_ROWS):
            stamps = np.asarray(array[first : first + BLOCK_ROWS])
            yield _block([f"{row:09d}" for row in range(first, first + len(stamps))], stamps, self.stamp_px)


@dataclass(frozen=True)
class ArrayNight:
    """An array file alone; ids are its member ``candid`` or ``id``, else rows."""

    path: Path
    stamp_px: int

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.stem

    @property
    def identity(self) -> str:
        """Place, size and time of the file."""
        facts = self.path.stat()
        return f"{self.path.resolve()}:{facts.st_size}:{facts.st_mtime_ns}"

    @property
    def count(self) -> int:
        """The array's length."""
        return len(StampArray(self.path))

    def blocks(self) -> Iterator[Block]:
        """Yield the rows in order."""
        array = StampArray(self.path)
        ids = read_member_ids(self.path) if self.path.suffix == ".npz" else None
        for first in range(0, len(array), BLOCK_ROWS):
            count = min(BLOCK_ROWS, len(array) - first)
            names = [f"{row:09d}" for row in range(first, first + count)]
            if ids is not None:
                names = [str(name) for name in ids[first : first + count]]
            yield _block(names, array.rows(first, count), self.stamp_px)


@dataclass(frozen=True)
class RecordNight:
    """Records of one of a build's sources."""

    path: Path
    source: RecordSource

    @property
    def name(self) -> str:
        """The file's or folder's name."""
        return self.path.name.split(".")[0]

    @property
    def identity(self) -> str:
        """The names of all batches, which follow from the content."""
        return ":".join(batch.name for batch in self.source.batches())

    @property
    def count(self) -> None:
        """Only reading the packets tells."""
        return None

    def blocks(self) -> Iterator[Block]:
        """Yield the records batch by batch."""
        for batch in self.source.batches():
            records = self.source.read(batch)
            table = records.table
            reasons = _reasons(records.pixels, table["reason"].to_pylist())
            yield Block(
                table["id"].to_pylist(), records.pixels, _numbers(table, "ra_deg"), _numbers(table, "dec_deg"), reasons
            )


def _require_planes(what: str, shape: tuple[int, ...]) -> None:
    if len(shape) != 4 or shape[3] != PLANES or shape[1] != shape[2]:
        raise SourceError(f"{what} has shape {shape}, expected (n, side, side, 3): new, reference, difference")


def _block(
    ids: list[str],
    stamps: NDArray[Any],
    stamp_px: int,
    ra_deg: NDArray | None = None,
    dec_deg: NDArray | None = None,
) -> Block:
    """Return a block of stamps of any size, brought to the model's."""
    if stamps.shape[1] != stamp_px or stamps.dtype != np.float32:
        stamps = fit_size(stamps, stamp_px)
    nowhere = np.full(len(ids), np.nan)
    found = Block(ids, stamps, nowhere if ra_deg is None else ra_deg, nowhere if dec_deg is None else dec_deg, [])
    return Block(found.ids, found.stamps, found.ra_deg, found.dec_deg, _reasons(stamps, [None] * len(ids)))


def _reasons(stamps: NDArray[np.float32], known: list[str | None]) -> list[str | None]:
    """Return why candidates cannot be scored: what a build would reject them for, or a plane without content."""
    reasons = [before or after for before, after in zip(known, stamp_reasons(stamps), strict=True)]
    flat = stamps.reshape(len(stamps), -1, PLANES)
    with np.errstate(invalid="ignore"):
        constant = (flat[:, :1, ::2] == flat[:, :, ::2]).all(axis=1).any(axis=1)
    for row in np.flatnonzero(constant):
        reasons[row] = reasons[row] or CONSTANT_PLANE
    return reasons


def _numbers(table: pa.Table, name: str) -> NDArray[np.float64]:
    return np.asarray(pc.cast(table[name], pa.float64()).to_numpy(zero_copy_only=False), float)
