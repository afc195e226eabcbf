"""The Vision Transformer by its own arithmetic: weights, patches in their order, and what positions are for."""

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from galaxy.models.network_settings import VitSettings
from galaxy.models.vit import block_of, body
from tasks.learning.fits.seeding import seeded

SIDE, PATCH, WIDTH, DEPTH = 12, 4, 8, 2
SETTINGS = VitSettings(input_px=SIDE, patch_px=PATCH, width=WIDTH, depth=DEPTH, heads=2)
PATCHES = (SIDE // PATCH) ** 2


@pytest.fixture(scope="module")
def network() -> keras.Model:
    images = keras.Input((SIDE, SIDE, 3))
    with seeded(1):
        return keras.Model(images, body(images, SETTINGS, "float32"))


def drawn(count: int = 2) -> NDArray[np.float32]:
    return np.random.default_rng(0).uniform(-1, 1, (count, SIDE, SIDE, 3)).astype(np.float32)


def patch(number: int) -> tuple[slice, slice]:
    """Rows and columns of a patch, counted along the rows."""
    top, left = (PATCH * place for place in divmod(number, SIDE // PATCH))
    return slice(top, top + PATCH), slice(left, left + PATCH)


def test_its_weights_are_those_of_embedding_positions_and_blocks(network: keras.Model) -> None:
    normalisation = 2 * WIDTH
    attention = 4 * (WIDTH * WIDTH + WIDTH)  # query, key, value, output
    dense = (WIDTH + 1) * 4 * WIDTH + (4 * WIDTH + 1) * WIDTH
    embedding = (PATCH * PATCH * 3 + 1) * WIDTH
    tokens = WIDTH + (PATCHES + 1) * WIDTH  # the class token, and a position of each
    blocks = DEPTH * (2 * normalisation + attention + dense)
    assert network.count_params() == embedding + tokens + blocks + normalisation


def test_a_pixel_changes_the_token_of_its_patch_alone(network: keras.Model) -> None:
    tokens = keras.Model(network.input, network.get_layer("patches").output)
    seen = drawn(1)
    before = np.asarray(tokens(seen))
    assert before.shape == (1, PATCHES, WIDTH)
    for number in range(PATCHES):
        changed = seen.copy()
        rows, columns = patch(number)
        changed[0, rows.stop - 1, columns.start, 1] += 1
        moved = np.abs(np.asarray(tokens(changed)) - before)[0].max(axis=1)
        assert np.flatnonzero(moved > 1e-6).tolist() == [number]


def test_without_positions_the_order_of_the_patches_is_not_seen_and_with_them_it_is(network: keras.Model) -> None:
    seen, order = drawn(1), np.random.default_rng(1).permutation(PATCHES)
    shuffled = np.empty_like(seen)
    for place, number in enumerate(order):
        shuffled[(slice(None), *patch(place))] = seen[(slice(None), *patch(number))]
    layer = network.get_layer("positions")
    token, positions = layer.get_weights()
    try:
        layer.set_weights([token, np.random.default_rng(2).normal(size=positions.shape)])
        assert np.abs(np.asarray(network(shuffled)) - np.asarray(network(seen))).max() > 1e-3
        layer.set_weights([token, np.zeros_like(positions)])
        np.testing.assert_allclose(np.asarray(network(shuffled)), np.asarray(network(seen)), atol=1e-5)
    finally:
        layer.set_weights([token, positions])


def test_features_are_normalised_over_the_width_and_each_image_is_for_itself(network: keras.Model) -> None:
    seen = drawn(3)
    found = np.asarray(network(seen))
    assert found.shape == (3, WIDTH)
    np.testing.assert_allclose(found.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(found.std(axis=1), 1, atol=1e-2)
    for number in range(3):
        np.testing.assert_allclose(np.asarray(network(seen[number : number + 1]))[0], found[number], atol=1e-5)


def test_layers_of_an_encoder_block_are_told_by_its_name(network: keras.Model) -> None:
    blocks = {layer.name: block_of(layer.name) for layer in network.layers if layer.weights}
    others = {name for name, block in blocks.items() if block is None}
    assert others == {"embedding", "positions", "encoder_normalisation"}
    assert {block for block in blocks.values() if block} == {f"block_{number}" for number in range(DEPTH)}
    assert block_of("block_11_attention") == "block_11"
