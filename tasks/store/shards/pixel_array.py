"""A pixel array whose damage has a name: reading fails with dataset, shard file, rows and remedy."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.storage import LocalStore

from tasks.store.errors import DamagedPixelsError
from tasks.store.object_store.objects import ObjectFile, ObjectFolder
from tasks.store.shards.byte_sources import Place
from tasks.store.shards.shard_codec import ShardCodec

NAMED_RANGES = 4

# What is raised for bytes that fail their checksum or cannot be decoded, and for a file that cannot be read.
_READ_ERRORS = (ValueError, RuntimeError, OSError)


@dataclass(frozen=True)
class Owner:
    """What a pixel array belongs to, for the text of an error.

    Attributes
    ----------
    name : str
        Such as ``dataset 'sky' version 3``.
    remedy : str
        What to do about damage.
    complete : bool
        Every row that is read was written: a missing shard file is damage, not rows of zeros.
    """

    name: str
    remedy: str
    complete: bool


@dataclass(frozen=False)
class PixelArray(zarr.Array):
    """A Zarr array (sample, y, x, channel) whose reading by ``array[...]`` names damage.

    Attributes
    ----------
    owner : Owner or None
        None: errors are those of Zarr.
    objects : ObjectFolder or None
        The pixel store, where it is one of objects.
    fault : DamagedPixelsError or None
        The damage that a reading met last, for callers between whom and the reader other software replaces errors.
    """

    owner: Owner | None = None
    objects: ObjectFolder | None = None
    fault: DamagedPixelsError | None = field(default=None, compare=False)

    def __getitem__(self, selection: Any) -> Any:
        """Read as `zarr.Array` does.

        Raises
        ------
        DamagedPixelsError
            Bytes fail their checksum, cannot be decoded or read, or a shard's file is missing.
        """
        if self.owner is None:
            return self._read(selection)
        if self.owner.complete:
            self._require_files(selection)
        try:
            return self._read(selection)
        except _READ_ERRORS as error:
            damage = self._find_damage(selection)
            if damage is None:
                raise
            raise self._set_fault(damage, error) from error

    def _read(self, selection: Any) -> Any:
        """Read a plain slice by the codec of shards, and what it cannot read, by Zarr, which decides on damage."""
        if self._shard_codec is not None and isinstance(selection, slice) and selection.step in (None, 1):
            first, stop, _ = selection.indices(self.shape[0])
            with suppress(*_READ_ERRORS):
                return self._read_rows(self._shard_codec, first, max(first, stop))
        return super().__getitem__(selection)

    def _read_rows(self, codec: ShardCodec, first: int, stop: int) -> NDArray:
        images = np.empty((stop - first, *codec.sample_shape), codec.dtype)
        for shard in range(first // codec.rows, -(-stop // codec.rows)):
            start = shard * codec.rows
            begin, end = max(first, start), min(stop, start + codec.rows)
            codec.read(self.shard_file(shard), begin - start, images[begin - first : end - first])
        return images

    @cached_property
    def _shard_codec(self) -> ShardCodec | None:
        return ShardCodec.of(self)

    def shard_rows(self) -> int:
        """Return the number of rows of a shard, the unit of a file."""
        return int((self.shards or self.chunks)[0])

    def shard_file(self, shard: int) -> Place:
        """Return the file or the object of the shard of that number."""
        key = self.metadata.encode_chunk_key((shard, *(0 for _ in self.shape[1:])))
        if self.objects is not None:
            return ObjectFile(self.objects, f"{self.path}/{key}")
        assert isinstance(self.store, LocalStore)
        return Path(self.store.root, self.path, key)

    @cached_property
    def _present(self) -> set[int]:
        """Shards that were found in a store of objects, where each look is a request; no shard is ever removed."""
        return set()

    def _has_shard(self, shard: int) -> bool:
        if shard in self._present:
            return True
        found = self.shard_file(shard).exists()
        if found and self.objects is not None:
            self._present.add(shard)
        return found

    def _require_files(self, selection: Any) -> None:
        for shard in self._shards_of(selection):
            if not self._has_shard(shard):
                first = shard * self.shard_rows()
                rows = [(first, min(first + self.shard_rows(), self.shape[0]) - 1)]
                raise self._set_fault((shard, rows), FileNotFoundError("there is no such file"))

    def _shards_of(self, selection: Any) -> Sequence[int]:
        """Return the shards that a selection reads, more than these for a slice with a step.

        No others may be looked for: an unfinished build leaves rows without a shard between or after those written.
        """
        rows = selection[0] if isinstance(selection, tuple) and selection else selection
        if isinstance(rows, list | np.ndarray):
            chosen = np.asarray(rows)
            numbers = np.flatnonzero(chosen) if chosen.dtype == bool else chosen.astype(np.int64)
            shards: list[int] = np.unique(numbers % max(1, self.shape[0]) // self.shard_rows()).tolist()
            return shards
        first, last = 0, self.shape[0] - 1
        if isinstance(rows, int | np.integer):
            first = last = int(rows) % max(1, self.shape[0])
        elif isinstance(rows, slice) and rows.step in (None, 1):
            first, stop, _ = rows.indices(self.shape[0])
            last = stop - 1
        return range(first // self.shard_rows(), last // self.shard_rows() + 1) if first <= last else range(0)

    def _find_damage(self, selection: Any) -> tuple[int, list[tuple[int, int]]] | None:
        """Return the first shard of a selection with chunks that cannot be read, and their first and last rows."""
        for shard in self._shards_of(selection):
            broken = [rows for rows in self._chunks_of(shard) if not self._can_read(rows)]
            if broken:
                return shard, _joined(broken)
        return None

    def _chunks_of(self, shard: int) -> Iterator[tuple[int, int]]:
        begin, end = shard * self.shard_rows(), min((shard + 1) * self.shard_rows(), self.shape[0])
        for first in range(begin, end, self.chunks[0]):
            yield first, min(first + self.chunks[0], end) - 1

    def _can_read(self, rows: tuple[int, int]) -> bool:
        try:
            super().__getitem__(slice(rows[0], rows[1] + 1))
        except _READ_ERRORS:
            return False
        return True

    def _set_fault(self, damage: tuple[int, list[tuple[int, int]]], error: Exception) -> DamagedPixelsError:
        assert self.owner is not None
        shard, ranges = damage
        named = " and ".join(f"{first} to {last}" for first, last in ranges[:NAMED_RANGES])
        more = f" and {len(ranges) - NAMED_RANGES} more ranges" if len(ranges) > NAMED_RANGES else ""
        self.fault = DamagedPixelsError(
            f"{self.owner.name}: the pixels of rows {named}{more} cannot be read from {self.shard_file(shard)} "
            f"({_described(error)}); {self.owner.remedy}"
        )
        return self.fault


def _joined(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return ranges with those joined that follow each other."""
    joined = ranges[:1]
    for first, last in ranges[1:]:
        if first == joined[-1][1] + 1:
            joined[-1] = joined[-1][0], last
        else:
            joined.append((first, last))
    return joined


def _described(error: Exception) -> str:
    text = " ".join(str(error).split())
    return "its checksum is wrong" if "checksum" in text.lower() else text or type(error).__name__
