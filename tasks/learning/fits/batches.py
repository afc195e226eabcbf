"""Batches of images read from a sharded Zarr array, or the same batches from images kept in memory.

Whole shards are read: reading single rows would decompress a chunk for each, some 50 times the work. Shards are grouped
into pools. Threads read the next pool while batches are taken from the current one, so two pools are in memory, for an
array of any size.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
import zarr
from numpy.typing import NDArray

from tasks.store.shards.pixel_array import PixelArray

POOL_BYTES = 96 * 2**20
PREFETCHED = 4
_ALIGNMENT = 64
_READERS = 2  # one shard is decompressed while the other is copied


@dataclass(frozen=True)
class Reading:
    """The rows to read, and their order.

    Attributes
    ----------
    rows : (n,) int
        Rows of the pixel array.
    positions : (n,) int
        What the caller knows each row by, its position among the samples: returned beside the images.
    batch_size : int
        The largest batch; batches of one reading differ by at most one image in size.
    seed : int, optional
        None reads in the order given (which then must ascend); else shards, and the rows of every pool,
        are shuffled.
    epoch : int
        Each epoch of one seed has an order of its own.
    strata : (n,) int, optional
        Each stratum is spread evenly over a pool's batches, so that each batch has its share of a rare one.
    """

    rows: NDArray
    positions: NDArray
    batch_size: int
    seed: int | None = None
    epoch: int = 0
    strata: NDArray | None = None

    def __post_init__(self) -> None:
        """Refuse numbers of rows and positions that differ, and rows that do not ascend without a seed."""
        if len(self.rows) != len(self.positions) or not len(self.rows):
            raise ValueError(
                f"{len(self.rows)} rows and {len(self.positions)} positions: need equal numbers, at least one"
            )
        if self.seed is None and (np.diff(self.rows) <= 0).any():
            raise ValueError("rows that are read in order must ascend and not repeat")

    @property
    def steps(self) -> int:
        """Number of batches of one pass."""
        return -(-len(self.rows) // self.batch_size)

    def batch_sizes(self) -> list[int]:
        """Return the size of every batch: as equal as possible, so that none is too small for batch normalisation."""
        return [len(part) for part in np.array_split(np.arange(len(self.rows)), self.steps)]


def image_batches(pixels: zarr.Array, reading: Reading, pool_bytes: int = POOL_BYTES) -> tf.data.Dataset:
    """Return the batches of one pass.

    Parameters
    ----------
    pixels : zarr.Array, shape (sample, y, x, channel)
    reading : Reading
        The same seed and epoch give the same batches on every machine.
    pool_bytes : int
        Size of one pool, at least two shards. Shuffling reaches over a pool.

    Returns
    -------
    tf.data.Dataset of (images (b, y, x, channel) in the array's dtype, positions (b,) int32)
    """
    signature = (
        tf.TensorSpec((None, *pixels.shape[1:]), tf.dtypes.as_dtype(pixels.dtype)),
        tf.TensorSpec((None,), tf.int32),
    )
    batches = tf.data.Dataset.from_generator(
        lambda: generate_batches(pixels, reading, pool_bytes), output_signature=signature
    )
    sized = batches.apply(tf.data.experimental.assert_cardinality(reading.steps))
    return sized.with_options(_unsharded()).prefetch(PREFETCHED)


@contextmanager
def naming_damage(pixels: zarr.Array) -> Iterator[None]:
    """Raise the array's own error where TensorFlow made text and a traceback of it, as it does of a generator's."""
    try:
        yield
    except tf.errors.OpError as error:
        if isinstance(pixels, PixelArray) and pixels.fault is not None:
            raise pixels.fault from error
        raise


def held_batches(
    held: tf.Tensor, pixels: zarr.Array, reading: Reading, pool_bytes: int = POOL_BYTES
) -> tf.data.Dataset:
    """Return the batches of `image_batches` from preprocessed images kept in memory.

    Parameters
    ----------
    held : tf.Tensor, (m, ...)
        `reading.positions` are those of its images.
    pixels : zarr.Array, (sample, y, x, channel)
        The array that the images were read from; its shards decide the batches.
    reading : Reading
    pool_bytes : int
    """
    pools = plan_pools(reading, _shard_rows(pixels), _row_bytes(pixels), pool_bytes)
    pieces = [piece for batch in cut_batches(pools, reading.batch_sizes()) for piece in batch]
    order = np.concatenate([pools[number].places[take] for number, take in pieces])
    positions = tf.constant(reading.positions[order], tf.int32)
    ends = tf.constant(np.cumsum([0, *reading.batch_sizes()]))

    def batch(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        of_batch = positions[ends[step] : ends[step + 1]]
        return tf.gather(held, of_batch), of_batch

    options = _unsharded()
    # Nothing has to be waited for, and tuning threads and buffers takes longer than making the batches.
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    return tf.data.Dataset.range(reading.steps).map(batch).with_options(options)


def _unsharded() -> tf.data.Options:
    """Return options for several replicas: each takes its part of every batch, as there are no files to distribute."""
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return options


def generate_batches(
    pixels: zarr.Array, reading: Reading, pool_bytes: int = POOL_BYTES
) -> Iterator[tuple[NDArray, NDArray[np.int32]]]:
    """Yield the batches of one pass, images of shape (b, y, x, channel) and positions (b,); see `image_batches`."""
    pools = plan_pools(reading, _shard_rows(pixels), _row_bytes(pixels), pool_bytes)
    sizes = reading.batch_sizes()
    opened = _read_ahead(pixels, pools)
    present, blocks = -1, []
    for size, pieces in zip(sizes, cut_batches(pools, sizes), strict=True):
        images, positions = _aligned((size, *pixels.shape[1:]), pixels.dtype), np.empty(size, np.int32)
        filled = 0
        for number, take in pieces:
            if number != present:
                present, blocks = number, next(opened)
            upto = filled + len(take)
            pools[number].copy(blocks, take, images[filled:upto])
            positions[filled:upto] = reading.positions[pools[number].places[take]]
            filled = upto
        yield images, positions


@dataclass(frozen=True)
class Pool:
    """The rows of several shards, which are in memory together.

    Attributes
    ----------
    places : (m,) int64
        Places in the reading's rows, ascending by row.
    rows : (m,) int64
        Those rows.
    order : (m,) int64
        Order of use, as places in this pool.
    shard_rows : int
    """

    places: NDArray[np.int64]
    rows: NDArray[np.int64]
    order: NDArray[np.int64]
    shard_rows: int

    def shards(self) -> list[NDArray[np.int64]]:
        """Return the rows (n,) of each shard."""
        return np.split(self.rows, np.flatnonzero(np.diff(self.rows // self.shard_rows)) + 1)

    def copy(self, blocks: list[NDArray], take: NDArray[np.int64], out: NDArray) -> None:
        """Copy the images at the ascending places `take` (n,) of this pool out of its shards' blocks."""
        first = 0
        ends = np.cumsum([len(rows) for rows in self.shards()])
        for rows, block, last in zip(self.shards(), blocks, np.searchsorted(take, ends), strict=True):
            inside = self.rows[take[first:last]] - rows[0]
            # mode="raise" would copy twice, by a buffer.
            np.take(block, inside, axis=0, out=out[first:last], mode="clip")
            first = last


def plan_pools(reading: Reading, shard_rows: int, row_bytes: int, pool_bytes: int) -> list[Pool]:
    """Return the pools of a reading, of nearly equal numbers of shards.

    Without a seed, shards and rows keep their order. With a seed, shards are distributed at random and the rows of a
    pool are shuffled, so that a batch holds rows of every shard of its pool.
    """
    ascending = np.argsort(reading.rows, kind="stable")
    shard_of = reading.rows[ascending] // shard_rows
    shards = np.split(ascending, np.flatnonzero(np.diff(shard_of)) + 1)
    together = max(2, pool_bytes // (shard_rows * row_bytes))
    rng = None if reading.seed is None else np.random.default_rng([reading.seed, reading.epoch])
    if rng is not None:
        shards = [shards[number] for number in rng.permutation(len(shards))]
    pools = []
    for numbers in np.array_split(np.arange(len(shards)), -(-len(shards) // together)):
        places = np.concatenate([shards[number] for number in numbers])
        places = places[np.argsort(reading.rows[places], kind="stable")]
        if rng is None:
            order = np.arange(len(places))
        elif reading.strata is not None:
            order = deal_evenly(reading.strata[places], rng)
        else:
            order = rng.permutation(len(places))
        pools.append(Pool(places, reading.rows[places], order, shard_rows))
    return pools


def cut_batches(pools: list[Pool], sizes: list[int]) -> Iterator[list[tuple[int, NDArray[np.int64]]]]:
    """Yield, for each batch, (pool number, ascending places (n,) in that pool) pairs.

    The order within a batch is arbitrary, so rows ascend and are copied shard by shard.
    """
    number = start = 0
    for size in sizes:
        pieces = []
        while size:
            order = pools[number].order
            take = np.sort(order[start : start + size])
            pieces.append((number, take))
            size, start = size - len(take), start + len(take)
            if start == len(order):
                number, start = number + 1, 0
        yield pieces


def deal_evenly(strata: NDArray, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return a random order (n,) in which any run of strata (n,) has each in proportion, within one or two.

    The samples of a stratum are shuffled and placed at random, one in each of equal parts of the whole.
    """
    place = np.empty(len(strata))
    for stratum in np.unique(strata):
        of_stratum = rng.permutation(np.flatnonzero(strata == stratum))
        place[of_stratum] = (np.arange(len(of_stratum)) + rng.random(len(of_stratum))) / len(of_stratum)
    return np.argsort(place, kind="stable")


def _read_ahead(pixels: zarr.Array, pools: list[Pool]) -> Iterator[list[NDArray]]:
    """Yield, for each pool, a block of images a shard; the next pool is read at the same time."""
    with ThreadPoolExecutor(_READERS, thread_name_prefix="shards") as readers:
        coming = [readers.submit(_read_block, pixels, rows) for rows in pools[0].shards()]
        for following in pools[1:]:
            blocks = [block.result() for block in coming]
            coming = [readers.submit(_read_block, pixels, rows) for rows in following.shards()]
            yield blocks
        yield [block.result() for block in coming]


def _read_block(pixels: zarr.Array, rows: NDArray[np.int64]) -> NDArray:
    """Return the images (m, y, x, channel) of one shard, from the first to the last of its rows."""
    return np.asarray(pixels[int(rows[0]) : int(rows[-1]) + 1])


def _aligned(shape: tuple[int, ...], dtype: np.dtype) -> NDArray:
    """Return an uninitialised array that TensorFlow can take over without a copy."""
    size = int(np.prod(shape)) * dtype.itemsize
    memory = np.empty(size + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : start + size].view(dtype).reshape(shape)


def _shard_rows(pixels: zarr.Array) -> int:
    return int((pixels.shards or pixels.chunks)[0])


def _row_bytes(pixels: zarr.Array) -> int:
    return int(np.prod(pixels.shape[1:])) * pixels.dtype.itemsize
