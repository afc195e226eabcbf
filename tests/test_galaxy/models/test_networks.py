"""Networks: the deck's sizes, the symmetries of the saved model, and what preprocessing holds."""

from itertools import pairwise
from pathlib import Path

import keras
import numpy as np
import pytest

from galaxy.models.layers import LUMINANCE
from galaxy.models.networks import (
    ImageTooSmallError,
    block_depths,
    build_model,
    build_network,
    mirrored_positions,
    view_px,
)
from tasks.galaxies.presets import GalaxyPreset, load_preset
from tasks.learning.fits.fit_settings import UnknownPresetError
from tasks.learning.fits.seeding import seeded

DECK = load_preset("cnn", "deck")
TUNED = load_preset("cnn", "tuned")


def model(preset: GalaxyPreset, size_px: int = 64, grey: bool = False) -> keras.Model:
    with seeded(1):
        network = build_network(preset, size_px, 3, grey=grey, precision="float32")
    return build_model(preset, size_px, 3, grey=grey, weights=network.get_weights())


def images(count: int = 4, size_px: int = 64) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, size_px, size_px, 3), dtype=np.uint8)


def test_the_deck_network_is_the_deck_s() -> None:
    network = build_network(DECK, 128, 2, grey=False, precision="float32")
    assert network.input_shape == (None, 128, 128, 3)
    kinds = [type(layer).__name__ for layer in network.layers]
    assert kinds == ["InputLayer", "Rescaling", *["Conv2D", "MaxPooling2D"] * 5, "Flatten", "Dense", "Dense"]
    assert [layer.units for layer in network.layers[-2:]] == [256, 2]
    channels = (3, *DECK.filters)
    convolutions = sum((9 * fed + 1) * kept for fed, kept in pairwise(channels))
    dense = (4 * 4 * DECK.filters[-1] + 1) * 256 + (256 + 1) * 2
    assert network.count_params() == convolutions + dense


