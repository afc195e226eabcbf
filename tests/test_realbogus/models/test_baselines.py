"""Baselines: forests, fields of packets, and scalars of stamps with known values."""

import numpy as np
import pytest

from realbogus.models.baselines import (
    CENTRE_SCALARS,
    measure_borders,
    measure_centres,
    measure_shapes,
    measure_skies,
    predict_by_forest,
    read_packet_fields,
)

SIDE = 29
MIDDLE = SIDE // 2


def test_a_forest_learns_from_missing_values_and_is_reproducible() -> None:
    rng = np.random.default_rng(0)
    real = rng.random(200) < 0.5
    table = np.stack([np.where(real, np.nan, 1.0), rng.normal(size=200)], axis=1)
    scores = predict_by_forest(table[:100], real[:100], table[100:], 3)
    assert ((scores > 0.5) == real[100:]).all()
    assert (scores == predict_by_forest(table[:100], real[:100], table[100:], 3)).all()
    assert np.isfinite(predict_by_forest(table, real, np.array([[np.inf, -np.inf]]), 0)).all()


def test_fields_of_packets_are_numbers_or_missing() -> None:
    packets = ['{"rb": 0.5, "nbad": 2}', '{"rb": null, "nbad": true}', '{"nbad": "3"}']
    columns = read_packet_fields(packets, ("rb", "nbad"))
    assert columns is not None
    np.testing.assert_array_equal(columns, [[0.5, 2], [np.nan, np.nan], [np.nan, np.nan]])
    assert read_packet_fields(packets, ("fwhm",)) is None


def test_border_scalars_are_of_the_outer_six_pixels() -> None:
    stamps = np.full((2, SIDE, SIDE, 3), 5.0)
    stamps[:, 6:-6, 6:-6] = 1e6
    stamps[1, 0, 0, 1], stamps[1, 5, 20, 1], stamps[1, 3, 3, 2] = 9.0, -3.0, np.nan
    scalars = measure_borders(stamps)
    pixels = SIDE**2 - 17**2
    np.testing.assert_allclose(scalars[0], [5] * 3 + [0] * 3 + [5] * 6)
    assert scalars[1, 1] == pytest.approx(5 + (4 - 8) / pixels)
    assert (scalars[1, 7], scalars[1, 10]) == (-3, 9)
    assert scalars[1, 8] == 0, "a missing pixel counts as 0"


def test_centre_scalars_are_signal_depth_and_concentration_of_the_difference() -> None:
    stamps = np.zeros((1, SIDE, SIDE, 3))
    stamps[..., :2] = 1e4
    stamps[0, ::2, :, 2], stamps[0, 1::2, :, 2] = 2.0, -2.0
    stamps[0, 6:-6, 6:-6, 2] = 0
    border = np.ones((SIDE, SIDE), bool)
    border[6:-6, 6:-6] = False
    noise = stamps[0, ..., 2][border].std()
    stamps[0, MIDDLE - 2, MIDDLE + 2, 2] = 30
    stamps[0, MIDDLE + 5, MIDDLE, 2] = -10
    stamps[0, MIDDLE, MIDDLE + 6, 2] = -1000
    (signal, deepest, concentration), *_ = measure_centres(stamps)
    assert len(CENTRE_SCALARS) == 3
    assert signal == pytest.approx(30 / (noise * 5))
    assert deepest == pytest.approx(-10 / noise)
    assert concentration == pytest.approx(30 / 40)


def test_shape_scalars_tell_a_hot_pixel_from_a_star_and_stray_light_from_noise() -> None:
    y, x = np.mgrid[:29, :29] - 14
    stamps = np.zeros((3, 29, 29, 3))
    stamps[..., 2] = np.random.default_rng(0).normal(0, 1, (3, 29, 29))
    stamps[0, ..., 2] += 1e4 * np.exp(-(x**2 + y**2) / (2 * 1.0**2))
    stamps[1, 14, 14, 2] += 1e4
    stamps[2, 2:5, 2:5, 2] += 200
    width, stray = measure_shapes(stamps).T
    assert width[0] == pytest.approx((1 + 2 * np.exp(-0.5)) ** 2, rel=0.01)
    assert width[1] == pytest.approx(1, abs=0.01)
    assert stray[1] == pytest.approx(1, abs=0.15)
    assert stray[2] > 10


def test_empty_stamps_have_finite_scalars() -> None:
    stamps = np.full((2, SIDE, SIDE, 3), np.nan)
    assert np.isfinite(measure_centres(stamps)).all()
    assert np.isfinite(measure_shapes(stamps)).all()
    assert np.isfinite(measure_borders(stamps)).all()


def test_the_sky_is_measured_beside_sources_and_missing_pixels() -> None:
    rng = np.random.default_rng(3)
    levels, noises = np.array([300.0, 120.0, 0.0]), np.array([9.0, 4.0, 12.0])
    stamps = rng.normal(levels, noises, (2, 63, 63, 3)).astype(np.float32)
    stamps[0, :3, :9] = 6e4
    stamps[0, 50:, :4] = np.nan
    stamps[1, ..., 2] = np.nan
    found = measure_skies(stamps)
    np.testing.assert_allclose(found[0, :3], levels, atol=1.5)
    np.testing.assert_allclose(found[0, 3:], noises, rtol=0.1)
    assert found[1, 2] == found[1, 5] == 0
