"""Damage of a pixel array is found by reading and named: owner, rows, file, remedy; by either codecs."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tasks.store import pixels
from tasks.store.errors import DamagedPixelsError
from tasks.store.shards.pixel_array import Owner, PixelArray
from tests.pixel_codecs import without_shard_codec

SHARD, CHUNK = pixels.SHARD_ROWS, pixels.CHUNK_ROWS
OWNER = Owner("dataset 'd' version 1", "mend it", complete=True)


@pytest.fixture(params=["ours", "own"])
def codecs(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each implementation of the codecs in turn."""
    if request.param == "ours":
        yield request.param
        return
    with without_shard_codec():
        yield request.param


def images(count: int, dtype: str = "uint8") -> np.ndarray:
    return np.random.default_rng(3).integers(0, 200, (count, 6, 5, 3)).astype(dtype)


def written(folder: Path, samples: np.ndarray) -> PixelArray:
    array = pixels.create(folder, samples.shape[1:], samples.dtype.name)
    pixels.grow(array, len(samples))
    for first in range(0, len(samples), SHARD):
        pixels.write_shard(array, first, samples[first : first + SHARD])
    return pixels.open_array(folder, owner=OWNER)


def change_byte(path: Path, place: float, bit: int = 0) -> None:
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    path.write_bytes(content)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("place", [0.0, 0.3, 0.71, 0.999999])
def test_a_changed_bit_anywhere_in_a_shard_is_found_and_its_rows_are_named(
    tmp_path: Path, codecs: str, dtype: str, place: float
) -> None:
    samples = images(2 * SHARD, dtype)
    array = written(tmp_path / "p", samples)
    assert np.array_equal(array[:], samples)
    change_byte(array.shard_file(1), place, bit=5)
    with pytest.raises(DamagedPixelsError, match="dataset 'd' version 1: the pixels of rows ") as caught:
        array[SHARD + 3 : 2 * SHARD]
    message = str(caught.value)
    assert "(its checksum is wrong); mend it" in message
    assert str(array.shard_file(1)) in message
    # Chunks lie in a shard in their order, the index behind them: without it no row can be read.
    first = SHARD + CHUNK * int(place * SHARD / CHUNK)
    assert f"rows {first} to {first + CHUNK - 1} " in message or (
        place > 0.99 and f"rows 512 to {2 * SHARD - 1} " in message
    )
    assert array.fault is caught.value
    assert np.array_equal(array[:SHARD], samples[:SHARD])


def test_chunks_beside_the_damaged_one_are_still_read(tmp_path: Path, codecs: str) -> None:
    samples = images(SHARD)
    array = written(tmp_path / "p", samples)
    change_byte(array.shard_file(0), 0.5 / (SHARD // CHUNK))
    assert np.array_equal(array[CHUNK:SHARD], samples[CHUNK:])
    assert np.array_equal(array[SHARD - 1], samples[-1])
    with pytest.raises(DamagedPixelsError, match="rows 0 to 63 "):
        array[CHUNK - 1]


@pytest.mark.parametrize("size", [0, 10, 200, 5000])
def test_a_shortened_file_is_damage(tmp_path: Path, codecs: str, size: int) -> None:
    array = written(tmp_path / "p", images(SHARD))
    array.shard_file(0).write_bytes(array.shard_file(0).read_bytes()[:size])
    with pytest.raises(DamagedPixelsError, match="rows 0 to 511 cannot be read"):
        array[100]


def test_a_missing_file_is_damage_and_not_rows_of_zeros(tmp_path: Path, codecs: str) -> None:
    samples = images(2 * SHARD)
    array = written(tmp_path / "p", samples)
    array.shard_file(1).unlink()
    for selection in (SHARD, -1, slice(0, SHARD + 1), slice(None), (slice(SHARD, None), 0)):
        with pytest.raises(DamagedPixelsError, match=r"rows 512 to 1023 .*c/1/0/0/0 \(there is no such file\)"):
            array[selection]
    assert np.array_equal(array[:SHARD], samples[:SHARD])
    assert array[SHARD:SHARD].shape == (0, 6, 5, 3)
    # An array that nobody promised to be complete has zeros there, as Zarr defines it.
    assert not pixels.open_array(tmp_path / "p")[SHARD:].any()
    assert not pixels.find_array(tmp_path / "p")[SHARD:].any()


def test_chosen_rows_are_read_beside_a_shard_that_is_not_there(tmp_path: Path, codecs: str) -> None:
    samples = images(3 * SHARD)
    array = written(tmp_path / "p", samples)
    array.shard_file(1).unlink()
    rows = np.array([0, 2 * SHARD + 1, SHARD - 1])
    assert np.array_equal(array[rows], samples[rows])
    with pytest.raises(DamagedPixelsError, match="there is no such file"):
        array[np.array([0, SHARD])]


def test_damage_of_an_array_without_a_dataset_names_its_folder(tmp_path: Path, codecs: str) -> None:
    array = written(tmp_path / "night.zarr", images(SHARD))
    change_byte(array.shard_file(0), 0.2)
    with pytest.raises(DamagedPixelsError, match=r"^.*night\.zarr: the pixels of rows .* make the array again$"):
        pixels.find_array(tmp_path / "night.zarr")[:]


def test_a_wrong_selection_is_no_damage(tmp_path: Path, codecs: str) -> None:
    array = written(tmp_path / "p", images(SHARD))
    with pytest.raises(IndexError):
        array[SHARD + 1]
    assert array.fault is None


def test_several_damaged_chunks_are_named_as_ranges(tmp_path: Path, codecs: str) -> None:
    array = written(tmp_path / "p", images(SHARD))
    for place in (0.06, 0.19, 0.94):
        change_byte(array.shard_file(0), place)
    with pytest.raises(DamagedPixelsError, match="rows 0 to 127 and 448 to 511 "):
        array[:]
