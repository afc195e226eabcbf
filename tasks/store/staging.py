"""The finished, unpublished work of a build: one folder a batch, complete or absent.

A batch is a fixed list of ids. Its folder holds its part of the ledger and the pixels of its stored
samples in the order of the ledger. A build that died continues with the batches that are missing.
On an object store a batch is two objects, and finished when the second, its ledger, is there.
"""

import io
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.store.errors import StoreError
from tasks.store.files import whole_folder
from tasks.store.objects import ObjectFolder
from tasks.store.schema import STORED

_BATCH = "batch-"
_ROWS = "rows.json"
_PIXELS, _LEDGER = "pixels.npy", "ledger.parquet"


@dataclass(frozen=True)
class Staging:
    """The staging folder of one build request.

    Attributes
    ----------
    folder : Path
        Named by a digest of the request, so that another request never uses its batches.
    objects : ObjectFolder or None
        Where the batches are, in place of `folder`; what one process works with stays in `folder`.
    """

    folder: Path
    objects: ObjectFolder | None = None

    def batch(self, number: int) -> Path:
        """Return the folder of a batch."""
        return self.folder / _batch_name(number)

    def is_finished(self, number: int) -> bool:
        """Return whether a batch is complete."""
        if self.objects is None:
            return self.batch(number).is_dir()
        return self.objects.has(f"{_batch_name(number)}/{_LEDGER}")

    def finished(self) -> set[int]:
        """Return the numbers of the batches that are complete."""
        if self.objects is None:
            return {int(path.name.removeprefix(_BATCH)) for path in self.folder.glob(f"{_BATCH}*") if path.is_dir()}
        keys = (key.partition("/") for key in self.objects.names())
        return {int(name.removeprefix(_BATCH)) for name, _, file in keys if file == _LEDGER}

    def write(self, number: int, ledger: pa.Table, samples: np.ndarray) -> None:
        """Write a batch: its ledger rows and, in their order, the pixels (n, y, x, channel) of the stored ones."""
        stored = ledger["status"].to_pylist().count(STORED)
        if stored != len(samples):
            raise ValueError(f"batch {number} has {stored} stored rows and {len(samples)} samples")
        if self.objects is None:
            with whole_folder(self.batch(number)) as folder, (folder / _PIXELS).open("wb") as stream:
                _save(stream, samples)
                pq.write_table(ledger, folder / _LEDGER)
            return
        pixels, rows = io.BytesIO(), io.BytesIO()
        _save(pixels, samples)
        pq.write_table(ledger, rows)
        for name, content in ((_PIXELS, pixels), (_LEDGER, rows)):
            self.objects.put_verified(f"{_batch_name(number)}/{name}", content.getvalue())

    def ledger(self, number: int) -> pa.Table:
        """Return a batch's ledger rows."""
        return pq.read_table(self._open(number, _LEDGER))

    def ledger_schema(self, number: int) -> pa.Schema:
        """Return the schema of a batch's ledger rows, with its metadata."""
        return pq.read_schema(self._open(number, _LEDGER))

    def pixels(self, number: int) -> np.ndarray:
        """Return a batch's samples (n, y, x, channel), in the order of its stored ledger rows; a file is mapped."""
        file = self._open(number, _PIXELS)
        samples: np.ndarray = np.load(file, mmap_mode="r" if isinstance(file, Path) else None, allow_pickle=False)
        return samples

    def rows(self, count: int, claim: Callable[[int], int]) -> int:
        """Return the first of the array rows that this build has claimed, by `claim` unless it did so before it died.

        The record of it lies beside the batches, so that another machine can finish the build.
        """
        assert self.objects is not None
        record = self.objects.get(_ROWS)
        claimed = {} if record is None else json.loads(record)
        if claimed.get("count") != count:
            claimed = {"count": count, "first_row": claim(count)}
            self.objects.put_verified(_ROWS, json.dumps(claimed).encode())
        return int(claimed["first_row"])

    def forget_rows(self) -> None:
        """Let the next run claim rows of its own."""
        assert self.objects is not None
        self.objects.delete(_ROWS)

    def clear(self) -> None:
        """Remove what is staged."""
        if self.objects is not None:
            self.objects.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _open(self, number: int, name: str) -> Path | io.BytesIO:
        """Return a file of a batch for reading."""
        if self.objects is None:
            return self.batch(number) / name
        key = f"{_batch_name(number)}/{name}"
        content = self.objects.get(key)
        if content is None:
            raise StoreError(f"{self.objects}/{key} is missing; run the same command again, it is collected again")
        return io.BytesIO(content)


def _batch_name(number: int) -> str:
    return f"{_BATCH}{number:06d}"


def _save(stream: BinaryIO, samples: np.ndarray) -> None:
    """Write an array as ``.npy``; unlike `numpy.save`, a stream reports a full disk on a short write."""
    np.lib.format.write_array_header_1_0(stream, np.lib.format.header_data_from_array_1_0(samples))
    stream.write(np.ascontiguousarray(samples).data)


def clear_others(parent: Path, keep: Path) -> None:
    """Remove the staging folders of unfinished requests other than `keep`."""
    for folder in parent.glob("*"):
        if folder != keep:
            shutil.rmtree(folder, ignore_errors=True)
