"""The finished, unpublished work of a build: one folder a batch, complete or absent.

A batch is a fixed list of ids. Its folder holds its part of the ledger, the pixels of its stored
samples in the order of the ledger, and the checksums of both files. A build that died continues with
the batches that are missing.
"""

import errno
import json
import shutil
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.store.errors import DamagedBatchError
from tasks.store.files import whole_folder
from tasks.store.schema import STORED

PIXELS, LEDGER, CHECKSUMS = "pixels.npy", "ledger.parquet", "crc32.json"
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class Staging:
    """The staging folder of one build request.

    Attributes
    ----------
    folder : Path
        Named by a digest of the request, so that another request never uses its batches.
    """

    folder: Path

    def batch(self, number: int) -> Path:
        """Return the folder of a batch."""
        return self.folder / f"batch-{number:06d}"

    def is_finished(self, number: int) -> bool:
        """Return whether a batch is complete on disk."""
        return self.batch(number).is_dir()

    def write(self, number: int, ledger: pa.Table, samples: np.ndarray) -> None:
        """Write a batch: its ledger rows and, in their order, the pixels (n, y, x, channel) of the stored ones.

        A batch that is there already stays: a worker that died, or was taken for dead, wrote it, and its job was given
        to another.
        """
        stored = ledger["status"].to_pylist().count(STORED)
        if stored != len(samples):
            raise ValueError(f"batch {number} has {stored} stored rows and {len(samples)} samples")
        try:
            with whole_folder(self.batch(number)) as folder:
                _save(folder / PIXELS, samples)
                pq.write_table(ledger, folder / LEDGER)
                checksums = {name: _crc32(folder / name) for name in (PIXELS, LEDGER)}
                (folder / CHECKSUMS).write_text(json.dumps(checksums), encoding="ascii")
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):  # of the rename
                raise

    def require_whole(self, number: int) -> None:
        """Compare a batch's files with their checksums, and remove a batch that is damaged.

        A dataset keeps what was staged, and its digests are those of the damaged bytes: later nothing tells.

        Raises
        ------
        DamagedBatchError
            The same build, run again, collects the batch once more.
        """
        folder = self.batch(number)
        try:
            checksums = json.loads((folder / CHECKSUMS).read_text(encoding="ascii"))
            changed = [name for name in (PIXELS, LEDGER) if _crc32(folder / name) != checksums[name]]
        except (OSError, ValueError, KeyError, TypeError):
            changed = [CHECKSUMS]
        if changed:
            shutil.rmtree(folder, ignore_errors=True)
            raise DamagedBatchError(
                f"{folder / changed[0]} was not as it was written, and the batch is removed; run the same command "
                "again, it collects the batch once more"
            )

    def ledger(self, number: int) -> pa.Table:
        """Return a batch's ledger rows."""
        return pq.read_table(self.batch(number) / LEDGER)

    def pixels(self, number: int) -> np.ndarray:
        """Return a batch's samples (n, y, x, channel), memory-mapped, in the order of its stored ledger rows."""
        samples: np.ndarray = np.load(self.batch(number) / PIXELS, mmap_mode="r", allow_pickle=False)
        return samples

    def clear(self) -> None:
        """Remove the staging folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _save(path: Path, samples: np.ndarray) -> None:
    """Write an array as ``.npy``; unlike `numpy.save`, a stream reports a full disk on a short write."""
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, np.lib.format.header_data_from_array_1_0(samples))
        stream.write(np.ascontiguousarray(samples).data)


def _crc32(path: Path) -> int:
    """Return the CRC-32 of a file's bytes, read in pieces."""
    found = 0
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE_BYTES):
            found = zlib.crc32(piece, found)
    return found


def clear_others(parent: Path, keep: Path) -> None:
    """Remove the staging folders of unfinished requests other than `keep`."""
    for folder in parent.glob("*"):
        if folder != keep:
            shutil.rmtree(folder, ignore_errors=True)
