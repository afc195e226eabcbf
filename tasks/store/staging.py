"""The finished, unpublished work of a build: one folder a batch, complete or absent.

A batch is a fixed list of ids. Its folder holds its part of the ledger, the pixels of its stored
samples in the order of the ledger, and the checksums of both files. A build that died continues with
the batches that are missing. On an object store a batch is three objects, and finished when the last,
its ledger, is there.
"""

import errno
import io
import json
import shutil
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.store.errors import DamagedBatchError, ObjectStoreError, StoreError
from tasks.store.files import whole_folder
from tasks.store.object_store.objects import ObjectFolder
from tasks.store.schema import STORED

_BATCH = "batch-"
_ROWS = "rows.json"
PIXELS, LEDGER, CHECKSUMS = "pixels.npy", "ledger.parquet", "crc32.json"
BATCH_FILES = (PIXELS, LEDGER, CHECKSUMS)
_PIECE_BYTES = 1 << 20


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
        return self.objects.has(f"{_batch_name(number)}/{LEDGER}")

    def finished(self) -> set[int]:
        """Return the numbers of the batches that are complete."""
        if self.objects is None:
            return {int(path.name.removeprefix(_BATCH)) for path in self.folder.glob(f"{_BATCH}*") if path.is_dir()}
        keys = (key.partition("/") for key in self.objects.names())
        return {int(name.removeprefix(_BATCH)) for name, _, file in keys if file == LEDGER}

    def write(self, number: int, ledger: pa.Table, samples: np.ndarray) -> None:
        """Write a batch: its ledger rows and, in their order, the pixels (n, y, x, channel) of the stored ones.

        A batch that is there already stays: a worker that died, or was taken for dead, wrote it, and its job was given
        to another.
        """
        stored = ledger["status"].to_pylist().count(STORED)
        if stored != len(samples):
            raise ValueError(f"batch {number} has {stored} stored rows and {len(samples)} samples")
        if self.objects is None:
            self._write_folder(self.batch(number), ledger, samples)
        else:
            self._write_objects(self.objects, number, ledger, samples)

    def _write_folder(self, batch: Path, ledger: pa.Table, samples: np.ndarray) -> None:
        try:
            with whole_folder(batch) as folder:
                with (folder / PIXELS).open("wb") as stream:
                    _save(stream, samples)
                pq.write_table(ledger, folder / LEDGER)
                checksums = {name: _crc32(folder / name) for name in (PIXELS, LEDGER)}
                (folder / CHECKSUMS).write_text(json.dumps(checksums), encoding="ascii")
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):  # of the rename
                raise

    def _write_objects(self, objects: ObjectFolder, number: int, ledger: pa.Table, samples: np.ndarray) -> None:
        pixels, rows = io.BytesIO(), io.BytesIO()
        _save(pixels, samples)
        pq.write_table(ledger, rows)
        content = {PIXELS: pixels.getvalue(), LEDGER: rows.getvalue()}
        checksums = json.dumps({name: zlib.crc32(bytes_) for name, bytes_ in content.items()}).encode("ascii")
        for name, bytes_ in ((PIXELS, content[PIXELS]), (CHECKSUMS, checksums), (LEDGER, content[LEDGER])):
            objects.put_verified(f"{_batch_name(number)}/{name}", bytes_)

    def whole_ledger(self, number: int) -> pa.Table:
        """Return a batch's ledger rows, after a comparison of its files with their checksums.

        A dataset keeps what was staged, and its digests are those of the damaged bytes: later nothing tells. The pixels
        of a batch on an object store are compared when they are read, so that they are fetched once.

        Raises
        ------
        DamagedBatchError
            The batch was damaged and is removed. The same build, run again, collects it once more.
        """
        if self.objects is None:
            self._whole(number, PIXELS)
        return pq.read_table(self._whole(number, LEDGER))

    def _whole(self, number: int, name: str) -> Path | io.BytesIO:
        """Return a file of a batch for reading, after its comparison; remove a batch that is damaged."""
        try:
            file, checksums = self._open(number, name), json.loads(_content(self._open(number, CHECKSUMS)))
            damaged = None if _crc32(file) == checksums[name] else name
        except ObjectStoreError:  # the batch may be whole
            raise
        except (OSError, StoreError, ValueError, KeyError, TypeError):
            damaged = CHECKSUMS
        if damaged is not None:
            where = self._remove(number)
            raise DamagedBatchError(
                f"{where}/{damaged} was not as it was written, and the batch is removed; run the same command "
                "again, it collects the batch once more"
            )
        return file

    def _remove(self, number: int) -> str:
        """Remove a batch and return where it was."""
        if self.objects is None:
            shutil.rmtree(self.batch(number), ignore_errors=True)
            return str(self.batch(number))
        for name in (LEDGER, CHECKSUMS, PIXELS):
            self.objects.delete(f"{_batch_name(number)}/{name}")
        return f"{self.objects}/{_batch_name(number)}"

    def ledger(self, number: int) -> pa.Table:
        """Return a batch's ledger rows."""
        return pq.read_table(self._open(number, LEDGER))

    def ledger_schema(self, number: int) -> pa.Schema:
        """Return the schema of a batch's ledger rows, with its metadata."""
        return pq.read_schema(self._open(number, LEDGER))

    def pixels(self, number: int) -> np.ndarray:
        """Return a batch's samples (n, y, x, channel), in the order of its stored ledger rows; a file is mapped.

        Raises
        ------
        DamagedBatchError
            As of `whole_ledger`, on an object store.
        """
        file = self._open(number, PIXELS) if self.objects is None else self._whole(number, PIXELS)
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


def _content(file: Path | io.BytesIO) -> bytes:
    return file.read_bytes() if isinstance(file, Path) else file.getvalue()


def _crc32(file: Path | io.BytesIO) -> int:
    """Return the CRC-32 of a file's bytes; a file on disk is read in pieces."""
    if isinstance(file, io.BytesIO):
        return zlib.crc32(file.getbuffer())
    found = 0
    with file.open("rb") as stream:
        while piece := stream.read(_PIECE_BYTES):
            found = zlib.crc32(piece, found)
    return found


def clear_others(parent: Path, keep: Path) -> None:
    """Remove the staging folders of unfinished requests other than `keep`."""
    for folder in parent.glob("*"):
        if folder != keep:
            shutil.rmtree(folder, ignore_errors=True)
