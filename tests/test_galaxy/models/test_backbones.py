"""Backbones: published sizes, any size of image, preprocessing inside the saved model, frozen normalisation."""

from pathlib import Path
from typing import get_args

import keras
import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from galaxy.models.backbones import BODIES, HEAD_PREFIX, features
from galaxy.models.googlenet import MODULES
from galaxy.models.network_settings import (
    Backbone,
    EfficientNetLite0Settings,
    GalaxyNetworkSettings,
    GoogLeNetSettings,
    VitSettings,
    XceptionSettings,
)
from galaxy.models.networks import ImageTooSmallError, build_model, build_network, is_head
from tasks.learning.fits.seeding import seeded

SMALL: list[Backbone] = [
    XceptionSettings(input_px=71, width=0.125, middle_blocks=1, dense=16),
    VitSettings(input_px=32, patch_px=8, width=16, depth=2, heads=2, dense=8, dense_normalised=True),
    GoogLeNetSettings(input_px=32),
    EfficientNetLite0Settings(input_px=32, frozen_normalisation=True),
]


def settings_of(backbone: Backbone, **changes: float) -> GalaxyNetworkSettings:
    parameters = {"view_fraction": 1.0, "average_views": False} | changes
    return GalaxyNetworkSettings(architecture="backbone", backbone=backbone, **parameters)


def network_of(backbone: Backbone, size_px: int = 32, classes: int = 3, precision: str = "float32") -> keras.Model:
    with seeded(1):
        return build_network(settings_of(backbone), size_px, classes, grey=False, precision=precision)


def images(size_px: int, count: int = 4) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, size_px, size_px, 3), dtype=np.uint8)


def numbers_in(network: keras.Model, trainable_only: bool = False) -> int:
    layers = [layer for layer in network.layers if not is_head(layer.name)]
    weights = [w for layer in layers for w in (layer.trainable_weights if trainable_only else layer.weights)]
    return sum(int(np.prod(weight.shape)) for weight in weights)


def test_xception_has_the_published_number_of_parameters() -> None:
    # keras.applications: 22,910,480 with a top of 1,000 classes.
    network = network_of(XceptionSettings(input_px=128, dense=128))
    assert numbers_in(network) == 22_910_480 - 2049 * 1000 == 20_861_480
    assert [network.get_layer(name).units for name in ("head_dense", "logits")] == [128, 3]


def test_vit_b16_has_the_published_number_of_parameters() -> None:
    # timm and torchvision: 86,567,656 with a top of 1,000 classes.
    network = network_of(VitSettings(input_px=224, dense=32, dense_normalised=True))
    assert numbers_in(network) == 86_567_656 - 769 * 1000 == 85_798_656
    head = [layer.name for layer in network.layers if is_head(layer.name)]
    assert head == ["head_normalisation_before", "head_dense", "head_normalisation_after", "head_dropout", "logits"]


def test_efficientnet_lite0_has_the_published_number_of_parameters() -> None:
    # Of the published file: 4,652,008 with a top of 1,000 classes, without the normalisation's statistics.
    assert (
        numbers_in(network_of(EfficientNetLite0Settings(input_px=64)), trainable_only=True) == 4_652_008 - 1281 * 1000
    )


def test_googlenet_has_the_published_number_of_parameters() -> None:
    # Without auxiliary outputs 6,998,552 with a top of 1,000 classes; each filter has a bias there, and a scale and
    # a shift here.
    filters = 64 + 64 + 192 + sum(sum(kept) for _, kept in MODULES)
    published = 6_998_552 - 1025 * 1000
    assert numbers_in(network_of(GoogLeNetSettings(input_px=64)), trainable_only=True) == published + filters


