"""Batches from shards: every row once, in an order that the seed alone decides, in bounded memory."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.learning.fits.batches import (
    Reading,
    deal_evenly,
    generate_batches,
    held_batches,
    image_batches,
    naming_damage,
    plan_pools,
)
from tasks.store import pixels
from tasks.store.errors import DamagedPixelsError
from tasks.store.shards.pixel_array import Owner

ROWS = 2500
SHARD = pixels.SHARD_ROWS


@pytest.fixture(scope="module")
def array(tmp_path_factory: pytest.TempPathFactory) -> zarr.Array:
    """Five shards of 1 x 2 images that hold their own row number."""
    folder = tmp_path_factory.mktemp("store") / "pixels.zarr"
    store = pixels.create(folder, (1, 2, 1), "uint8")
    pixels.grow(store, ROWS)
    numbers = np.arange(ROWS)
    images = np.stack([numbers // 256, numbers % 256], axis=1).astype(np.uint8).reshape(ROWS, 1, 2, 1)
    for first in range(0, ROWS, SHARD):
        pixels.write_shard(store, first, images[first : first + SHARD])
    return pixels.open_array(folder)


def rows_of(images: np.ndarray) -> np.ndarray:
    return images[:, 0, 0, 0].astype(int) * 256 + images[:, 0, 1, 0]


def read(array: zarr.Array, rows: np.ndarray, batch_size: int, **settings: int | None) -> list[np.ndarray]:
    """The rows of each batch, after checking that positions go with their images."""
    batches = []
    for images, positions in image_batches(array, Reading(rows, rows % 7, batch_size, **settings)):
        seen = rows_of(images.numpy())
        assert (positions.numpy() == seen % 7).all()
        batches.append(seen)
    return batches


# Few rows of one shard, rows of all shards, and batches larger than a pool must all be reached.
@settings(max_examples=30, deadline=None)
@given(
    share=st.sampled_from([0.002, 0.1, 0.8, 1.0]),
    batch_size=st.sampled_from([1, 7, 64, 3000]),
    seed=st.integers(0, 5),
    pool_bytes=st.sampled_from([1, 4 * SHARD, 10**9]),
)
def test_every_row_is_seen_exactly_once(
    array: zarr.Array, share: float, batch_size: int, seed: int, pool_bytes: int
) -> None:
    rows = np.flatnonzero(np.random.default_rng(seed).random(ROWS) < share)
    if not len(rows):
        return
    reading = Reading(rows, (rows % 7).astype(np.int32), batch_size, seed)
    batches = list(generate_batches(array, reading, pool_bytes))
    seen = np.concatenate([rows_of(images) for images, _ in batches])
    assert sorted(seen) == list(rows)
    assert (np.concatenate([positions for _, positions in batches]) == seen % 7).all()
    sizes = [len(positions) for _, positions in batches]
    assert len(sizes) == reading.steps
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1


def test_order_depends_on_seed_and_epoch_alone(array: zarr.Array) -> None:
    rows = np.arange(0, ROWS, 2)
    first = read(array, rows, 64, seed=3, epoch=2)
    assert all((one == two).all() for one, two in zip(first, read(array, rows, 64, seed=3, epoch=2), strict=True))
    for other in ({"seed": 3, "epoch": 3}, {"seed": 4, "epoch": 2}):
        assert (np.concatenate(first) != np.concatenate(read(array, rows, 64, **other))).any()


def test_order_does_not_depend_on_the_order_of_the_rows(array: zarr.Array) -> None:
    rows = np.arange(0, ROWS, 2)
    seen = np.concatenate(read(array, rows, 64, seed=3))
    mixed = np.concatenate(read(array, np.random.default_rng(0).permutation(rows), 64, seed=3))
    assert (seen == mixed).all()


@settings(max_examples=20, deadline=None)
@given(
    share=st.sampled_from([0.01, 0.5, 1.0]),
    batch_size=st.sampled_from([7, 64, 3000]),
    seed=st.sampled_from([None, 0, 1]),
    pool_bytes=st.sampled_from([1, 4 * SHARD, 10**9]),
    even_classes=st.booleans(),
)
def test_held_images_come_in_the_batches_that_are_read(
    array: zarr.Array, share: float, batch_size: int, seed: int | None, pool_bytes: int, even_classes: bool
) -> None:
    samples = np.flatnonzero(np.random.default_rng(5).random(ROWS) < share)
    # Repeated and missing samples, as a balanced drawing gives; only in order each comes once.
    repeats = 1 if seed is None else np.arange(len(samples)) % 3
    positions = np.repeat(np.arange(len(samples)), repeats)
    if not len(positions):
        return
    strata = positions % 7 if even_classes else None
    reading = Reading(samples[positions], positions, batch_size, seed, 3, strata)
    held = held_batches(tf.constant(samples * 10), array, reading, pool_bytes)
    read = image_batches(array, reading, pool_bytes)
    seen = []
    for (tens, places), (images, read_places) in zip(held, read, strict=True):
        np.testing.assert_array_equal(tens, rows_of(images.numpy()) * 10)
        np.testing.assert_array_equal(places, read_places)
        np.testing.assert_array_equal(samples[places], rows_of(images.numpy()))
        seen += places.numpy().tolist()
    assert sorted(seen) == positions.tolist()


def test_without_a_seed_rows_come_in_order(array: zarr.Array) -> None:
    rows = np.arange(5, ROWS, 3)
    assert (np.concatenate(read(array, rows, 50)) == rows).all()


def test_batches_mix_shards(array: zarr.Array) -> None:
    for seen in read(array, np.arange(ROWS), 64, seed=0)[:-1]:
        assert len(set(seen // SHARD)) > 1


@pytest.mark.parametrize("shards", [4, 40, 400])
def test_a_pool_does_not_grow_with_the_array(shards: int) -> None:
    rows = np.arange(shards * SHARD)
    image_bytes = 128 * 128 * 3
    pools = plan_pools(Reading(rows, rows.astype(np.int32), 64, seed=1), SHARD, image_bytes, 96 * 2**20)
    assert max(len(pool.rows) for pool in pools) * image_bytes <= 96 * 2**20
    assert min(len(pool.shards()) for pool in pools) >= 2


def test_planes_of_floats_come_as_they_are_stored(tmp_path: Path) -> None:
    store = pixels.create(tmp_path / "pixels.zarr", (29, 29, 3), "float32")
    pixels.grow(store, 10)
    triplets = np.random.default_rng(0).normal(size=(10, 29, 29, 3)).astype(np.float32)
    triplets[3, 0, 0, 1] = np.nan
    pixels.write_shard(store, 0, triplets)
    ((images, positions),) = image_batches(store, Reading(np.arange(10), np.arange(10), 16))
    np.testing.assert_array_equal(images.numpy(), triplets)
    assert (positions.numpy() == np.arange(10)).all()


def test_rows_that_cannot_be_read_are_refused(array: zarr.Array) -> None:
    with pytest.raises(ValueError, match="0 rows"):
        image_batches(array, Reading(np.arange(0), np.arange(0), 8))
    with pytest.raises(ValueError, match="3 rows and 2 positions"):
        image_batches(array, Reading(np.arange(3), np.arange(2), 8))
    with pytest.raises(ValueError, match="ascend"):
        image_batches(array, Reading(np.array([2, 1]), np.arange(2), 8))


@given(rare=st.integers(1, 40), common=st.integers(1, 400), seed=st.integers(0, 9), size=st.integers(2, 64))
def test_any_stretch_holds_its_share_of_each_class(rare: int, common: int, seed: int, size: int) -> None:
    labels = np.repeat([1, 0], [rare, common])
    order = deal_evenly(labels, np.random.default_rng(seed))
    assert sorted(order.tolist()) == list(range(rare + common))
    dealt = np.cumsum(np.append(0, labels[order]))
    found = dealt[size:] - dealt[:-size]
    # One of n parts of the line holds one member of a class of n, so that counts and shares differ by two at most
    # for each of the two classes.
    assert (np.abs(found - size * rare / (rare + common)) <= 4).all()


def test_even_classes_reach_every_batch(array: zarr.Array) -> None:
    labels = (np.arange(ROWS) % 50 == 0).astype(np.int32)
    reading = Reading(np.arange(ROWS), labels, 128, 3, strata=labels)
    batches = list(generate_batches(array, reading))
    assert all(1 <= batch.sum() <= 5 for _, batch in batches)
    assert sum(batch.sum() for _, batch in batches) == labels.sum()
    seen = np.concatenate([rows_of(images) for images, _ in batches])
    assert sorted(seen.tolist()) == list(range(ROWS))


def test_a_damaged_shard_ends_a_pass_by_the_arrays_own_error(array: zarr.Array, tmp_path: Path) -> None:
    store = pixels.create(tmp_path / "p", array.shape[1:], "uint8")
    pixels.grow(store, ROWS)
    for first in range(0, ROWS, SHARD):
        pixels.write_shard(store, first, np.asarray(array[first : min(first + SHARD, ROWS)]))
    damaged = pixels.open_array(tmp_path / "p", owner=Owner("dataset 'd' version 1", "mend it", complete=True))
    content = bytearray(damaged.shard_file(3).read_bytes())
    content[10] ^= 1
    damaged.shard_file(3).write_bytes(content)
    rows = np.arange(ROWS)
    for seed in (None, 0):
        with pytest.raises(DamagedPixelsError, match="rows 1536 to 1599 "), naming_damage(damaged):
            for _ in image_batches(damaged, Reading(rows, rows, 64, seed), pool_bytes=1):
                pass
    with pytest.raises(tf.errors.InvalidArgumentError), naming_damage(array):
        tf.reshape(tf.zeros(3), (2,))
