"""Artefacts: their light, extent and number, on small images whose totals can be computed."""

import numpy as np
import pytest

from realbogus.simulation import artefacts
from realbogus.simulation.artefacts import Trail, add_trail
from realbogus.simulation.rendering import FrameSources

SHAPE = (200, 300)
STEADY = (0.0, 50.0, 0.0)


def blank(shape=SHAPE):
    return np.zeros(shape, np.float32)


def stars(x=150.0, y=100.0, flux=1e8):
    return FrameSources(np.array([x]), np.array([y]), np.array([flux]))


def test_particles_are_as_many_as_the_rate_and_exposure_say_and_positive():
    """A track's charge has mean 650 exp(0.8^2 / 2) electrons per pixel of its length, which is 1.7 px on average."""
    image, seconds = blank((2000, 1128)), 9.0
    artefacts.add_particles(image, np.random.default_rng(0), seconds, gain=0.5, rate=500)
    assert image.min() >= 0
    expected = 600 * 650 * np.exp(0.32) / 0.5
    mean_length = np.maximum(1, np.random.default_rng(1).exponential(1.5, 100_000)).mean()
    assert image.sum() == pytest.approx(expected * mean_length, rel=0.12)


def test_gain_divides_the_light_of_particles():
    images = [blank(), blank()]
    for image, gain in zip(images, (1.0, 4.0), strict=True):
        artefacts.add_particles(image, np.random.default_rng(3), 100.0, gain, 50)
    assert images[0].any()
    np.testing.assert_allclose(images[1], images[0] / 4, rtol=1e-5)


@pytest.mark.parametrize("rate", [0.0])
def test_without_a_rate_there_is_no_light(rate):
    image, rng = blank(), np.random.default_rng(0)
    artefacts.add_particles(image, rng, 100, 0.23, rate)
    artefacts.add_trails(image, rng, 0.5, 1e12, 3.0, rate)
    artefacts.add_holes(image, rng, 100.0, rate)
    assert not image.any()


def test_a_twentieth_of_the_tracks_survives_in_a_reference():
    once, reference = blank(), blank()
    artefacts.add_particles(once, np.random.default_rng(5), 50.0, 1.0, 100)
    artefacts.add_reference_particles(reference, np.random.default_rng(5), 1000.0, 1.0, 100)
    assert once.any()
    np.testing.assert_array_equal(once, reference)


@pytest.mark.parametrize("angle_rad", [0.0, 0.6, np.pi / 2])
def test_a_trail_has_its_light_per_length_and_its_direction(angle_rad):
    image = blank()
    add_trail(image, Trail(150.0, 100.0, angle_rad, 80.0, 3.0, 10.0, STEADY))
    assert image.sum() == pytest.approx(80 * 10, rel=0.03)
    rows, columns = np.indices(SHAPE)
    assert (image * columns).sum() / image.sum() == pytest.approx(150, abs=0.05)
    assert (image * rows).sum() / image.sum() == pytest.approx(100, abs=0.05)
    along = (columns - 150) * np.cos(angle_rad) + (rows - 100) * np.sin(angle_rad)
    assert (image * along**2).sum() / image.sum() == pytest.approx(80**2 / 12, rel=0.05)


def test_a_trail_is_half_as_bright_at_half_its_width_and_ends_at_its_length():
    image = blank()
    add_trail(image, Trail(150.0, 100.0, 0.0, 80.0, 6.0, 1.0, STEADY))
    profile = image[:, 150]
    assert profile[103] == profile[97] == pytest.approx(profile[100] / 2, rel=1e-5)
    assert profile[100] == pytest.approx(2 / np.pi / (6 / (2 * np.sqrt(np.sqrt(2) - 1))), rel=1e-5)
    assert not image[:70].any(), "five widths to each side"
    assert not image[131:].any()
    line = image[100]
    assert line[190] == pytest.approx(line[150] / 2, rel=1e-5), "the end of the trail"
    assert line[193] == 0
    assert line[187] == pytest.approx(line[150], rel=1e-5)


def test_a_tumbling_trail_fades_by_its_depth_once_per_wavelength():
    image = blank()
    add_trail(image, Trail(150.0, 100.0, 0.0, 200.0, 3.0, 1.0, (0.8, 40.0, 0.0)))
    steady = blank()
    add_trail(steady, Trail(150.0, 100.0, 0.0, 200.0, 3.0, 1.0, STEADY))
    ratio = image[100, 70:230] / steady[100, 70:230]
    assert ratio.min() == pytest.approx(0.2, abs=0.01)
    assert ratio.max() == pytest.approx(1.0, abs=0.01)
    np.testing.assert_allclose(ratio[40:], ratio[:-40], atol=1e-4)
    assert ratio[80 + 10] == ratio.min(), "darkest a quarter wavelength after the centre"


