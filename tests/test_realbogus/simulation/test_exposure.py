"""A stack of exposures: well, dark current, telegraph pixels, and what a combination of exposures leaves."""

from dataclasses import replace

import numpy as np
import pytest

from realbogus.simulation.camera import BadColumn, PixelDefects, build_detector
from realbogus.simulation.exposure import (
    ExposureStack,
    clip_light,
    clip_single,
    combine_detector_light,
    dark_factor,
    draw_detector_light,
    expose_stack,
)

SHAPE = (60, 80)
STACK = ExposureStack(exposures=12, exposure_s=0.5, gain_e_per_count=0.25, read_noise_e=2.0, well_e=6000.0)
NO_PIXELS = PixelDefects(np.zeros(0, int), np.zeros(0, int), np.zeros(0))


def ideal_detector(**changes):
    """Return a detector without defects or pattern, apart from the changes."""
    detector = replace(
        build_detector(0, 3, SHAPE, 84, 1.0),
        response=np.ones(SHAPE, np.float32),
        hot=NO_PIXELS,
        telegraph=NO_PIXELS,
        telegraph_duty=np.zeros(0),
        telegraph_rate=np.zeros(0),
        columns=(),
        column_pattern_e=np.zeros(SHAPE[1], np.float32),
        row_pattern_e=np.zeros(SHAPE[0], np.float32),
        warm_k=0.0,
    )
    return replace(detector, **changes)


def light(level=0.0):
    return np.full(SHAPE, level, np.float32)


def test_counts_of_a_stack_are_its_electrons_over_the_gain():
    assert STACK.counts_per_e == 48
    assert STACK.well_counts == 12 * 24000


def test_dark_current_grows_twelvefold_in_15_kelvin():
    assert dark_factor(290.0) == 1
    assert dark_factor(305.0) == pytest.approx(12)
    assert dark_factor(275.0) == pytest.approx(1 / 12)


def test_a_detector_without_defects_adds_nothing():
    added = draw_detector_light(ideal_detector(), light(3000), STACK, 305, 290, np.random.default_rng(0))
    assert not added.any()
    assert added.dtype == np.float32


def test_pattern_and_bad_columns_are_offsets_of_every_exposure():
    pattern = ideal_detector(
        column_pattern_e=np.arange(SHAPE[1], dtype=np.float32), row_pattern_e=np.full(SHAPE[0], 2, np.float32)
    )
    added = draw_detector_light(pattern, light(), STACK, 290, 290, np.random.default_rng(0))
    np.testing.assert_allclose(added, np.tile(48 * (np.arange(SHAPE[1]) + 2), (SHAPE[0], 1)))
    column = ideal_detector(columns=(BadColumn(5, 10, 20, 3.0),))
    levels = []
    for seed in range(300):
        added = draw_detector_light(column, light(), STACK, 290, 290, np.random.default_rng(seed))
        inside = added[10:20, 5]
        assert (inside == inside[0]).all()
        levels.append(inside[0] / 48)
        added[10:20, 5] = 0
        assert not added.any()
    assert np.mean(levels) == pytest.approx(3, rel=0.06)
    assert np.std(levels) == pytest.approx(0.9, rel=0.15), "the offset flickers by 30 %"


def test_hot_pixels_drift_with_the_temperature_since_the_dark_frame():
    hot = PixelDefects(np.array([4]), np.array([6]), np.array([1000.0]))
    added = [
        draw_detector_light(ideal_detector(hot=hot), light(), STACK, 305, 290, np.random.default_rng(seed))[4, 6]
        for seed in range(100)
    ]
    dark_e = 1000 * 12 * 0.5 * 12
    assert np.mean(added) == pytest.approx(dark_e * 11 / 12 / 0.25, rel=0.01)
    assert np.std(added) == pytest.approx(np.sqrt(dark_e) / 0.25, rel=0.2)


