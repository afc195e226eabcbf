"""Detectors of the simulated mosaic and what they do to light."""

import numpy as np
import pytest

from realbogus.simulation.camera import CHIP_DEG, build_detector, place_detectors
from realbogus.simulation.exposure import ExposureStack, clip_light, draw_detector_light, expose_stack

SHAPE = (200, 300)
STACK = ExposureStack(exposures=12, exposure_s=0.5, gain_e_per_count=0.23, read_noise_e=2.0, well_e=6000.0)


def build(number=3, diversity=1.0, seed=0):
    return build_detector(seed, number, SHAPE, 84, diversity)


def clean(detector):
    """Return light in which only the noise of the exposure is left."""
    return np.full(detector.shape, 3000.0, np.float32)


def test_chips_do_not_overlap_and_lie_in_the_field():
    centres = place_detectors(84)
    apart = np.abs(centres[:, None] - centres[None])
    overlap = (apart[..., 0] < CHIP_DEG[0]) & (apart[..., 1] < CHIP_DEG[1])
    assert overlap.sum() == 84  # each only with itself
    assert np.hypot(*centres.T).max() < 4.6


def test_too_many_detectors_are_refused_by_number():
    with pytest.raises(ValueError, match="detectors=9999"):
        place_detectors(9999)


def test_a_detector_is_the_same_every_time_and_unlike_the_next():
    first = build()
    build_detector.cache_clear()
    again, other = build(), build(number=4)
    assert np.array_equal(first.response, again.response)
    assert np.array_equal(first.hot.value, again.hot.value)
    assert first.optics == again.optics
    assert first.optics != other.optics
    assert not np.array_equal(first.response, other.response)


def test_without_diversity_the_laws_of_all_detectors_are_alike():
    one, two = build(3, diversity=0.0), build(70, diversity=0.0)
    assert one.optics == two.optics
    assert one.vignetting_deg == two.vignetting_deg
    assert one.warm_k == two.warm_k == 0


def test_vignetting_begins_beyond_two_degrees_and_halves_the_light_at_the_edge():
    chips = [build(number) for number in range(84)]
    middle = np.array([(SHAPE[1] - 1) / 2]), np.array([(SHAPE[0] - 1) / 2])
    radius = np.array([np.hypot(chip.east_deg, chip.north_deg) for chip in chips])
    left = np.array([float(chip.transmit(*middle, 1.189)[0]) for chip in chips])
    assert left[radius < 2] == pytest.approx(1)
    outer = radius > 2
    assert left[outer] == pytest.approx(1 - 0.5 * (radius[outer] - 2) / 2.5, abs=1e-6)


def test_share_of_telegraph_pixels_is_one_to_five_percent():
    shares = [len(build(number).telegraph.y) / (SHAPE[0] * SHAPE[1]) for number in range(20)]
    assert 0.008 < min(shares) < max(shares) < 0.05


def test_hot_pixels_keep_their_place_and_grow_with_temperature():
    detector, rng = build(), np.random.default_rng(0)
    light = clean(detector)
    warm = draw_detector_light(detector, light, STACK, 305.0, 290.0, rng)
    level = draw_detector_light(detector, light, STACK, 290.0, 290.0, rng)
    hot = detector.hot.y, detector.hot.x
    # 12 times the dark current at 15 K more: 11 times of it are not in the dark frame.
    grown = (warm - level)[hot].sum() * STACK.gain_e_per_count
    expected = 11 * detector.hot.value.sum() * 6 * np.exp(detector.warm_k * np.log(12) / 15)
    assert grown == pytest.approx(expected, rel=0.1)


def test_noise_of_a_stack_is_that_of_its_electrons():
    detector = build()
    total = clean(detector)
    pixels, saturated = expose_stack(total, None, detector, STACK, 280.0, np.random.default_rng(1))
    dark = 0.5 * 0.5 * np.exp((280 + detector.warm_k - 290) * np.log(12) / 15)
    expected = np.sqrt(3000 * 0.23 + 12 * (4 + dark)) / 0.23
    # 60,000 pixels give the standard deviation to 0.3 %, the mean to 0.5 counts, the skewness to 0.01.
    assert pixels.std() == pytest.approx(expected, rel=0.012)
    assert pixels.mean() == pytest.approx(3000, abs=2)
    z = (pixels - 3000) / expected
    assert np.mean(z**3) == pytest.approx(3000 / 0.23**2 * 0.23 / expected**3, abs=0.035)
    assert np.array_equal(pixels, np.rint(pixels))
    assert not saturated.any()


def test_exposures_are_clipped_before_they_are_added():
    detector = build()
    total = np.full(detector.shape, 6000 * 12 / 0.23, np.float32)  # the mean of an exposure is the well itself
    total[:100] *= 3
    pixels, saturated = expose_stack(total, None, detector, STACK, 290.0, np.random.default_rng(2))
    assert np.all(pixels[:100] == STACK.well_counts)  # flat tops
    assert saturated.mean() > 0.999  # one pixel in 4,096 has all its exposures below
    # Half of the exposures are cut at the well: the mean of min(0, z) is -1 / sqrt(2 pi) standard deviations.
    lost = 12 * np.sqrt(6000 + 4) / np.sqrt(2 * np.pi) / 0.23
    assert STACK.well_counts - pixels[100:].mean() == pytest.approx(lost, rel=0.02)


def test_what_the_well_clips_is_taken_from_the_stars():
    total = np.array([[100.0, STACK.well_counts + 500]], np.float32)
    stars = np.array([[50.0, 4e5]], np.float32)
    clip_light(total, stars, STACK)
    assert stars.tolist() == [[50, 4e5 - 500]]
    assert total.tolist() == [[100, STACK.well_counts]]


def test_uneven_response_grows_with_the_light():
    detector, light = build(), clean(build())
    once, thrice = (
        draw_detector_light(detector, factor * light, STACK, 290.0, 290.0, np.random.default_rng(5))
        for factor in (np.float32(1), np.float32(3))
    )
    assert thrice - once == pytest.approx(2 * light * (detector.response - 1), abs=0.5)
    assert np.std(thrice - once) > 5
