"""Batches of images straight from a sharded Zarr array, or the same batches of images that are held in memory.

A shard is the unit that is read: reading single rows would decompress a chunk each, some 50 times the work.
Shards are gathered into pools; threads of their own read the next pool while batches are cut from the
present one, so memory holds two pools whatever the size of the array.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
import zarr
from numpy.typing import NDArray

POOL_BYTES = 96 * 2**20
PREFETCHED = 4
_ALIGNMENT = 64
_READERS = 2  # one shard is decompressed while the other is copied


@dataclass(frozen=True)
class Reading:
    """Which rows are read, in what order.

    Attributes
    ----------
    rows : (n,) int
        Rows of the pixel array, each once.
    labels : (n,) int
    batch_size : int
        The largest batch; batches of one reading differ by at most one image in size.
    seed : int, optional
        None reads in the order given (which then must ascend); else shards, and the rows of every pool,
        are shuffled.
    epoch : int
        Each epoch of one seed has an order of its own.
    even_classes : bool
        Every class is spread evenly over a pool's batches, so that each batch has its share of a rare one.
    """

    rows: NDArray
    labels: NDArray
    batch_size: int
    seed: int | None = None
    epoch: int = 0
    even_classes: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be read."""
        if len(self.rows) != len(self.labels) or not len(self.rows):
            raise ValueError(f"{len(self.rows)} rows and {len(self.labels)} labels: need as many, at least one")
        if self.seed is None and (np.diff(self.rows) <= 0).any():
            raise ValueError("rows that are read in order must ascend and not repeat")

    @property
    def steps(self) -> int:
        """How many batches one pass has."""
        return -(-len(self.rows) // self.batch_size)

    def batch_sizes(self) -> list[int]:
        """Return the size of every batch: as equal as can be, so that none is too small to normalise over."""
        return [len(part) for part in np.array_split(np.arange(len(self.rows)), self.steps)]


def image_batches(pixels: zarr.Array, reading: Reading, pool_bytes: int = POOL_BYTES) -> tf.data.Dataset:
    """Return the batches of one pass, every row once.

    Parameters
    ----------
    pixels : zarr.Array, (sample, y, x, channel)
    reading : Reading
        The same seed and epoch give the same batches on every machine.
    pool_bytes : int
        Size of one pool, at least two shards. Shuffling reaches over a pool.

    Returns
    -------
    tf.data.Dataset of (images (b, y, x, channel) in the array's dtype, labels (b,) int32)
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


def held_batches(
    held: tf.Tensor, pixels: zarr.Array, reading: Reading, pool_bytes: int = POOL_BYTES
) -> tf.data.Dataset:
    """Return the batches of `image_batches`, of what is held of each row: `held` (n, ...) in the order of the rows.

    What was made of an image once serves every epoch.
    """
    pools = plan_pools(reading, _shard_rows(pixels), _row_bytes(pixels), pool_bytes)
    pieces = [piece for batch in cut_batches(pools, reading.batch_sizes()) for piece in batch]
    order = tf.constant(np.concatenate([pools[number].positions[take] for number, take in pieces]))
    labels = tf.constant(reading.labels, tf.int32)
    ends = tf.constant(np.cumsum([0, *reading.batch_sizes()]))

    def batch(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        at = order[ends[step] : ends[step + 1]]
        return tf.gather(held, at), tf.gather(labels, at)

    options = _unsharded()
    # There is nothing to wait for: what looks for the best threads and buffers takes longer than the batches.
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    return tf.data.Dataset.range(reading.steps).map(batch).with_options(options)


def _unsharded() -> tf.data.Options:
    """There are no files to deal out between replicas: each takes its part of every batch."""
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return options


def generate_batches(
    pixels: zarr.Array, reading: Reading, pool_bytes: int = POOL_BYTES
) -> Iterator[tuple[NDArray, NDArray[np.int32]]]:
    """Yield the batches of one pass; see `image_batches`."""
    pools = plan_pools(reading, _shard_rows(pixels), _row_bytes(pixels), pool_bytes)
    sizes = reading.batch_sizes()
    opened = _read_ahead(pixels, pools)
    present, blocks = -1, []
    for size, pieces in zip(sizes, cut_batches(pools, sizes), strict=True):
        images, labels = _aligned((size, *pixels.shape[1:]), pixels.dtype), np.empty(size, np.int32)
        filled = 0
        for number, take in pieces:
            if number != present:
                present, blocks = number, next(opened)
            upto = filled + len(take)
            pools[number].copy(blocks, take, images[filled:upto])
            labels[filled:upto] = reading.labels[pools[number].positions[take]]
            filled = upto
        yield images, labels


@dataclass(frozen=True)
class Pool:
    """Rows of some shards that are in memory together.

    Attributes
    ----------
    positions : (m,) int64
        Positions in the reading's rows, ascending by row.
    rows : (m,) int64
        Those rows.
    order : (m,) int64
        The order in which they are used, as positions in this pool.
    shard_rows : int
    """

    positions: NDArray[np.int64]
    rows: NDArray[np.int64]
    order: NDArray[np.int64]
    shard_rows: int

    def shards(self) -> list[NDArray[np.int64]]:
        """Return the rows of each shard."""
        return np.split(self.rows, np.flatnonzero(np.diff(self.rows // self.shard_rows)) + 1)

    def copy(self, blocks: list[NDArray], take: NDArray[np.int64], out: NDArray) -> None:
        """Copy the images at the ascending positions `take` of this pool out of its shards' blocks."""
        first = 0
        ends = np.cumsum([len(rows) for rows in self.shards()])
        for rows, block, last in zip(self.shards(), blocks, np.searchsorted(take, ends), strict=True):
            inside = self.rows[take[first:last]] - rows[0]
            # mode="raise" would copy twice, by a buffer.
            np.take(block, inside, axis=0, out=out[first:last], mode="clip")
            first = last


def plan_pools(reading: Reading, shard_rows: int, row_bytes: int, pool_bytes: int) -> list[Pool]:
    """Deal the shards of a reading into pools of nearly as many shards each.

    Without a seed shards and rows keep their order. With one, shards are dealt at random and the rows of a
    pool are mixed, so that a batch holds rows of every shard of its pool.
    """
    ascending = np.argsort(reading.rows, kind="stable")
    shard_of = reading.rows[ascending] // shard_rows
    shards = np.split(ascending, np.flatnonzero(np.diff(shard_of)) + 1)
    together = max(2, pool_bytes // (shard_rows * row_bytes))
    rng = None if reading.seed is None else np.random.default_rng([reading.seed, reading.epoch])
    if rng is not None:
        shards = [shards[at] for at in rng.permutation(len(shards))]
    pools = []
    for dealt in np.array_split(np.arange(len(shards)), -(-len(shards) // together)):
        positions = np.concatenate([shards[at] for at in dealt])
        positions = positions[np.argsort(reading.rows[positions], kind="stable")]
        if rng is None:
            order = np.arange(len(positions))
        elif reading.even_classes:
            order = deal_evenly(reading.labels[positions], rng)
        else:
            order = rng.permutation(len(positions))
        pools.append(Pool(positions, reading.rows[positions], order, shard_rows))
    return pools


def cut_batches(pools: list[Pool], sizes: list[int]) -> Iterator[list[tuple[int, NDArray[np.int64]]]]:
    """Yield of what each batch is made: pools by number, and ascending positions in each.

    The order within a batch is free: ascending rows are copied shard by shard.
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


def deal_evenly(labels: NDArray, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return a random order in which any stretch holds of each class its share, but for one or two samples.

    The members of a class are mixed and laid at random, one into each of as many equal parts of the whole.
    """
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        place[members] = (np.arange(len(members)) + rng.random(len(members))) / len(members)
    return np.argsort(place, kind="stable")


def _read_ahead(pixels: zarr.Array, pools: list[Pool]) -> Iterator[list[NDArray]]:
    """Yield a block of images for each shard of each pool; the next pool is read meanwhile."""
    with ThreadPoolExecutor(_READERS, thread_name_prefix="shards") as readers:
        coming = [readers.submit(_read_block, pixels, rows) for rows in pools[0].shards()]
        for following in pools[1:]:
            held = [block.result() for block in coming]
            coming = [readers.submit(_read_block, pixels, rows) for rows in following.shards()]
            yield held
        yield [block.result() for block in coming]


def _read_block(pixels: zarr.Array, rows: NDArray[np.int64]) -> NDArray:
    """Return the images of one shard from the first to the last row that is used."""
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
