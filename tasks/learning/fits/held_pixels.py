"""The images of a few parts in memory, for a fit that reads them in every epoch."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import zarr
from zarr.storage import MemoryStore

from tasks.learning.scoring import image_blocks
from tasks.learning.split_parts import SplitPart

HELD_BYTES = 2**30
"""Largest size of the images that are held; gathering them takes twice as much."""
_GATHERED = 1024


def hold_parts(pixels: zarr.Array, parts: Sequence[SplitPart]) -> tuple[zarr.Array, list[SplitPart]]:
    """Return the images of the parts as an array in memory, and the parts with its rows.

    A small part of a large array is spread over all its shards, which a fit would decompress in every epoch.

    Parameters
    ----------
    pixels : zarr.Array, (sample, y, x, channel)
    parts : sequence of SplitPart

    Returns
    -------
    pixels : zarr.Array, (n, y, x, channel)
        Of the n rows of all parts, in their order; the argument where that is more than `HELD_BYTES`.
    parts : list of SplitPart
        In the given order.
    """
    rows = np.unique(np.concatenate([part.rows for part in parts]))
    if len(rows) * int(np.prod(pixels.shape[1:])) * pixels.dtype.itemsize > HELD_BYTES:
        return pixels, list(parts)
    images = np.concatenate(list(image_blocks(pixels, rows, _GATHERED)))
    chunk = min(len(rows), (pixels.shards or pixels.chunks)[0])
    held = zarr.create_array(MemoryStore(), data=images, chunks=(chunk, *images.shape[1:]), compressors=None)
    return held, [replace(part, rows=np.searchsorted(rows, part.rows)) for part in parts]
