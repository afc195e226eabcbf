"""Packing staged samples into shards."""

from pathlib import Path

import numpy as np
import xarray

from tasks.store import pixels
from tasks.store.packing import shard_jobs, write_shard_job
from tasks.store.staging import Staging
from tests.small_ledgers import small_ledger


def test_packing_puts_samples_in_their_rows_whatever_batch_they_come_from(tmp_path: Path) -> None:
    count = pixels.SHARD_ROWS + 30
    rng = np.random.default_rng(0)
    samples = rng.integers(0, 255, (count, 4, 4, 3), dtype=np.uint8)
    staging = Staging(tmp_path / "staging")
    batches, positions = np.empty(count, int), np.empty(count, int)
    for number in range(3):
        mine = np.flatnonzero(np.arange(count) % 3 == number)
        staging.write(number, small_ledger([str(index) for index in mine]), samples[mine])
        batches[mine], positions[mine] = number, np.arange(len(mine))
    array = pixels.create(tmp_path / "pixels.zarr", (4, 4, 3), "uint8")
    pixels.grow(array, count)
    jobs = list(shard_jobs(tmp_path / "pixels.zarr", staging, 0, batches, positions))
    assert [write_shard_job(job) for job in reversed(jobs)] == [30, pixels.SHARD_ROWS]
    assert np.array_equal(pixels.open_array(tmp_path / "pixels.zarr")[:count], samples)
    opened = xarray.open_zarr(tmp_path / "pixels.zarr", consolidated=False)
    assert opened["pixels"].dims == ("sample", "y", "x", "channel")
    assert np.array_equal(opened["pixels"][5].to_numpy(), samples[5])


def test_a_job_covers_one_shard_of_the_array(tmp_path: Path) -> None:
    size, staging = pixels.SHARD_ROWS, Staging(tmp_path)
    places = np.arange(2 * size + 1)
    jobs = list(shard_jobs(tmp_path, staging, 4 * size, places, places + 1))
    assert [job.first_row for job in jobs] == [4 * size, 5 * size, 6 * size]
    assert [len(job.batches) for job in jobs] == [size, size, 1]
    assert jobs[1].batches[0] == size
    assert jobs[2].positions.tolist() == [2 * size + 1]
    assert list(shard_jobs(tmp_path, staging, 0, places[:0], places[:0])) == []
