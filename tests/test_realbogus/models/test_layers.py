"""Layers against slow NumPy references on small maps."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from realbogus.models.layers import (
    CentreCut,
    CentrePool,
    FillMissing,
    FilterResponse,
    Normalise,
    SqueezeExcitation,
    SymmetryMean,
    SymmetryViews,
    measure_sky,
    scale_min_max,
)
from realbogus.models.preprocessing import Normalisation


def stamps_of(seed: int = 0, count: int = 3, size: int = 15) -> np.ndarray:
    return np.random.default_rng(seed).normal(100, 4, (count, size, size, 3)).astype(np.float32)


def slow_sky(plane: np.ndarray, clips: int) -> tuple[float, float]:
    border = np.ones(plane.shape, bool)
    border[3:-3, 3:-3] = False
    values = plane[border].astype(float)
    used = values
    for _ in range(clips):
        used = values[np.abs(values - used.mean()) <= 2.5 * used.std()]
    return float(used.mean()), float(used.std())


@pytest.mark.parametrize("clips", [0, 1, 2])
def test_the_sky_is_that_of_a_clipped_border_of_three_pixels(clips: int) -> None:
    stamps = stamps_of()
    stamps[:, 0, 4], stamps[:, 8, 14], stamps[:, 2, 2], stamps[:, 3, 3] = 140, 120, 111, 1e5
    level, noise = (np.asarray(part) for part in measure_sky(tf.constant(stamps), clips))
    assert level.shape == noise.shape == (3, 1, 1, 3)
    for row in range(3):
        for plane in range(3):
            expected = slow_sky(stamps[row, ..., plane], clips)
            assert (level[row, 0, 0, plane], noise[row, 0, 0, plane]) == pytest.approx(expected, rel=1e-4)


def test_a_constant_sky_has_a_small_positive_noise() -> None:
    _, noise = measure_sky(tf.fill((1, 9, 9, 3), 50.0), 2)
    np.testing.assert_allclose(noise, 1e-6 * 51, rtol=1e-4)


@pytest.mark.parametrize("how", ["sky-asinh", "sky-mean"])
def test_sky_normalisations_are_the_arcsinh_of_the_signal_to_noise(how: Normalisation) -> None:
    stamps = stamps_of()
    stamps[0, 0, 0] = 200
    views = np.asarray(Normalise(how)(stamps))
    level, noise = slow_sky(stamps[0, ..., 1], 2 if how == "sky-asinh" else 0)
    np.testing.assert_allclose(views[0, ..., 1], np.arcsinh((stamps[0, ..., 1] - level) / noise) / 4, atol=1e-4)


def test_other_normalisations_are_their_formulas() -> None:
    stamps = stamps_of()
    plane = stamps[1, ..., 2].astype(float)
    scaled = (plane - plane.min()) / np.ptp(plane)
    stretched = np.arcsinh(plane / 2)
    expected = {
        "min-max": scaled,
        "asinh-min-max": (stretched - stretched.min()) / np.ptp(stretched),
        "l2": plane / np.linalg.norm(plane),
    }
    for how, values in expected.items():
        np.testing.assert_allclose(Normalise(how)(stamps)[1, ..., 2], values, atol=1e-5)  # type: ignore[arg-type]
    six = np.asarray(Normalise("standard-asinh")(stamps))
    assert six.shape == (3, 15, 15, 6)
    np.testing.assert_allclose(six[1, ..., 2], (plane - plane.mean()) / plane.std(), atol=1e-4)
    np.testing.assert_allclose(six[1, ..., 5], stretched, atol=1e-5)
    both = np.asarray(Normalise("sky-asinh-l2")(stamps))
    np.testing.assert_allclose(both[..., :3], np.asarray(Normalise("sky-asinh")(stamps)), atol=1e-6)
    np.testing.assert_allclose(both[..., 3:], 10 * np.asarray(Normalise("l2")(stamps)), atol=1e-6)
    for how in ("standard-asinh", "sky-asinh-l2"):
        assert Normalise(how).compute_output_shape((None, 15, 15, 3)) == (None, 15, 15, 6)  # type: ignore[arg-type]
    assert Normalise("l2").compute_output_shape((None, 15, 15, 3)) == (None, 15, 15, 3)


def test_a_constant_plane_is_scaled_to_zero() -> None:
    assert not np.asarray(scale_min_max(tf.fill((1, 4, 4, 1), 7.0))).any()


def test_missing_pixels_have_the_mean_of_the_others() -> None:
    stamps = np.array([[[1.0, np.nan], [3.0, 5.0]]], np.float32)[..., None]
    np.testing.assert_allclose(FillMissing()(stamps)[0, ..., 0], [[1, 3], [3, 5]])


def test_filter_response_thresholds_a_scaled_and_shifted_map() -> None:
    maps = np.random.default_rng(1).normal(size=(2, 4, 4, 2)).astype(np.float32)
    layer = FilterResponse()
    layer.build(maps.shape)
    layer.set_weights([np.array([2.0, 0.5]), np.array([0.1, -0.2]), np.array([0.3, -5.0])])
    normed = maps / np.sqrt((maps**2).mean(axis=(1, 2), keepdims=True) + 1e-6)
    np.testing.assert_allclose(layer(maps), np.maximum(normed * [2, 0.5] + [0.1, -0.2], [0.3, -5]), atol=1e-5)


def test_the_gates_are_a_sum_of_a_map_and_a_channel() -> None:
    maps = np.random.default_rng(2).normal(size=(2, 3, 3, 4)).astype(np.float32)
    layer = SqueezeExcitation()
    layer.build(maps.shape)
    space, bias, inner, inner_bias, channel, channel_bias = layer.get_weights()

    def sigmoid(x: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-x))

    spatial = sigmoid(maps @ space[0, 0] + bias)
    hidden = np.maximum(maps.mean(axis=(1, 2)) @ inner + inner_bias, 0)
    channels = sigmoid(hidden @ channel + channel_bias)
    np.testing.assert_allclose(layer(maps), maps * (spatial + channels[:, None, None]), rtol=1e-4, atol=1e-5)
    assert inner.shape == (4, 2)


@pytest.mark.parametrize(("size", "centre"), [(5, slice(2, 3)), (4, slice(1, 3))])
def test_the_pool_has_the_mean_of_all_and_of_the_centre(size: int, centre: slice) -> None:
    maps = np.random.default_rng(3).normal(size=(2, size, size, 3)).astype(np.float32)
    expected = np.concatenate([maps.mean(axis=(1, 2)), maps[:, centre, centre].mean(axis=(1, 2))], axis=1)
    np.testing.assert_allclose(CentrePool()(maps), expected, atol=1e-6)
    assert CentrePool().compute_output_shape((None, size, size, 3)) == (None, 6)


def test_the_cut_is_central() -> None:
    stamps = stamps_of(size=9)
    np.testing.assert_array_equal(CentreCut(3)(stamps), stamps[:, 3:6, 3:6])
    assert CentreCut(3).compute_output_shape((None, 9, 9, 3)) == (None, 3, 3, 3)


def test_the_mean_over_views_is_of_each_stamp_s_own_eight() -> None:
    stamps = stamps_of(count=2, size=3)
    views = np.asarray(SymmetryViews()(stamps))
    assert views.shape == (16, 3, 3, 3)
    np.testing.assert_array_equal(views[:2], stamps)
    corners = views[:, 0, 0]
    of_first = {(0, 0), (0, 2), (2, 0), (2, 2)}
    expected = np.mean([stamps[0, y, x] for y, x in of_first], axis=0)
    np.testing.assert_allclose(SymmetryMean()(corners)[0], expected, rtol=1e-5)
    assert len({view.tobytes() for view in views[::2]}) == 8


@pytest.mark.parametrize(
    "layer", [FillMissing(), Normalise("l2"), FilterResponse(summed=True), CentreCut(5), SymmetryViews(), CentrePool()]
)
def test_layers_are_registered_by_package_and_class_and_restored_from_their_settings(layer: keras.layers.Layer) -> None:
    name = f"realbogus>{type(layer).__name__}"
    assert keras.saving.get_registered_name(type(layer)) == name
    restored = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(restored) is type(layer)
    assert restored.get_config() == layer.get_config()
