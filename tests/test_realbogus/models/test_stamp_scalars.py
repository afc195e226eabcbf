"""Scalars of a stamp: numbers of known shapes, symmetries that change none, and whole rows dropped in fitting."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from realbogus.models.layers import Normalise
from realbogus.models.networks import build_model, build_network
from realbogus.models.stamp_scalars import APERTURE_PX, OUTER_PX, SCALARS, StampScalars, measure_scalars
from realbogus.simulation.redrawing import SYMMETRIES, apply_symmetries
from tasks.candidates.presets import load_preset
from tasks.learning.fits.seeding import seeded

SIDE = 29


def views_of(snr: np.ndarray, plane: int = 2) -> np.ndarray:
    """Views of one stamp: the S/N of the pixels (y, x) in one plane, the other planes at the sky's level."""
    views = np.zeros((1, *snr.shape, 3), np.float32)
    views[0, ..., plane] = np.arcsinh(snr) / 4
    return views


def measured(views: np.ndarray) -> dict[str, float]:
    return dict(zip(SCALARS, np.asarray(measure_scalars(tf.constant(views)))[0].tolist(), strict=True))


def pixel(y: int, x: int, snr: float) -> np.ndarray:
    plane = np.zeros((SIDE, SIDE))
    plane[SIDE // 2 + y, SIDE // 2 + x] = snr
    return plane


def test_one_pixel_off_the_centre_has_the_numbers_of_its_place() -> None:
    found = measured(views_of(pixel(1, 1, 20.0)))
    assert found["peak of the difference"] == pytest.approx(np.arcsinh(20) / 4, rel=1e-5)
    assert found["deepest pixel of the difference"] == pytest.approx(0, abs=1e-6)
    assert found["S/N of the difference in the core"] == pytest.approx(np.arcsinh(20 / np.sqrt(13)) / 4, rel=1e-4)
    assert found["S/N of the difference in the aperture"] == pytest.approx(np.arcsinh(20 / np.sqrt(81)) / 4, rel=1e-4)
    assert found["width of the difference"] == pytest.approx(np.sqrt(2) / APERTURE_PX, rel=1e-4)
    assert found["dipole moment of the difference"] == pytest.approx(np.sqrt(2) / OUTER_PX, rel=1e-3)
    assert found["negative share of the difference"] == pytest.approx(0, abs=1e-6)


def test_a_dipole_has_a_moment_and_half_of_it_is_negative() -> None:
    dipole = measured(views_of(pixel(0, 2, 30.0) + pixel(0, -2, -30.0)))
    assert dipole["dipole moment of the difference"] == pytest.approx(2 / OUTER_PX, rel=1e-3)
    assert dipole["negative share of the difference"] == pytest.approx(0.5, rel=1e-4)
    assert dipole["deepest pixel of the difference"] == pytest.approx(np.arcsinh(30) / 4, rel=1e-5)
    even = measured(views_of(pixel(0, 2, 30.0) + pixel(0, -2, 30.0)))
    assert even["dipole moment of the difference"] < 0.01


def test_peaks_of_new_and_reference_are_of_their_own_planes() -> None:
    for plane, name in ((0, "peak of the new image"), (1, "peak of the reference")):
        found = measured(views_of(pixel(0, 0, 7.0), plane))
        assert found[name] == pytest.approx(np.arcsinh(7) / 4, rel=1e-5)
        others = {other for other, value in found.items() if abs(value) > 1e-3} - {name}
        assert others <= {"width of the new image"}
    assert measured(views_of(pixel(0, 4, 9.0), 0))["width of the new image"] == pytest.approx(4 / APERTURE_PX, rel=1e-4)


@pytest.mark.parametrize("side", [28, 29])
def test_the_scalars_are_the_same_of_every_symmetry_of_the_square(side: int) -> None:
    rng = np.random.default_rng(3)
    stamp = rng.normal(0, 5, (side, side, 3)).astype(np.float32)
    turned = apply_symmetries(np.repeat(stamp[None], SYMMETRIES, axis=0), np.arange(SYMMETRIES))
    found = np.asarray(measure_scalars(Normalise("sky-asinh-l2")(turned)))
    assert np.ptp(found, axis=0).max() < 2e-4
    assert np.ptp(found, axis=1).min() > 0.1, "the scalars are not all alike"


def test_no_pixel_is_so_bright_that_a_scalar_or_its_gradient_is_not_finite() -> None:
    for stamps in (np.full((1, SIDE, SIDE, 3), 4.0), np.zeros((1, SIDE, SIDE, 3)), np.full((1, SIDE, SIDE, 3), -90.0)):
        views = tf.Variable(stamps.astype(np.float32))
        with tf.GradientTape() as tape:
            scalars = measure_scalars(views)
        assert np.isfinite(scalars).all()
        assert np.isfinite(tape.gradient(scalars, views)).all()


def test_all_scalars_of_a_candidate_are_dropped_together_and_in_fitting_alone() -> None:
    views = np.random.default_rng(0).normal(0, 1, (2000, 21, 21, 3)).astype(np.float32)
    layer = StampScalars(dropped=0.3)
    whole = np.asarray(layer(views))
    fitted = np.asarray(layer(views, training=True))
    dropped = (fitted == 0).all(axis=1)
    np.testing.assert_array_equal(fitted[~dropped], whole[~dropped])
    assert not (whole == 0).all(axis=1).any()
    assert abs(dropped.mean() - 0.3) < 4 * np.sqrt(0.21 / len(views))
    assert not np.array_equal(fitted, np.asarray(layer(views, training=True))), "another draw at every step"


@pytest.mark.parametrize("network", ["simple", "complex", "compact", "first"])
def test_a_network_with_scalars_uses_them_and_keeps_one_input(network: str) -> None:
    """With the features of the convolutions switched off its logits are a function of the scalars alone."""
    preset = load_preset(network, "small", "fixed").model_copy(update={"stamp_scalars": True})  # type: ignore[arg-type]
    with seeded(1):
        fitted = build_network(preset, SIDE, precision="float32")
    joined = fitted.get_layer("dense_joined")
    kernel, bias = joined.get_weights()
    kernel[: -len(SCALARS)] = 0
    joined.set_weights([kernel, bias])
    model = build_model(preset, SIDE, fitted.get_weights())
    assert len(model.inputs) == 1
    stamps = np.random.default_rng(5).normal(100, 5, (2, SIDE, SIDE, 3)).astype(np.float32)
    stamps[0, 14, 14, 2] += 200
    shuffled = stamps.copy()
    shuffled[:, 3, 3:25] = shuffled[:, 3, 24:2:-1]  # beyond all discs and inside of the border
    answers = np.asarray(model.predict_on_batch(stamps))
    np.testing.assert_allclose(answers, model.predict_on_batch(shuffled), atol=1e-4)
    assert np.abs(answers[0] - answers[1]).max() > 1e-3
    assert not [layer for layer in fitted.layers if isinstance(layer, keras.layers.Lambda)]
