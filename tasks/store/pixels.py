"""The pixel array of a dataset: Zarr v3, sharded, one writer a shard.

Axis order is (sample, y, x, channel). A shard is written in one piece by one task and never again, so
an append begins a new shard and a shard's tail may hold no data.
"""

import json
from pathlib import Path

import numpy as np
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.core.buffer.cpu import Buffer
from zarr.errors import ArrayNotFoundError
from zarr.storage import LocalStore, MemoryStore, ObjectStore

from tasks.store.errors import StoreError
from tasks.store.object_store.objects import ObjectFolder
from tasks.store.schema import PIXEL_DIMENSIONS
from tasks.store.shards.pixel_array import Owner, PixelArray
from tasks.store.shards.shard_codec import ShardCodec

PixelStore = Path | ObjectFolder
"""Where the pixels of a dataset are: a folder, or objects of a store."""
ARRAY_NAME = "pixels"
_ARRAY_DOCUMENT = f"{ARRAY_NAME}/zarr.json"
CHUNK_ROWS = 64
SHARD_ROWS = 512


def create(folder: Path, sample_shape: tuple[int, int, int], dtype: str) -> zarr.Array:
    """Make an empty pixel store for samples of shape `sample_shape`: (y, x, channel)."""
    return _create_array(LocalStore(folder), sample_shape, dtype)


def create_objects(place: ObjectFolder, sample_shape: tuple[int, int, int], dtype: str) -> None:
    """Make an empty pixel store of objects; what another build made meanwhile stays."""
    documents: dict[str, Buffer] = {}
    _create_array(MemoryStore(documents), sample_shape, dtype)  # type: ignore[arg-type]  # a dict of buffers
    for key, document in sorted(documents.items()):
        place.create(key, document.to_bytes())


def _create_array(store: LocalStore | MemoryStore, sample_shape: tuple[int, int, int], dtype: str) -> zarr.Array:
    group = zarr.open_group(store, mode="a", zarr_format=3)
    return group.create_array(
        ARRAY_NAME,
        shape=(0, *sample_shape),
        chunks=(CHUNK_ROWS, *sample_shape),
        shards=(SHARD_ROWS, *sample_shape),
        dtype=dtype,
        compressors=[_codec(dtype), Crc32cCodec()],
        fill_value=0,
        dimension_names=PIXEL_DIMENSIONS,
    )


def _codec(dtype: str) -> BloscCodec:
    """Return the codec of an array: zstd, but lz4 for floats, whose noise zstd packs little better and slowly."""
    if np.dtype(dtype).kind == "f":
        return BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle")
    return BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle")


def has_array(place: PixelStore) -> bool:
    """Tell whether there is a pixel array in the store at `place`; one that was half made is none."""
    return (place / _ARRAY_DOCUMENT).exists() if isinstance(place, Path) else place.has(_ARRAY_DOCUMENT)


def open_array(place: PixelStore, *, writable: bool = False, owner: Owner | None = None) -> PixelArray:
    """Open the pixel array of the store at `place`, shape (sample, y, x, channel); errors name the `owner`."""
    mode = "r+" if writable else "r"
    if isinstance(place, Path):
        local = LocalStore(place, read_only=not writable)
        return PixelArray(zarr.open_array(local, path=ARRAY_NAME, mode=mode).async_array, owner)
    store = ObjectStore(place.store(), read_only=not writable)
    return PixelArray(zarr.open_array(store, path=ARRAY_NAME, mode=mode, zarr_format=3).async_array, owner, place)


def find_array(folder: Path) -> PixelArray:
    """Open, read only, the Zarr array at `folder`, or the array `ARRAY_NAME` of the store at `folder`.

    Raises
    ------
    FileNotFoundError
        There is neither.
    """
    name = ARRAY_NAME if (folder / ARRAY_NAME).is_dir() else ""
    try:
        array = zarr.open_array(LocalStore(folder, read_only=True), path=name, mode="r")
    except (ArrayNotFoundError, FileNotFoundError) as error:
        raise FileNotFoundError(f"{folder} holds no Zarr array, nor one called {ARRAY_NAME}") from error
    owner = Owner(str(folder), "restore the file from a backup, or make the array again", complete=False)
    return PixelArray(array.async_array, owner)


def shards_for(count: int) -> int:
    """Return how many shards hold `count` rows."""
    return -(-count // SHARD_ROWS)


def grow(array: zarr.Array, rows: int) -> None:
    """Change the array's shape to hold at least `rows` rows, in whole shards."""
    capacity = shards_for(rows) * SHARD_ROWS
    if array.shape[0] < capacity:
        array.resize((capacity, *array.shape[1:]))


def claim_rows(place: ObjectFolder, count: int) -> int:
    """Lengthen the array in a store of objects by whole shards for `count` rows, and return the first of them.

    The array's document is replaced on the condition that it is still the one that was read. So rows that one build
    claimed are never given to another.
    """
    while True:
        found = place.get_with_tag(_ARRAY_DOCUMENT)
        if found is None:
            raise StoreError(f"{place}/{_ARRAY_DOCUMENT} is missing; restore it, or build under another name")
        document = json.loads(found[0])
        first = shards_for(int(document["shape"][0])) * SHARD_ROWS
        document["shape"][0] = first + shards_for(count) * SHARD_ROWS
        if place.replace(_ARRAY_DOCUMENT, json.dumps(document, indent=2).encode(), found[1]):
            return first


def write_shard(array: zarr.Array, first_row: int, samples: np.ndarray) -> None:
    """Write at most one shard's samples, beginning at a shard's first row.

    Parameters
    ----------
    array : zarr.Array
        The pixel array, already large enough.
    first_row : int
        A multiple of `SHARD_ROWS`.
    samples : ndarray, (n, y, x, channel)
        At most `SHARD_ROWS` samples.
    """
    if first_row % SHARD_ROWS or len(samples) > SHARD_ROWS:
        raise ValueError(f"rows {first_row} to {first_row + len(samples)} are not one shard of {SHARD_ROWS}")
    if array.read_only:
        raise ValueError(f"{array.store_path} was opened read-only")
    # The whole shard goes in one piece: a partial write would read the shard back and merge.
    if len(samples) < SHARD_ROWS:
        rest = np.zeros((SHARD_ROWS - len(samples), *samples.shape[1:]), samples.dtype)
        samples = np.concatenate([samples, rest])
    codec = ShardCodec.of(array)
    objects = array.objects if isinstance(array, PixelArray) else None
    if codec is None:
        array.with_config({"write_empty_chunks": True})[first_row : first_row + SHARD_ROWS] = samples
    else:
        codec.write(
            PixelArray(array.async_array, objects=objects).shard_file(first_row // SHARD_ROWS),
            samples.astype(codec.dtype, copy=False),
        )
