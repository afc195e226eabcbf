"""The convolutional networks by their own arithmetic: weights, halvings, and what layers without a shift keep."""

from itertools import pairwise

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from galaxy.models.convolutions import block_of, features, smallest_px
from galaxy.models.network_settings import GalaxyNetworkSettings
from tasks.learning.fits.seeding import seeded

DECK = GalaxyNetworkSettings(architecture="deck", filters=(2, 3, 4, 5, 6), view_fraction=1.0, average_views=False)
RESIDUAL = DECK.model_copy(update={"architecture": "residual", "filters": (4, 6, 8), "dropout": 0.5})


def network_of(settings: GalaxyNetworkSettings, width: int) -> keras.Model:
    images = keras.Input((width, width, 3))
    with seeded(1):
        return keras.Model(images, features(images, settings, "float32"))


def drawn(width: int, count: int = 3) -> NDArray[np.float32]:
    return np.random.default_rng(0).uniform(0, 255, (count, width, width, 3)).astype(np.float32)


def test_the_residual_network_has_the_weights_of_its_stages_and_blocks() -> None:
    stages = sum(9 * fed * kept + 4 * kept for fed, kept in pairwise((3, *RESIDUAL.filters)))
    blocks = sum(2 * (9 * kept * kept + 4 * kept) for kept in RESIDUAL.filters[1:])
    network = network_of(RESIDUAL, 24)
    assert network.count_params() == stages + blocks
    assert network.output_shape == (None, RESIDUAL.filters[-1])


def test_the_deck_network_flattens_what_five_halvings_leave() -> None:
    network = network_of(DECK, 70)
    side = 70 // 2 // 2 // 2 // 2 // 2
    assert network.get_layer("flat").output.shape == (None, side * side * DECK.filters[-1])
    assert network.get_layer("dense").count_params() == (side * side * DECK.filters[-1] + 1) * 256


@pytest.mark.parametrize(("settings", "smallest"), [(DECK, 32), (RESIDUAL, 8)])
def test_images_of_the_smallest_width_are_halved_to_one_pixel(settings: GalaxyNetworkSettings, smallest: int) -> None:
    assert smallest_px(settings) == smallest
    network = network_of(settings, smallest)
    pooled = [layer.output.shape[1:3] for layer in network.layers if isinstance(layer, keras.layers.MaxPooling2D)]
    assert pooled[-1] == (1, 1)
    found = np.asarray(network(drawn(smallest)))
    assert np.isfinite(found).all()
    assert np.ptp(found, axis=0).max() > 0


@pytest.mark.parametrize("settings", [DECK, RESIDUAL], ids=lambda settings: settings.architecture)
def test_at_first_features_are_proportional_to_the_light(settings: GalaxyNetworkSettings) -> None:
    """No layer adds anything yet: biases and shifts begin at zero, and ReLU and pooling keep a positive factor."""
    network, seen = network_of(settings, 32), drawn(32)
    whole = np.asarray(network(seen))
    np.testing.assert_allclose(np.asarray(network(0.25 * seen)), 0.25 * whole, rtol=1e-4, atol=1e-6)
    assert not np.asarray(network(0 * seen)).any()
    assert whole.max() > 0


def test_dropout_takes_features_while_fitting_alone_and_keeps_their_mean() -> None:
    network, seen = network_of(RESIDUAL, 16), drawn(16, 200)
    whole = np.asarray(network(seen))
    np.testing.assert_array_equal(np.asarray(network(seen)), whole)
    mean = keras.Model(network.input, network.get_layer("mean").output)
    dropped = np.asarray(network.get_layer("dropout")(mean(seen), training=True))
    kept = dropped != 0
    np.testing.assert_allclose(dropped[kept], 2 * whole[kept], rtol=1e-5)
    positive = whole > 0
    assert (kept & positive).sum() / positive.sum() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(
    ("layer", "block"),
    [
        *(("convolution_1", "1"), ("convolution_12", "12"), ("stage_3_convolution", "3"), ("block_2a_relu", "2")),
        *(("pooling_1", None), ("sum_2", None), ("mean", None), ("dense", None), ("rescaling", None)),
    ],
)
def test_a_layer_of_a_convolution_belongs_to_the_block_of_its_stage(layer: str, block: str | None) -> None:
    assert block_of(layer) == block


def test_every_layer_with_weights_but_the_dense_one_is_of_a_stage() -> None:
    for settings in (DECK, RESIDUAL):
        names = [layer.name for layer in network_of(settings, 32).layers if layer.weights and layer.name != "dense"]
        assert [block_of(name) for name in names] == sorted((block_of(name) for name in names), key=str)
        assert {block_of(name) for name in names} == {str(stage + 1) for stage in range(len(settings.filters))}