def test_trails_are_poisson_and_share_the_light_of_a_satellite():
    counts = []
    for seed in range(200):
        image = blank((60, 60))
        artefacts.add_trails(image, np.random.default_rng(seed), 0.5, 1e8, 3.0, 0.5)
        counts.append(image.any())
    assert np.mean(counts) < 1 - np.exp(-0.5) + 0.1
    assert np.mean(counts) > 0.2


def test_only_stars_brighter_than_the_limit_have_ghosts():
    for mag, lit in ((10.4, True), (10.5, False), (12.0, False)):
        image = blank()
        artefacts.add_ghosts(image, np.random.default_rng(0), stars(), np.array([mag]), (40.0, -30.0))
        assert image.any() == lit


def test_a_ghost_is_a_ring_at_its_offset_of_half_a_percent_of_the_light():
    far = FrameSources(np.array([-5000.0]), np.array([-5000.0]), np.array([1e8]))
    image = blank()
    artefacts.add_ghosts(image, np.random.default_rng(0), far, np.array([9.0]), (5150.0, 5100.0))
    strength = np.exp(np.random.default_rng(0).normal(0, 0.09, 3))[0]
    assert image.sum() == pytest.approx(1e8 * 5e-3 * strength, rel=0.03)
    assert image[100, 150] < 0.01 * image.max(), "the shadow of the prime focus"
    rows, columns = np.nonzero(image > image.max() / 2)
    radius = np.hypot(rows - 100, columns - 150)
    assert 10 < radius.min() < 13
    assert 23 < radius.max() < 29


def test_spikes_run_along_the_diagonals_and_the_patch_ends_in_a_circle():
    image = blank((301, 301))
    artefacts.add_ghosts(image, np.random.default_rng(0), stars(150, 150), np.array([9.0]), (5000.0, 0.0))
    assert image[150 + 50, 150 + 50] > 1.5 * image[150, 150 + 71], "a diagonal at equal distance"
    assert image[150 + 50, 150 - 50] == pytest.approx(image[150 + 50, 150 + 50], rel=1e-5)
    rows, columns = np.indices(image.shape)
    radius = np.hypot(rows - 150, columns - 150)
    assert not image[radius >= 120].any()
    assert image[150, 150 + 118] > 0


def test_the_light_of_a_ghost_is_proportional_to_that_of_the_star():
    images = []
    for flux in (1e7, 3e7):
        image = blank()
        artefacts.add_ghosts(image, np.random.default_rng(2), stars(flux=flux), np.array([8.0]), (30.0, 30.0))
        images.append(image)
    np.testing.assert_allclose(images[1], 3 * images[0], rtol=1e-4)


def test_holes_are_negative_discs_of_the_given_depth_and_number():
    image = blank()
    artefacts.add_holes(image, np.random.default_rng(4), 100.0, 40)
    assert image.max() <= 0
    depths = [hole_depth(seed) for seed in range(60)]
    depths = [depth for depth in depths if depth]
    assert np.exp(np.mean(np.log(depths))) == pytest.approx(100, rel=0.35)


def hole_depth(seed):
    image = blank((400, 400))
    artefacts.add_holes(image, np.random.default_rng(seed), 100.0, 1.0)
    return -float(image.min())


def test_blank_strips_are_at_the_borders_and_a_lost_block_ends_at_the_right():
    strips = [artefacts.draw_blank_strips(np.random.default_rng(seed), (100, 120), 0.0) for seed in range(300)]
    assert all(not mask[40:60, 40:60].any() for mask in strips)
    widths = np.array([[m[:50, 60].sum(), m[50:, 60].sum(), m[50, :60].sum(), m[50, 60:].sum()] for m in strips])
    # A geometric number from 0 with success probability 0.3 has mean 7/3.
    np.testing.assert_allclose(widths.mean(axis=0), 7 / 3, atol=0.6)
    assert widths.min() == 0
    blocks = [artefacts.draw_blank_strips(np.random.default_rng(seed), (100, 120), 1.0) for seed in range(300)]
    for block, strip in zip(blocks, strips, strict=True):
        lost = block & ~strip
        assert (block | ~strip).all(), "the strips are the same"
        rows = np.flatnonzero(lost.any(axis=1))
        assert len(rows) < 40
        if len(rows):
            assert (np.diff(rows) == 1).all()
            assert block[rows[0], -1]


def test_the_chance_of_a_lost_block_is_the_one_asked_for():
    count = 0
    for seed in range(400):
        with_block = artefacts.draw_blank_strips(np.random.default_rng(seed), (200, 200), 0.25)
        without = artefacts.draw_blank_strips(np.random.default_rng(seed), (200, 200), 0.0)
        count += bool((with_block & ~without).any())
    assert count == pytest.approx(100, abs=35)
