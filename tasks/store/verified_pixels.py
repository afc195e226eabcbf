"""Comparing stored pixels with the digests in the ledger, shard by shard."""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.store.dataset import Dataset
from tasks.store.errors import DamagedPixelsError, without_remedy
from tasks.store.shards.pixel_array import PixelArray

NAMED = 3
"""Samples that one problem names; the others are counted."""
_THREADS = 2

Advance = Callable[[int], None]


def check_pixels(dataset: Dataset, stored: pa.Table, advance: Advance) -> tuple[int, list[str]]:
    """Compare the sha256 of every stored sample's pixels.

    Parameters
    ----------
    dataset : Dataset
    stored : Table
        Columns id, row and pixel_sha256, sorted by row.
    advance : function
        Called with the number of samples of every shard.

    Returns
    -------
    tuple of (number of changed samples, problems)
    """
    if not stored.num_rows:
        return 0, []
    try:
        array = dataset.pixels
    except DamagedPixelsError as error:
        advance(stored.num_rows)
        return stored.num_rows, [without_remedy(error)]
    changed, problems = 0, []
    shards = list(_groups(stored, array.shard_rows()))
    with ThreadPoolExecutor(_THREADS) as pool:
        for shard, result in zip(shards, pool.map(partial(_check_shard, array), shards), strict=True):
            changed += result[0]
            problems += result[1]
            advance(shard.num_rows)
    return changed, problems


def _groups(stored: pa.Table, rows_each: int) -> Iterator[pa.Table]:
    """Yield the samples whose array rows are in the same shard or chunk of so many rows."""
    group_of = stored["row"].to_numpy() // rows_each
    edges = [0, *(np.flatnonzero(np.diff(group_of)) + 1), len(group_of)]
    return (stored.slice(first, last - first) for first, last in pairwise(edges))


def _check_shard(array: PixelArray, stored: pa.Table) -> tuple[int, list[str]]:
    """Return the number of changed samples of a shard, and the problems; rows that cannot be read are changed."""
    if stored["row"][-1].as_py() >= array.shape[0]:
        last = stored.slice(stored.num_rows - 1).to_pylist()[0]
        return stored.num_rows, [f"sample {last['id']} has row {last['row']}, the array has {array.shape[0]} rows"]
    try:
        return _compare(array, stored)
    except DamagedPixelsError as error:
        changed, problems = 0, [without_remedy(error)]
    for chunk in _groups(stored, array.chunks[0]):
        try:
            found, more = _compare(array, chunk)
        except DamagedPixelsError:  # named above, with all chunks of the shard
            found, more = chunk.num_rows, []
        changed, problems = changed + found, problems + more
    return changed, problems


def _compare(array: PixelArray, stored: pa.Table) -> tuple[int, list[str]]:
    """Return the number of samples of one shard whose pixels have another sha256, and the problem."""
    rows = stored["row"].to_numpy()
    digests = pixel_digests(array[int(rows[0]) : int(rows[-1]) + 1][rows - rows[0]])
    expected = stored["pixel_sha256"].to_pylist()
    other = [at for at, (was, now) in enumerate(zip(expected, digests, strict=True)) if was != now]
    if not other:
        return 0, []
    ids = ", ".join(f"{stored['id'][at]} (row {rows[at]})" for at in other[:NAMED])
    more = f" and {len(other) - NAMED} more" if len(other) > NAMED else ""
    file = array.shard_file(int(rows[0]) // array.shard_rows())
    return len(other), [f"the pixels of {ids}{more} in {file} have another sha256 than the ledger's"]


def pixel_digests(images: NDArray) -> list[str]:
    """Return the sha256 of each image (n, y, x, channel): its values in C order, little endian, NaN as 0x7fc00000."""
    values = np.ascontiguousarray(images, images.dtype.newbyteorder("<"))
    if values.dtype.kind == "f":
        incomplete = np.flatnonzero(np.isnan(values).any(axis=tuple(range(1, values.ndim))))
        for index in incomplete:
            values[index][np.isnan(values[index])] = np.nan
    return [hashlib.sha256(value.data).hexdigest() for value in values]
