"""Features of a stamp, on stamps whose values are known."""

from dataclasses import replace

import numpy as np
import pytest

from realbogus.audits.giveaway_features import (
    central_pixels,
    find_offset,
    find_phase,
    measure_border,
    measure_reference,
    measure_stamps,
    off_grid,
    reference_light,
)
from realbogus.audits.source_sample import SCENE
from tests.small_sources import SIDE, SKY, make_sample, point_profiles

MIDDLE = SIDE // 2


@pytest.fixture(scope="module")
def sample():
    return make_sample(SCENE, 60, 1)


def flat(sample, plane=1, level=0.0):
    """Return the sample with one plane replaced by a constant level."""
    stamps = sample.stamps.copy()
    stamps[..., plane] = level
    return replace(sample, stamps=stamps)


def test_the_phase_is_the_position_within_its_pixel(sample):
    scalars = {**sample.scalars, "x_px": np.full(60, 10.25), "y_px": np.full(60, 19.5)}
    np.testing.assert_allclose(find_phase(replace(sample, scalars=scalars)), np.tile([0.25, -0.5], (60, 1)))


@pytest.mark.parametrize(
    ("values", "quantum", "expected"),
    [
        ([[1.0, 2.0, 3.0]], 1.0, 0.0),
        ([[1.5, 2.0]], 1.0, 0.25),
        ([[0.1, 0.4]], 0.2, 0.25),
        ([[0.9, 1.1]], 1.0, 0.1),
        ([[0.3, 0.9]], 0.0, 0.0),
        ([[0.5, np.nan]], 1.0, 0.5),
    ],
)
def test_the_distance_from_the_grid_is_in_quanta(values, quantum, expected):
    grid = off_grid(np.array(values)[:, :, None], np.array([quantum]))
    assert grid == pytest.approx([expected])


@pytest.mark.parametrize(("dx", "dy"), [(0.0, 0.0), (0.4, -0.3), (3.0, -2.0), (-3.6, 1.2)])
def test_the_offset_is_that_of_the_peak_in_x_and_y(dx, dy):
    sigma = np.full(1, 1.3)
    step = np.arange(SIDE) - MIDDLE
    star = np.exp(-((step[:, None] - dy) ** 2 + (step - dx) ** 2) / (2 * 1.3**2))[None]
    offset = find_offset(star, point_profiles(np.zeros(1), np.zeros(1), sigma))
    np.testing.assert_allclose(offset, [(dx, dy)], atol=0.02)


def test_the_reference_s_light_is_in_units_of_the_noise_of_the_new_frame(sample):
    power = np.square(sample.profile_new).sum(axis=(1, 2))
    stamps = sample.stamps.copy()
    stamps[..., 1] = 300 + 1000 * sample.profile_new
    scalars = {**sample.scalars, "scale": np.full(60, 0.5)}
    light = reference_light(replace(sample, stamps=stamps, scalars=scalars))
    np.testing.assert_allclose(light, 500 * np.sqrt(power) / SKY, rtol=2e-3)
    np.testing.assert_allclose(reference_light(flat(sample, 1, 300.0)), 0, atol=1e-6)


def test_features_of_the_reference_are_its_light_in_rings(sample):
    stamps = sample.stamps.copy()
    stamps[..., 1] = 300
    stamps[:, MIDDLE, MIDDLE + 5, 1] += 1000
    features = measure_reference(replace(sample, stamps=stamps))
    rings = {name: values for name, values in features.items() if name.startswith("ring")}
    assert list(rings) == ["ring_1.5", "ring_3.5", "ring_6.5", "ring_10"]
    radius = np.hypot(*np.indices((SIDE, SIDE)) - MIDDLE)
    pixels = ((radius >= 3.5) & (radius < 6.5)).sum()
    np.testing.assert_allclose(rings["ring_6.5"], np.arcsinh(1000 / SKY / np.sqrt(pixels) / 2), rtol=1e-5)
    for name in ("ring_1.5", "ring_3.5", "ring_10"):
        assert not rings[name].any()


def test_the_border_excludes_the_central_square(sample):
    stamps = sample.stamps.copy()
    stamps[:, MIDDLE - 7 : MIDDLE + 8, MIDDLE - 7 : MIDDLE + 8] = 1e6
    before, after = measure_border(sample), measure_border(replace(sample, stamps=stamps))
    assert before.keys() == after.keys()
    for name, values in before.items():
        np.testing.assert_array_equal(after[name], values)
    stamps[:, MIDDLE + 8, MIDDLE] = 1e6
    assert (measure_border(replace(sample, stamps=stamps))["new_100"] > before["new_100"]).all()


def test_the_border_counts_missing_pixels_and_is_in_units_of_the_noise(sample):
    stamps = sample.stamps.copy()
    stamps[:, 0, :10, 1] = np.nan
    border = measure_border(replace(sample, stamps=stamps))
    np.testing.assert_allclose(border["reference_missing"], 10 / (SIDE**2 - 15**2))
    assert not border["new_missing"].any()
    assert np.median(border["new_84"] - border["new_16"]) == pytest.approx(2, rel=0.1)


def test_central_pixels_are_the_arcsinh_of_their_signal_to_noise(sample):
    pixels = central_pixels(sample, 3).reshape(60, 3, 3, 3)
    assert pixels.dtype == np.float32
    level = np.nanmedian(sample.stamps[7, ..., 0])
    expected = np.arcsinh((sample.stamps[7, MIDDLE, MIDDLE + 1, 0] - level) / SKY)
    assert pixels[7, 1, 2, 0] == pytest.approx(expected, rel=1e-5)
    stamps = sample.stamps.copy()
    stamps[:, MIDDLE, MIDDLE] = np.nan
    assert (central_pixels(replace(sample, stamps=stamps), 3).reshape(60, 3, 3, 3)[:, 1, 1] == 0).all()


def test_features_of_a_stamp_measure_the_injected_source(sample):
    features = measure_stamps(sample)
    assert all(values.shape == (60,) for values in features.values())
    assert np.median(features["share_in_new"]) == pytest.approx(1, abs=0.05)
    assert np.median(features["noise"]) == pytest.approx(np.hypot(1, 1 / np.sqrt(6)), rel=0.1)
    assert np.median(features["off_claim"]) < 0.2
    assert not features["off_grid"].any()
    np.testing.assert_allclose(features["phase_x"], find_phase(sample)[:, 0])
