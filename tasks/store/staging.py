"""What a build has finished but not published: one folder a batch, complete or absent.

A batch is a fixed list of ids. Its folder holds its part of the ledger and the pixels of its stored
samples in the order of the ledger, so that a build that died goes on with the batches that are missing.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.store.files import whole_folder
from tasks.store.schema import STORED


@dataclass(frozen=True)
class Staging:
    """The staging folder of one build request.

    Attributes
    ----------
    folder : Path
        Named by a digest of what was asked, so another request never takes its batches over.
    """

    folder: Path

    def batch(self, number: int) -> Path:
        """Return the folder of a batch."""
        return self.folder / f"batch-{number:06d}"

    def is_finished(self, number: int) -> bool:
        """Tell whether a batch is complete on disk."""
        return self.batch(number).is_dir()

    def write(self, number: int, ledger: pa.Table, samples: np.ndarray) -> None:
        """Leave a batch: its ledger rows and, in their order, the pixels of the stored ones."""
        stored = ledger["status"].to_pylist().count(STORED)
        if stored != len(samples):
            raise ValueError(f"batch {number} has {stored} stored rows and {len(samples)} samples")
        with whole_folder(self.batch(number)) as folder:
            _save(folder / "pixels.npy", samples)
            pq.write_table(ledger, folder / "ledger.parquet")

    def ledger(self, number: int) -> pa.Table:
        """Return a batch's ledger rows."""
        return pq.read_table(self.batch(number) / "ledger.parquet")

    def pixels(self, number: int) -> np.ndarray:
        """Return a batch's samples, mapped from disk, in the order of its stored ledger rows."""
        samples: np.ndarray = np.load(self.batch(number) / "pixels.npy", mmap_mode="r", allow_pickle=False)
        return samples

    def clear(self) -> None:
        """Remove the staging folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _save(path: Path, samples: np.ndarray) -> None:
    """Write an array as ``.npy``. `numpy.save` does not say of a short write that the disk is full; a stream does."""
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, np.lib.format.header_data_from_array_1_0(samples))
        stream.write(np.ascontiguousarray(samples).data)


def clear_others(parent: Path, keep: Path) -> None:
    """Remove what requests other than `keep` left in staging and never finished."""
    for folder in parent.glob("*"):
        if folder != keep:
            shutil.rmtree(folder, ignore_errors=True)
