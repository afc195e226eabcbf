"""The pixel array: whole shards, and nothing written twice."""

from pathlib import Path

import numpy as np
import pytest
import zarr

from tasks.store import pixels

SIZE = pixels.SHARD_ROWS


def test_the_array_has_the_layout_of_the_format(tmp_path: Path) -> None:
    array = pixels.create(tmp_path / "p", (5, 4, 3), "uint8")
    assert (array.shape, array.chunks, array.shards) == ((0, 5, 4, 3), (64, 5, 4, 3), (512, 5, 4, 3))
    assert array.metadata.dimension_names == ("sample", "y", "x", "channel")
    compressors = {
        kind: [codec.to_dict() for codec in pixels.create(tmp_path / kind, (4, 4, 3), kind).compressors]
        for kind in ("uint8", "float32")
    }
    assert [[codec["name"] for codec in chain] for chain in compressors.values()] == [["blosc", "crc32c"]] * 2
    codecs = {kind: chain[0]["configuration"] for kind, chain in compressors.items()}
    assert {kind: (codec["cname"], codec["clevel"], codec["shuffle"]) for kind, codec in codecs.items()} == {
        "uint8": ("zstd", 3, "bitshuffle"),
        "float32": ("lz4", 5, "bitshuffle"),
    }


@pytest.mark.parametrize(("rows", "shards"), [(0, 0), (1, 1), (SIZE, 1), (SIZE + 1, 2), (2 * SIZE, 2)])
def test_room_is_made_in_whole_shards(tmp_path: Path, rows: int, shards: int) -> None:
    assert pixels.shards_for(rows) == shards
    array = pixels.create(tmp_path / "p", (2, 2, 3), "uint8")
    pixels.grow(array, rows)
    assert array.shape == (shards * SIZE, 2, 2, 3)
    pixels.grow(array, 1)
    assert array.shape[0] == max(shards, 1) * SIZE


def test_a_shard_is_written_where_it_begins_and_its_tail_is_zero(tmp_path: Path) -> None:
    array = pixels.create(tmp_path / "p", (2, 2, 1), "float32")
    pixels.grow(array, 3 * SIZE)
    full, few = np.full((SIZE, 2, 2, 1), 7, np.float32), np.full((3, 2, 2, 1), 9, np.float32)
    pixels.write_shard(array, SIZE, full)
    pixels.write_shard(array, 2 * SIZE, few)
    stored = pixels.open_array(tmp_path / "p")[:]
    assert (stored[:SIZE] == 0).all()
    assert (stored[SIZE : 2 * SIZE] == 7).all()
    assert (stored[2 * SIZE : 2 * SIZE + 3] == 9).all()
    assert (stored[2 * SIZE + 3 :] == 0).all()


@pytest.mark.parametrize(("first", "count"), [(1, 1), (SIZE - 1, 1), (0, SIZE + 1), (SIZE // 2, SIZE)])
def test_what_is_not_one_shard_is_refused(tmp_path: Path, first: int, count: int) -> None:
    array = pixels.create(tmp_path / "p", (2, 2, 1), "uint8")
    pixels.grow(array, 2 * SIZE)
    with pytest.raises(ValueError, match=f"rows {first} to {first + count} are not one shard of 512"):
        pixels.write_shard(array, first, np.zeros((count, 2, 2, 1), np.uint8))


def test_a_store_that_was_half_made_is_made_again(tmp_path: Path) -> None:
    zarr.open_group(tmp_path / "p", mode="w", zarr_format=3)
    assert not pixels.has_array(tmp_path / "p")
    pixels.create(tmp_path / "p", (5, 4, 3), "uint8")
    assert pixels.has_array(tmp_path / "p")
    assert pixels.open_array(tmp_path / "p").shape == (0, 5, 4, 3)


def test_an_array_is_opened_read_only_unless_it_is_to_be_written(tmp_path: Path) -> None:
    pixels.grow(pixels.create(tmp_path / "p", (2, 2, 1), "uint8"), 1)
    with pytest.raises(ValueError, match="read-only"):
        pixels.open_array(tmp_path / "p")[0] = 1
    pixels.open_array(tmp_path / "p", writable=True)[0] = 1
    assert pixels.open_array(tmp_path / "p")[0].tolist() == [[[1], [1]], [[1], [1]]]


def test_an_array_is_found_in_a_store_or_at_the_path_itself(tmp_path: Path) -> None:
    pixels.grow(pixels.create(tmp_path / "store", (2, 2, 1), "uint8"), 1)
    assert pixels.find_array(tmp_path / "store").shape == (SIZE, 2, 2, 1)
    zarr.create_array(str(tmp_path / "bare"), shape=(3, 2), dtype="uint8")
    assert pixels.find_array(tmp_path / "bare").shape == (3, 2)
    (tmp_path / "empty").mkdir()
    for absent in ("empty", "absent"):
        with pytest.raises(FileNotFoundError, match=f"{absent} holds no Zarr array, nor one called pixels"):
            pixels.find_array(tmp_path / absent)
