"""Real/bogus networks: the published sizes, and preprocessing that no stamp breaks."""

import numpy as np
import pytest
import tensorflow as tf

from realbogus.models.layers import ExchangeFainter, FillMissing, FilterResponse, Normalise, arcsinh
from realbogus.models.networks import build_model, build_network, prepare_views
from realbogus.stamps import exchange_fainter
from tasks.candidates.presets import load_preset
from tasks.learning.fits.fit_settings import UnknownPresetError


@pytest.mark.parametrize(("network", "parameters"), [("simple", 234_242), ("complex", 2_401_638)])
def test_published_networks_have_the_published_number_of_parameters(network: str, parameters: int) -> None:
    preset = load_preset(network, "full", "published")  # type: ignore[arg-type]
    assert build_network(preset, 29, precision="float32").count_params() == parameters


def test_a_network_of_ours_has_no_published_profile() -> None:
    with pytest.raises(UnknownPresetError, match="network=compact"):
        load_preset("compact", "small", "published")


def test_missing_pixels_take_the_mean_of_their_plane() -> None:
    stamps = np.arange(2 * 4 * 4 * 3, dtype=np.float32).reshape(2, 4, 4, 3)
    holed = stamps.copy()
    holed[0, 1, 2, 0] = np.nan
    holed[1, ..., 2] = np.nan
    filled = np.asarray(FillMissing()(holed))
    assert filled[0, 1, 2, 0] == pytest.approx(np.nanmean(holed[0, ..., 0]))
    assert (filled[1, ..., 2] == 0).all()
    kept = np.isfinite(holed)
    np.testing.assert_array_equal(filled[kept], stamps[kept])


@pytest.mark.parametrize(
    "how", ["sky-asinh", "sky-mean", "min-max", "asinh-min-max", "standard-asinh", "l2", "sky-asinh-l2"]
)
def test_no_stamp_breaks_a_normalisation(how: str) -> None:
    rng = np.random.default_rng(0)
    stamps = rng.normal(300, 20, (3, 29, 29, 3)).astype(np.float32)
    stamps[0] = 7.0
    stamps[1, 14, 14] = 6e4
    assert np.isfinite(np.asarray(Normalise(how)(stamps))).all()  # type: ignore[arg-type]


def test_the_inverse_hyperbolic_sine_is_numpy_s_from_tiny_to_huge() -> None:
    values = np.concatenate([np.linspace(-20, 20, 10_001), np.logspace(-12, 17, 500), [0.0]]).astype(np.float32)
    exact = np.arcsinh(values.astype(float))
    assert (np.abs(np.asarray(arcsinh(tf.constant(values))) - exact) <= 2e-7 * np.maximum(np.abs(exact), 1)).all()
    assert np.isfinite(np.asarray(arcsinh(tf.constant([3e38, -3e38])))).all()


def test_a_batch_is_prepared_alike_whether_another_of_it_lacks_pixels_or_not() -> None:
    stamps = np.random.default_rng(4).normal(50, 3, (3, 29, 29, 3)).astype(np.float32)
    broken = np.concatenate([stamps, np.full((1, 29, 29, 3), np.nan, np.float32)])
    preset = load_preset("simple", "small", "fixed")
    views = np.asarray(prepare_views(broken, preset))
    np.testing.assert_array_equal(views[:3], np.asarray(prepare_views(stamps, preset)))
    assert np.isfinite(views).all()


def test_sky_asinh_knows_neither_level_nor_unit() -> None:
    stamps = np.random.default_rng(1).normal(0, 1, (4, 29, 29, 3)).astype(np.float32)
    layer = Normalise("sky-asinh")
    np.testing.assert_allclose(layer(stamps), layer(stamps * 8 + 512), atol=2e-3)


def test_filter_response_divides_by_the_mean_or_the_sum_of_squares() -> None:
    maps = np.random.default_rng(2).normal(size=(2, 5, 5, 3)).astype(np.float32)
    mean = (maps**2).mean(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(FilterResponse()(maps), np.maximum(maps / np.sqrt(mean + 1e-6), 0), atol=1e-5)
    total = (maps**2).sum(axis=(1, 2), keepdims=True)
    summed = np.maximum(maps / np.sqrt(total + 1e-6 + np.log(2)), 0)
    np.testing.assert_allclose(FilterResponse(summed=True)(maps), summed, atol=1e-5)


def test_a_source_has_one_logit_in_either_order_of_time() -> None:
    stamps = np.random.default_rng(5).normal(100, 3, (4, 29, 29, 3)).astype(np.float32)
    stamps[:, 13:16, 13:16, 0] += 40
    stamps[..., 2] = stamps[..., 0] - stamps[..., 1]
    stamps[0, 2:4, 5] = np.nan
    faded = stamps[..., [1, 0, 2]] * np.array([1, 1, -1], np.float32)
    both = np.concatenate([stamps, faded])
    np.testing.assert_array_equal(ExchangeFainter()(np.nan_to_num(both)), exchange_fainter(np.nan_to_num(both)))
    preset = load_preset("first", "small", "fixed")
    model = build_model(preset, 29, build_network(preset, 29, precision="float32").get_weights())
    logits = model.predict_on_batch(both)
    np.testing.assert_allclose(logits[:4], logits[4:], atol=1e-5)
    views = np.asarray(prepare_views(both, preset))
    np.testing.assert_allclose(views[:4], views[4:], atol=1e-5)
    plain = np.asarray(prepare_views(both, preset.model_copy(update={"exchange_fainter": False})))
    assert (np.abs(plain[:4] - plain[4:]).max(axis=(1, 2, 3)) > 1).all()


def test_averaged_views_do_not_depend_on_the_angle() -> None:
    preset = load_preset("first", "small", "fixed").model_copy(update={"average_views": True})
    model = build_model(preset, 29, build_network(preset, 29, precision="float32").get_weights())
    stamps = np.random.default_rng(3).normal(100, 5, (2, 29, 29, 3)).astype(np.float32)
    one, two = (model.predict_on_batch(view) for view in (stamps, np.rot90(stamps, axes=(1, 2)).copy()))
    np.testing.assert_allclose(one, two, atol=1e-4)
