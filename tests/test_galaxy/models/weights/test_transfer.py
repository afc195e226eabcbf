"""Transfer between our own networks: the body is copied bit by bit, only what is new keeps its random weights."""

import keras
import numpy as np
import pytest

from galaxy.models.network_settings import GalaxyNetworkSettings, VitSettings
from galaxy.models.networks import OUTPUT, build_model, build_network, is_head
from galaxy.models.weights.errors import WeightsError
from galaxy.models.weights.transfer import load_layers, saved_layers
from tasks.learning.fits.seeding import seeded

VIT = VitSettings(input_px=16, patch_px=8, width=8, depth=1, heads=2, dense=4, dense_normalised=True)
CNN = GalaxyNetworkSettings(architecture="residual", filters=(4, 8), view_fraction=0.5, average_views=True)
SETTINGS = {
    "cnn": CNN,
    "vit": GalaxyNetworkSettings(architecture="backbone", backbone=VIT, view_fraction=1, average_views=False),
}


def network_of(settings: GalaxyNetworkSettings, classes: int, seed: int, size_px: int = 32) -> keras.Model:
    with seeded(seed):
        return build_network(settings, size_px, classes, grey=False, precision="float32")


@pytest.mark.parametrize("name", SETTINGS)
def test_eleven_classes_to_three_copies_all_but_the_output(name: str) -> None:
    settings = SETTINGS[name]
    eleven, three = network_of(settings, 11, 1), network_of(settings, 3, 2)
    saved = build_model(settings, 32, 11, grey=False, weights=eleven.get_weights())
    fresh = three.get_layer(OUTPUT).get_weights()
    load_layers(three, saved_layers(saved), lambda layer: layer == OUTPUT, "eleven")
    for layer in three.layers:
        expected = fresh if layer.name == OUTPUT else eleven.get_layer(layer.name).get_weights()
        for found, wanted in zip(layer.get_weights(), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)


def test_a_new_head_keeps_its_own_weights() -> None:
    ours, theirs = network_of(SETTINGS["vit"], 3, 1), network_of(SETTINGS["vit"], 3, 2)
    before = ours.get_layer("head_dense").get_weights()[0]
    given = {layer.name: layer.get_weights() for layer in theirs.layers if layer.weights}
    load_layers(ours, given, is_head, "theirs")
    np.testing.assert_array_equal(ours.get_layer("head_dense").get_weights()[0], before)
    np.testing.assert_array_equal(ours.get_layer("embedding").get_weights()[0], given["embedding"][0])


def test_another_network_is_refused_and_nothing_is_changed() -> None:
    ours, theirs = network_of(SETTINGS["vit"], 3, 1), network_of(CNN, 3, 2)
    before = ours.get_weights()
    given = {layer.name: layer.get_weights() for layer in theirs.layers if layer.weights}
    with pytest.raises(WeightsError, match=r"theirs is of another network: it lacks \d+ layers, such as block_0_att"):
        load_layers(ours, given, is_head, "theirs")
    own = {layer.name: layer.get_weights() for layer in ours.layers if layer.weights}
    with pytest.raises(WeightsError, match="it has too 1 layers, such as more"):
        load_layers(ours, own | {"more": [np.zeros(1)]}, is_head, "theirs")
    broken = own | {"encoder_normalisation": [np.zeros(9), np.zeros(8)]}
    with pytest.raises(WeightsError, match=r"layer encoder_normalisation has the shapes \[\(9,\), \(8,\)\] there"):
        load_layers(ours, broken, is_head, "theirs")
    for found, wanted in zip(ours.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, wanted)