@pytest.mark.parametrize("preset", [DECK, TUNED])
def test_the_saved_model_takes_stored_images_and_gives_probabilities(preset: GalaxyPreset) -> None:
    built = model(preset)
    assert built.input_shape == (None, 64, 64, 3)
    assert built.inputs[0].dtype == "uint8"
    probabilities = built.predict_on_batch(images())
    assert probabilities.dtype == np.float32
    assert probabilities.shape == (4, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    assert np.ptp(probabilities, axis=0).max() > 1e-4


def test_turning_or_mirroring_an_image_changes_nothing() -> None:
    built, seen = model(TUNED), images()
    expected = built.predict_on_batch(seen)
    for mirrored in (seen, seen[:, :, ::-1], seen[:, ::-1]):
        for turns in range(4):
            turned = np.ascontiguousarray(np.rot90(mirrored, turns, (1, 2)))
            np.testing.assert_allclose(built.predict_on_batch(turned), expected, atol=1e-5)
    assert np.abs(model(DECK).predict_on_batch(seen[:, ::-1]) - model(DECK).predict_on_batch(seen)).max() > 1e-5


def test_only_the_view_counts() -> None:
    built, seen = model(TUNED), images()
    around = seen.copy()
    around[:, 16:48, 16:48] = 0
    blanked = seen - around
    np.testing.assert_array_equal(built.predict_on_batch(blanked), built.predict_on_batch(seen))


def test_a_grey_model_sees_luminance_alone() -> None:
    seen = images()
    luminance = np.round(seen @ np.array(LUMINANCE)).astype(np.uint8)
    grey = np.repeat(luminance[..., None], 3, axis=-1)
    coloured = model(TUNED, grey=True)
    np.testing.assert_allclose(coloured.predict_on_batch(seen), coloured.predict_on_batch(grey), atol=2e-3)
    plain = model(TUNED)
    np.testing.assert_allclose(coloured.predict_on_batch(grey), plain.predict_on_batch(grey), atol=1e-5)


def test_half_precision_keeps_weights_and_logits_in_full() -> None:
    network = build_network(TUNED, 64, 3, grey=False, precision="mixed_bfloat16")
    assert {weight.dtype for weight in network.weights} == {"float32"}
    assert network.outputs[0].dtype == "float32"
    assert network.get_layer("block_2a_convolution").compute_dtype == "bfloat16"


@pytest.mark.parametrize("size_px", [32, 63, 64, 99, 128])
def test_the_view_lies_about_the_centre(size_px: int) -> None:
    width = view_px(TUNED, size_px)
    assert (size_px - width) % 2 == 0
    assert abs(width - size_px / 2) <= 1
    assert view_px(DECK, size_px) == size_px


def test_images_that_are_too_small_are_refused() -> None:
    with pytest.raises(ImageTooSmallError, match="images of 31 px leave a view of 31 px, the deck network needs 32"):
        build_network(DECK, 31, 2, grey=False, precision="float32")


def test_an_unknown_preset_is_named_with_those_there_are() -> None:
    with pytest.raises(UnknownPresetError, match="no preset 'best' for network 'cnn'; there are: network=cnn preset=d"):
        load_preset("cnn", "best")


PAIRED = [["anticlockwise", "clockwise"]]
WINDINGS = ["clockwise", "elliptical", "anticlockwise"]


def test_a_pair_of_mirrored_classes_exchanges_their_positions() -> None:
    assert mirrored_positions(WINDINGS, PAIRED) == [2, 1, 0]
    assert mirrored_positions(WINDINGS, []) is None


def test_a_mirrored_image_has_the_answers_of_the_other_winding(tmp_path: Path) -> None:
    with seeded(1):
        weights = build_network(TUNED, 64, 3, grey=False, precision="float32").get_weights()
    mirrored = mirrored_positions(WINDINGS, PAIRED)
    built, seen = build_model(TUNED, 64, 3, grey=False, weights=weights, mirrored=mirrored), images()
    expected = built.predict_on_batch(seen)
    assert np.abs(expected[:, 0] - expected[:, 2]).max() > 1e-4
    for turns in range(4):
        turned = np.ascontiguousarray(np.rot90(seen, turns, (1, 2)))
        np.testing.assert_allclose(built.predict_on_batch(turned), expected, atol=1e-6)
        flipped = np.ascontiguousarray(turned[:, :, ::-1])
        np.testing.assert_allclose(built.predict_on_batch(flipped), expected[:, ::-1], atol=1e-6)
    built.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded.predict_on_batch(seen), expected)
    blind = build_model(TUNED, 64, 3, grey=False, weights=weights).predict_on_batch(seen)
    np.testing.assert_allclose(blind, model(TUNED).predict_on_batch(seen), atol=1e-6)


BLOCKS = {
    ("cnn", "deck"): {"convolution_1": 5, "convolution_5": 1, "dense": 1, "logits": 0},
    ("cnn", "tuned"): {"stage_1_convolution": 4, "block_2b_normalisation": 3, "stage_4_convolution": 1, "logits": 0},
    ("xception-small", "deck"): {"block1_conv2": 8, "block2_shortcut": 7, "block8_sepconv2": 1, "head_dense": 0},
    ("vit-small", "tuned"): {
        "embedding": 7,
        "positions": 7,
        "block_0_attention": 6,
        "block_5_dense": 1,
        "encoder_normalisation": 1,
        "logits": 0,
    },
    ("googlenet", "tuned"): {
        "stem_1_convolution": 11,
        "stem_2_reduction_convolution": 10,
        "inception_5b_5_convolution": 1,
    },
    ("efficientnet-lite0", "tuned"): {
        "stem_convolution": 9,
        "block_0_project_convolution": 8,
        "block_1_expand_convolution": 7,
        "block_2_expand_convolution": 7,
        "block_15_project_normalisation": 2,
        "top_convolution": 1,
        "logits": 0,
    },
}


@pytest.mark.parametrize("key", BLOCKS)
def test_every_layer_with_weights_is_some_blocks_below_the_head(key: tuple[str, str]) -> None:
    preset = load_preset(*key)
    network = build_network(preset, 64, 3, grey=False, precision="float32")
    depths = block_depths(network, preset)
    assert {layer.name for layer in network.layers if layer.weights} <= set(depths)
    assert {name: depths[name] for name in BLOCKS[key]} == BLOCKS[key]
    assert set(depths.values()) == set(range(max(depths.values()) + 1))
