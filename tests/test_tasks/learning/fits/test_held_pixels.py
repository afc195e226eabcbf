"""Images held in memory are those of the store, under the parts' own rows."""

from pathlib import Path

import numpy as np
import pytest

from tasks.learning.fits import held_pixels
from tasks.learning.fits.held_pixels import hold_parts
from tasks.learning.split_parts import SplitPart
from tasks.store import pixels


def part_of(rows: list[int]) -> SplitPart:
    names = [f"s{row}" for row in rows]
    return SplitPart(names, np.array(rows), np.zeros(len(rows), np.int32), names)


def test_every_part_finds_its_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.random.default_rng(0).integers(0, 255, (300, 8, 8, 3), np.uint8)
    array = pixels.create(tmp_path / "pixels.zarr", (8, 8, 3), "uint8")
    pixels.grow(array, len(images))
    pixels.write_shard(array, 0, images)
    parts = [part_of([250, 251, 299]), part_of([3, 5]), part_of([0, 4, 251])]
    held, renumbered = hold_parts(array, parts)
    assert held.shape == (7, 8, 8, 3)
    for before, after in zip(parts, renumbered, strict=True):
        assert after.ids == before.ids
        np.testing.assert_array_equal(np.asarray(held[:])[after.rows], images[before.rows])
    monkeypatch.setattr(held_pixels, "HELD_BYTES", 7 * 8 * 8 * 3 - 1)
    unchanged, same = hold_parts(array, parts)
    assert unchanged is array
    assert same == parts