@pytest.mark.parametrize("rate", [0.05, 1.0])
def test_telegraph_pixels_spend_their_duty_in_the_upper_level(rate):
    count = 4000
    pixels = PixelDefects(np.arange(count) // SHAPE[1], np.arange(count) % SHAPE[1], np.full(count, 10.0))
    detector = ideal_detector(telegraph=pixels, telegraph_duty=np.full(count, 0.3), telegraph_rate=np.full(count, rate))
    added = draw_detector_light(detector, light(), STACK, 290, 290, np.random.default_rng(0)) / 480
    level = added.ravel()[:count] + 0.3
    assert level.mean() == pytest.approx(0.3, abs=0.02), "duty is the share of time in the upper level"
    assert level.min() + 1e-6 >= 0
    assert level.max() <= 1 + 1e-6
    changed = ((level > 1e-6) & (level < 1 - 1e-6)).mean()
    stay = (1 - rate + rate * 0.3) ** 11 * 0.3 + (1 - rate + rate * 0.7) ** 11 * 0.7
    assert changed == pytest.approx(1 - stay, abs=0.03)


def test_a_combination_leaves_a_part_of_response_hot_pixels_and_columns():
    response = light(1)
    response[10, 20] = 0.5
    hot = PixelDefects(np.array([4, 5]), np.array([6, 7]), np.array([100.0, 1e5]))
    detector = ideal_detector(response=response, hot=hot, columns=(BadColumn(30, 0, 60, 2.0),))
    added = combine_detector_light(detector, light(1000), STACK)
    imprint = 0.12 * 48
    assert added[15, 31] == pytest.approx(-0.3 * 0.5 * 1000), "the response pattern is displaced by the dither"
    assert added[4, 6] == pytest.approx(imprint * 0.3 * 100 * 0.5)
    assert added[5, 7] == pytest.approx(imprint * 60), "a hot pixel's excess is limited"
    np.testing.assert_allclose(added[:, 30], imprint * 2, rtol=1e-5)
    added[15, 31], added[4, 6], added[5, 7], added[:, 30] = 0, 0, 0, 0
    assert not added.any()


def test_light_beyond_the_well_is_subtracted_from_the_stars():
    total, stars = light(STACK.well_counts), light(7e5)
    total[0, 0] += 300
    clip_light(total, stars, STACK)
    assert (total == STACK.well_counts).all()
    assert stars[0, 0] == 7e5 - 300
    assert (stars.ravel()[1:] == 7e5).all()


def test_light_of_one_exposure_is_clipped_at_the_room_in_it():
    single, total = light(1000), light(0)
    total[0, 0] = STACK.well_counts - 12 * 400
    total[0, 1] = STACK.well_counts - 12 * 1000
    total[0, 2] = STACK.well_counts + 5
    over = clip_single(single, total, STACK)
    assert single[0, :4].tolist() == [400, 1000, 0, 1000]
    assert over[0, :4].tolist() == [True, False, True, False]
    assert over.sum() == 2


def test_counts_are_whole_with_the_mean_and_the_noise_of_the_light():
    pixels, saturated = expose_stack(light(2000), light(100), ideal_detector(), STACK, 290, np.random.default_rng(0))
    variance_e = 2100 * 0.25 + 12 * (4 + 0.25)
    assert pixels.mean() == pytest.approx(2100, abs=5 * np.sqrt(variance_e) / 0.25 / np.sqrt(pixels.size))
    assert pixels.std() == pytest.approx(np.sqrt(variance_e) / 0.25, rel=0.04)
    np.testing.assert_array_equal(pixels, np.rint(pixels))
    assert not saturated.any()


def test_one_exposure_that_reaches_the_well_marks_the_pixel():
    """The stack is at half of the well; light of one exposure fills the rest of that exposure alone."""
    total = light(0.95 * STACK.well_counts)
    single = light(0)
    single[:, 40:] = 0.2 * STACK.well_counts / 12
    pixels, saturated = expose_stack(total, single, ideal_detector(), STACK, 290, np.random.default_rng(0))
    assert not saturated[:, :40].any()
    assert saturated[:, 40:].all()
    lost = 0.15 * STACK.well_counts / 12
    assert pixels[:, 40:].mean() == pytest.approx(
        0.95 * STACK.well_counts + 0.2 * STACK.well_counts / 12 - lost, rel=1e-3
    )
