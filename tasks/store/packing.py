"""From staged batches to shards: samples in order of id, one task a shard."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tasks.store import pixels
from tasks.store.files import disk_full_named
from tasks.store.staging import Staging


@dataclass(frozen=True)
class ShardJob:
    """One shard to write, and where its samples are staged.

    Attributes
    ----------
    store : Path or ObjectFolder
        The pixel store.
    staging : Staging
        Where the batches are.
    first_row : int
        The shard's first row in the array.
    batches, positions : ndarray of int
        (n,) the batch of each row, in order, and the sample's position in it.
    """

    store: pixels.PixelStore
    staging: Staging
    first_row: int
    batches: np.ndarray
    positions: np.ndarray


def shard_jobs(
    store: pixels.PixelStore, staging: Staging, first_row: int, batches: np.ndarray, positions: np.ndarray
) -> Iterator[ShardJob]:
    """Yield one job a shard, beginning at `first_row`, for staged samples (n,) in order of id."""
    size = pixels.SHARD_ROWS
    for start in range(0, len(batches), size):
        shard = slice(start, start + size)
        yield ShardJob(store, staging, first_row + start, batches[shard], positions[shard])


def write_shard_job(job: ShardJob) -> int:
    """Write a shard from its staged samples and return their number."""
    array = pixels.open_array(job.store, writable=True)
    samples = np.empty((len(job.batches), *array.shape[1:]), array.dtype)
    for batch in np.unique(job.batches):
        in_batch = job.batches == batch
        samples[in_batch] = np.asarray(job.staging.pixels(int(batch)))[job.positions[in_batch]]
    with disk_full_named(job.store):
        pixels.write_shard(array, job.first_row, samples)
    return len(samples)
