"""From staged batches to shards: samples in order of id, one task a shard."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tasks.store import pixels
from tasks.store.files import disk_full_named
from tasks.store.staging import Staging


@dataclass(frozen=True)
class ShardJob:
    """One shard to write and where each of its samples is staged.

    Attributes
    ----------
    store : Path
        The pixel store.
    staging : Staging
        Where the batches are.
    first_row : int
        The shard's first row in the array.
    places : tuple of (batch, position)
        One for each row, in order.
    """

    store: Path
    staging: Staging
    first_row: int
    places: tuple[tuple[int, int], ...]


def shard_jobs(store: Path, staging: Staging, first_row: int, places: Iterable[tuple[int, int]]) -> list[ShardJob]:
    """Cut a sequence of staged places, in order of id, into one job a shard beginning at `first_row`."""
    ordered = tuple(places)
    size = pixels.SHARD_ROWS
    return [
        ShardJob(store, staging, first_row + start, ordered[start : start + size])
        for start in range(0, len(ordered), size)
    ]


def write_shard_job(job: ShardJob) -> int:
    """Gather a shard's samples from their batches, write it, and return how many there are."""
    array = pixels.open_array(job.store, writable=True)
    samples = np.empty((len(job.places), *array.shape[1:]), array.dtype)
    by_batch: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for position, (batch, place) in enumerate(job.places):
        by_batch[batch].append((position, place))
    for batch, pairs in by_batch.items():
        positions, places = np.array(pairs).T
        samples[positions] = np.asarray(job.staging.pixels(batch))[places]
    with disk_full_named(job.store):
        pixels.write_shard(array, job.first_row, samples)
    return len(samples)
