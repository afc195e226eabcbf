"""The codec of shards and Zarr's own write and read the same bytes; other layouts are left to Zarr."""

import errno
import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.codecs import BloscCodec, BytesCodec, GzipCodec

from tasks.store import pixels
from tasks.store.shards.pixel_array import PixelArray
from tasks.store.shards.shard_codec import ShardCodec
from tests.pixel_codecs import without_shard_codec

SHARD, CHUNK = pixels.SHARD_ROWS, pixels.CHUNK_ROWS
COUNT = SHARD + 40


def samples(dtype: str) -> np.ndarray:
    return np.random.default_rng(8).normal(100, 20, (COUNT, 7, 7, 3)).astype(dtype)


def write(folder: Path, images: np.ndarray) -> dict[str, bytes]:
    """The files of a store of the images."""
    array = pixels.create(folder, images.shape[1:], images.dtype.name)
    pixels.grow(array, len(images))
    for first in range(0, len(images), SHARD):
        pixels.write_shard(array, first, images[first : first + SHARD])
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("dtype", ["uint8", "float32", "int16"])
def test_shards_have_the_same_bytes_and_each_reads_the_other(tmp_path: Path, dtype: str) -> None:
    images = samples(dtype)
    ours = write(tmp_path / "ours", images)
    with without_shard_codec():
        assert write(tmp_path / "own", images) == ours
        assert np.array_equal(pixels.open_array(tmp_path / "ours")[:COUNT], images)
    array = pixels.open_array(tmp_path / "own")
    assert ShardCodec.of(array) is not None
    assert array[:COUNT].dtype == images.dtype
    # A row, a part of a chunk, its edges, parts of two shards, nothing, from the end, and steps that are left to Zarr.
    for rows in [(5, 6), (60, 70), (64, 128), (63, 129), (500, 530), (9, 9), (9, 3), (-40, None), (3, 500, 7)]:
        selection = slice(*rows)
        assert np.array_equal(array[selection], zarr.open_array(tmp_path / "own", path="pixels", mode="r")[selection])


def test_a_chunk_that_is_absent_is_the_fill_value(tmp_path: Path) -> None:
    array = pixels.create(tmp_path / "p", (3, 3, 1), "float32")
    pixels.grow(array, SHARD)
    array[CHUNK : 2 * CHUNK] = np.ones((CHUNK, 3, 3, 1))  # by Zarr, which leaves the others out
    read = pixels.open_array(tmp_path / "p")[:]
    assert (read[CHUNK : 2 * CHUNK] == 1).all()
    assert read.sum() == 9 * CHUNK


@pytest.mark.parametrize(
    "layout",
    [
        {"shards": None},
        {"shards": (8, 4), "chunks": (2, 2)},
        {"compressors": GzipCodec()},
        {"compressors": [BloscCodec(), GzipCodec()]},
        {"serializer": BytesCodec(endian="big")},
        {"zarr_format": 2, "shards": None, "compressors": "auto"},
    ],
)
def test_an_array_of_another_layout_is_left_to_zarr(tmp_path: Path, layout: dict[str, Any]) -> None:
    default = {"shape": (16, 4), "chunks": (2, 4), "shards": (8, 4), "dtype": "int16", "compressors": BloscCodec()}
    array = zarr.create_array(tmp_path / "a", **(default | layout))
    values = np.arange(64).reshape(16, 4)
    array[:] = values
    opened = pixels.find_array(tmp_path / "a")
    assert ShardCodec.of(opened) is None
    assert np.array_equal(opened[3:11], values[3:11])


def test_a_shard_written_again_is_the_new_one_alone(tmp_path: Path) -> None:
    images = samples("float32")[:SHARD]
    array = pixels.create(tmp_path / "p", images.shape[1:], "float32")
    pixels.grow(array, len(images))
    for content in (images, images[:3], images):
        pixels.write_shard(array, 0, content)
        assert np.array_equal(pixels.open_array(tmp_path / "p")[: len(content)], content)
    assert [path.name for path in (tmp_path / "p/pixels/c/0/0/0").iterdir()] == ["0"]


def test_a_write_needs_an_array_opened_for_it(tmp_path: Path) -> None:
    images = samples("uint8")
    write(tmp_path / "p", images)
    array = pixels.open_array(tmp_path / "p")
    with pytest.raises(ValueError, match="p/pixels was opened read-only"):
        pixels.write_shard(array, 0, images[:4] + 1)
    assert np.array_equal(array[:COUNT], images)


def test_the_systems_error_of_a_write_keeps_its_number_and_leaves_nothing(tmp_path: Path) -> None:
    array = pixels.create(tmp_path / "p", (2, 2, 1), "uint8")
    pixels.grow(array, 1)
    (tmp_path / "p/pixels/c").write_text("a file where the folder of the shards has to be")
    with pytest.raises(OSError, match=r"File exists|Not a directory") as caught:
        pixels.write_shard(array, 0, np.zeros((1, 2, 2, 1), np.uint8))
    assert caught.value.errno in (errno.EEXIST, errno.ENOTDIR)


def read_some(array: PixelArray, queue: "multiprocessing.Queue[int]") -> None:
    queue.put(int(array[:SHARD].sum()))


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")
def test_a_forked_process_reads_although_its_parent_did(tmp_path: Path) -> None:
    write(tmp_path / "p", samples("uint8"))
    array = pixels.open_array(tmp_path / "p")
    expected = int(array[:SHARD].sum())
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=read_some, args=(array, queue))
    child.start()
    try:
        assert queue.get(timeout=30) == expected
    finally:
        child.kill()
        child.join()