@pytest.mark.parametrize("backbone", SMALL, ids=lambda backbone: backbone.kind)
@pytest.mark.parametrize("size_px", [1, 90])
def test_images_of_any_size_are_resized_in_the_model(backbone: Backbone, size_px: int) -> None:
    network = network_of(backbone, size_px)
    model = build_model(settings_of(backbone), size_px, 3, grey=False, weights=network.get_weights())
    assert model.input_shape == (None, size_px, size_px, 3)
    probabilities = np.asarray(model(images(size_px)))
    assert probabilities.shape == (4, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("backbone", SMALL, ids=lambda backbone: backbone.kind)
def test_a_saved_model_loads_in_safe_mode_and_answers_the_same(backbone: Backbone, tmp_path: Path) -> None:
    network = network_of(backbone, 24)
    settings = settings_of(backbone, average_views=True, view_fraction=0.5)
    model = build_model(settings, 48, 3, grey=True, weights=network.get_weights())
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert loaded.inputs[0].dtype == "uint8"
    np.testing.assert_array_equal(np.asarray(loaded(images(48))), np.asarray(model(images(48))))


@pytest.mark.parametrize("backbone", SMALL, ids=lambda backbone: backbone.kind)
def test_half_precision_keeps_weights_input_and_logits_in_full(backbone: Backbone) -> None:
    network = network_of(backbone, precision="mixed_bfloat16")
    assert {weight.dtype for weight in network.weights} == {"float32"}
    assert network.outputs[0].dtype == "float32"
    assert {network.get_layer(name).compute_dtype for name in ("resized", "rescaling")} == {"float32"}
    inner = [layer for layer in network.layers if layer.weights and layer.name != "logits"]
    assert {layer.compute_dtype for layer in inner} == {"bfloat16"}


@pytest.mark.parametrize(
    ("kind", "darkest", "brightest"),
    [("xception", -1, 1), ("vit", -1, 1), ("googlenet", -1, 1), ("efficientnet-lite0", -127 / 128, 1)],
)
def test_each_backbone_gets_pixels_scaled_as_its_published_weights_do(
    kind: str, darkest: float, brightest: float
) -> None:
    network = network_of(next(backbone for backbone in SMALL if backbone.kind == kind))
    scaled = keras.Model(network.input, network.get_layer("rescaling").output)
    pixels = np.stack([np.zeros((32, 32, 3)), np.full((32, 32, 3), 255)])
    found = np.asarray(scaled(pixels))
    np.testing.assert_allclose(found[0], darkest, atol=1e-6)
    np.testing.assert_allclose(found[1], brightest, atol=1e-6)


@pytest.mark.parametrize("frozen", [False, True])
def test_frozen_normalisation_keeps_its_statistics_while_fitting(frozen: bool) -> None:
    network = network_of(GoogLeNetSettings(input_px=32, frozen_normalisation=frozen))
    network.compile("adam", keras.losses.CategoricalCrossentropy(from_logits=True), run_eagerly=True)
    statistics = network.get_layer("stem_1_normalisation")
    before = [weight.copy() for weight in statistics.get_weights()]
    kernel = network.get_layer("stem_1_convolution").get_weights()[0]
    network.train_on_batch(images(32), np.eye(3)[[0, 1, 2, 0]])
    assert not np.array_equal(network.get_layer("stem_1_convolution").get_weights()[0], kernel)
    same = [np.array_equal(old, new) for old, new in zip(before, statistics.get_weights(), strict=True)]
    assert same == [frozen] * 4


def test_the_narrow_xception_halves_as_often_as_the_whole() -> None:
    small, whole = XceptionSettings(input_px=128, width=0.25, middle_blocks=2), XceptionSettings(input_px=128)
    shapes = [
        [layer.output.shape[1] for layer in network_of(backbone).layers if layer.name.endswith("_pool")]
        for backbone in (small, whole)
    ]
    assert shapes[0] == shapes[1] == [31, 16, 8, 4]


@pytest.mark.parametrize(
    ("backbone", "smallest"),
    [
        (XceptionSettings(input_px=70), 71),
        (GoogLeNetSettings(input_px=31), 32),
        (EfficientNetLite0Settings(input_px=16), 32),
    ],
)
def test_an_input_that_is_too_small_is_refused(backbone: Backbone, smallest: int) -> None:
    with pytest.raises(
        ImageTooSmallError, match=f"input_px={backbone.input_px} is too small for {backbone.kind}.*{smallest}"
    ):
        network_of(backbone)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"input_px": 100}, "multiple of patch_px=16"), ({"input_px": 96, "heads": 5}, "width=768 one of heads=5")],
)
def test_a_transformer_needs_whole_patches_and_heads(changes: dict[str, int], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        VitSettings(**changes)


def test_settings_name_either_filters_or_a_backbone() -> None:
    views = {"view_fraction": 1.0, "average_views": False}
    for wrong in (
        {"architecture": "backbone"},
        {"architecture": "deck"},
        {"architecture": "deck", "filters": (8,), "backbone": SMALL[0]},
        {"architecture": "backbone", "filters": (8,), "backbone": SMALL[0]},
    ):
        with pytest.raises(ValidationError, match="goes with backbone"):
            GalaxyNetworkSettings(**wrong, **views)  # type: ignore[arg-type]


def test_every_kind_of_settings_has_a_body() -> None:
    kinds = [settings.model_fields["kind"].default for settings in get_args(get_args(Backbone)[0])]
    assert kinds == list(BODIES)
    assert {backbone.kind for backbone in SMALL} == set(BODIES)


@pytest.mark.parametrize(("dense", "normalised"), [(None, True), (8, False), (8, True)])
def test_the_head_has_the_weights_of_its_dense_layer_and_two_normalisations(
    dense: int | None, normalised: bool
) -> None:
    width = 16
    settings = VitSettings(
        input_px=8, patch_px=4, width=width, depth=1, heads=2, dense=dense, dense_normalised=normalised
    )
    images_in = keras.Input((5, 5, 3))
    network = keras.Model(images_in, features(images_in, settings, 0.5, "float32"))
    head = [layer for layer in network.layers if layer.name.startswith(HEAD_PREFIX)]
    count = sum(layer.count_params() for layer in head)
    if dense is None:
        assert (count, network.output_shape) == (0, (None, width))
    else:
        assert count == (width + 1) * dense + normalised * 4 * (width + dense)
        assert network.output_shape == (None, dense)


@pytest.mark.parametrize("kind", BODIES)
def test_images_of_the_smallest_width_have_finite_features_that_tell_them_apart(kind: str) -> None:
    smallest = BODIES[kind].smallest_px
    changes = {"input_px": smallest} | ({"patch_px": 1} if kind == "vit" else {})
    settings = next(each for each in SMALL if each.kind == kind).model_copy(update=changes)
    taken = keras.Input((smallest, smallest, 3))
    with seeded(1):
        body = keras.Model(taken, BODIES[kind].build(taken, settings, "float32"))
    found = np.asarray(body(images(smallest) / 127.5 - 1))
    assert found.ndim == 2
    assert np.isfinite(found).all()
    assert np.ptp(found, axis=0).max() > 0
