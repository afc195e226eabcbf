"""Xception by its own arithmetic: filters, weights and blocks of narrow and short ones."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from galaxy.models.network_settings import XceptionSettings
from galaxy.models.xception import ENTRY_FILTERS, SMALLEST_PX, block_of, body, scaled


def network_of(width: float, middle_blocks: int) -> keras.Model:
    settings = XceptionSettings(input_px=SMALLEST_PX, width=width, middle_blocks=middle_blocks)
    images = keras.Input((SMALLEST_PX, SMALLEST_PX, 3))
    return keras.Model(images, body(images, settings, "float32"))


def separable(fed: int, kept: int) -> int:
    """Weights of a separable convolution 3x3 without bias, with its normalisation."""
    return 9 * fed + fed * kept + 4 * kept


def halved(fed: int, first: int, kept: int) -> int:
    """Weights of two separable convolutions and the shortcut beside them."""
    return separable(fed, first) + separable(first, kept) + fed * kept + 4 * kept


@given(st.integers(1, 3000), st.floats(0.01, 1.99))
def test_filters_are_a_multiple_of_eight_next_to_the_scaled_number(filters: int, width: float) -> None:
    found = scaled(filters, XceptionSettings(input_px=SMALLEST_PX, width=width))
    if width == 1:
        assert found == filters
    else:
        assert found % 8 == 0
        assert found >= 8
        assert abs(found - filters * width) <= 4 or (found == 8 and filters * width < 4)


def test_at_width_one_the_published_numbers_are_kept_though_they_are_no_multiple_of_eight() -> None:
    assert [scaled(filters, XceptionSettings(input_px=SMALLEST_PX)) for filters in (728, 30, 1)] == [728, 30, 1]


@pytest.mark.parametrize(("width", "middle_blocks"), [(0.125, 2), (0.0625, 0)])
def test_a_narrow_one_has_the_weights_of_its_blocks(width: float, middle_blocks: int) -> None:
    settings = XceptionSettings(input_px=SMALLEST_PX, width=width)
    first, second, *entry = (scaled(filters, settings) for filters in (32, 64, *ENTRY_FILTERS))
    last, wide, widest = (scaled(filters, settings) for filters in (1024, 1536, 2048))
    count = 9 * 3 * first + 4 * first + 9 * first * second + 4 * second
    for fed, kept in zip((second, *entry), entry, strict=False):
        count += halved(fed, kept, kept)
    count += middle_blocks * 3 * separable(entry[-1], entry[-1])
    count += halved(entry[-1], entry[-1], last) + separable(last, wide) + separable(wide, widest)
    network = network_of(width, middle_blocks)
    assert network.count_params() == count
    assert network.output_shape == (None, widest)


def test_blocks_are_numbered_through_and_each_layer_with_weights_is_of_one() -> None:
    network = network_of(0.0625, 3)
    blocks = [block_of(layer.name) for layer in network.layers if layer.weights]
    assert list(dict.fromkeys(blocks)) == [f"block{number}" for number in range(1, 1 + 4 + 3 + 2)]
    assert (block_of("mean"), block_of("block13_sepconv2_act")) == (None, "block13")


def test_a_middle_block_that_adds_nothing_changes_no_feature() -> None:
    """Its last normalisation, scaled to zero, leaves the shortcut alone."""
    network, shorter = network_of(0.0625, 1), network_of(0.0625, 0)
    network.get_layer("block5_sepconv3_bn").set_weights(
        [value * 0 for value in network.get_layer("block5_sepconv3_bn").get_weights()]
    )
    kept = [layer for layer in network.layers if layer.weights and block_of(layer.name) != "block5"]
    for layer, other in zip(kept, [layer for layer in shorter.layers if layer.weights], strict=True):
        other.set_weights(layer.get_weights())
    seen = np.random.default_rng(0).uniform(-1, 1, (2, SMALLEST_PX, SMALLEST_PX, 3)).astype(np.float32)
    found = np.asarray(network(seen))
    assert np.isfinite(found).all()
    assert found.max() > 0
    np.testing.assert_allclose(found, np.asarray(shorter(seen)), rtol=1e-4, atol=1e-6)
