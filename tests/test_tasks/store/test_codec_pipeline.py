"""Compiled codecs and Zarr's own write and read the same bytes; which are used depends on package and process."""

import errno
import logging
import multiprocessing
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr

from tasks.store import codec_pipeline, pixels
from tasks.store.codec_pipeline import can_compile, compiled
from tests.pixel_codecs import without_zarrs

COUNT = pixels.SHARD_ROWS + 40


def samples(dtype: str) -> np.ndarray:
    return np.random.default_rng(8).normal(100, 20, (COUNT, 7, 7, 3)).astype(dtype)


def write(folder: Path, images: np.ndarray) -> list[bytes]:
    """The files of a store of the images."""
    array = pixels.create(folder, images.shape[1:], images.dtype.name)
    pixels.grow(array, len(images))
    for first in range(0, len(images), pixels.SHARD_ROWS):
        pixels.write_shard(array, first, images[first : first + pixels.SHARD_ROWS])
    return [file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()]


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_shards_have_the_same_bytes_and_each_reads_the_other(tmp_path: Path, dtype: str) -> None:
    images = samples(dtype)
    assert can_compile()
    by_compiled = write(tmp_path / "compiled", images)
    with without_zarrs():
        assert write(tmp_path / "own", images) == by_compiled
        assert np.array_equal(pixels.open_array(tmp_path / "compiled")[:COUNT], images)
    assert np.array_equal(pixels.open_array(tmp_path / "own")[:COUNT], images)


def test_whole_shards_are_read_by_compiled_codecs_and_single_rows_by_zarr(tmp_path: Path) -> None:
    write(tmp_path / "p", samples("uint8"))
    array = pixels.open_array(tmp_path / "p")
    whole = compiled(array)
    assert whole is not None
    assert type(whole.async_array.codec_pipeline).__module__.startswith("zarrs")
    assert type(array.async_array.codec_pipeline).__module__.startswith("zarr.")


def test_a_write_needs_an_array_opened_for_it(tmp_path: Path) -> None:
    images = samples("uint8")
    write(tmp_path / "p", images)
    array = pixels.open_array(tmp_path / "p")
    with pytest.raises(ValueError, match="p/pixels was opened read-only"):
        pixels.write_shard(array, 0, images[:4] + 1)
    assert np.array_equal(array[:COUNT], images)


def test_a_shard_written_again_is_the_new_one_alone(tmp_path: Path) -> None:
    images = samples("float32")[: pixels.SHARD_ROWS]
    array = pixels.create(tmp_path / "p", images.shape[1:], "float32")
    pixels.grow(array, len(images))
    pixels.write_shard(array, 0, images)
    pixels.write_shard(array, 0, images[:3])
    short = (tmp_path / "p/pixels/c/0/0/0/0").stat().st_size
    assert np.array_equal(pixels.open_array(tmp_path / "p")[:3], images[:3])
    pixels.write_shard(array, 0, images)
    assert (tmp_path / "p/pixels/c/0/0/0/0").stat().st_size > 2 * short
    assert np.array_equal(pixels.open_array(tmp_path / "p")[:], images)


@pytest.mark.parametrize("count", [1, pixels.SHARD_ROWS])  # by Zarr's own codecs, and by compiled ones
def test_the_systems_error_of_a_write_keeps_its_number(tmp_path: Path, count: int) -> None:
    array = pixels.create(tmp_path / "p", (2, 2, 1), "uint8")
    pixels.grow(array, count)
    (tmp_path / "p/pixels/c").write_text("a file where the folder of the shards has to be")
    with pytest.raises(OSError, match=r"File exists|Not a directory") as caught:
        pixels.write_shard(array, 0, np.ones((count, 2, 2, 1), np.uint8))
    assert caught.value.errno in (errno.EEXIST, errno.ENOTDIR)


def read_first(array: zarr.Array, queue: "multiprocessing.Queue[int]") -> None:
    queue.put(int(array[: pixels.SHARD_ROWS].sum()))


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")
def test_a_forked_process_reads_although_its_parent_did(tmp_path: Path) -> None:
    write(tmp_path / "p", samples("uint8"))
    array = pixels.open_array(tmp_path / "p")
    expected = int(array[: pixels.SHARD_ROWS].sum())
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=read_first, args=(array, queue))
    child.start()
    try:
        assert queue.get(timeout=30) == expected
    finally:
        child.kill()
        child.join()


def test_without_the_package_one_line_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "zarrs", None)
    codec_pipeline._is_installed.cache_clear()
    try:
        with caplog.at_level(logging.WARNING):
            assert [can_compile(), can_compile()] == [False, False]
    finally:
        codec_pipeline._is_installed.cache_clear()
    (record,) = caplog.records
    assert record.getMessage().startswith("shards are read and written by Zarr's own slower codecs: ")
    monkeypatch.undo()
    assert can_compile()
