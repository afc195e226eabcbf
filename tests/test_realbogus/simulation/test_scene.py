"""Populations of the sky: numbers, ranges and laws of magnitudes, and how transients fade."""

import numpy as np
import pytest

from realbogus.simulation import scene
from realbogus.simulation.rendering import SERSIC_INDICES
from realbogus.simulation.scene import EVENT_NIGHTS, Events, Extent, Galaxies, Variables

EXTENT = Extent(width=400, height=200, margin=50)
NO_GALAXIES = Galaxies(*(np.zeros(0) for _ in range(9)))


def rng(seed=0):
    return np.random.default_rng(seed)


def one_event(mag=18.0, start=10):
    return Events(*(np.array([value]) for value in (1.0, 2.0, mag, -1, start, 0)))


def test_the_extent_is_the_chip_with_its_margin():
    assert EXTENT.share == pytest.approx(500 * 300 / (400 * 200))
    x, y = EXTENT.draw_positions(rng(), 20_000)
    for values, first, last in ((x, -50.5, 449.5), (y, -50.5, 249.5)):
        assert first <= values.min() < first + 0.5
        assert last - 0.5 < values.max() < last
        assert values.mean() == pytest.approx((first + last) / 2, abs=3)


def test_numbers_are_poisson_about_the_density_on_the_chip():
    counts = [len(scene.draw_stars_of_field(rng(seed), EXTENT, 100).x) for seed in range(100)]
    assert np.mean(counts) == pytest.approx(187.5, abs=5)
    assert np.var(counts) == pytest.approx(187.5, rel=0.4)


def test_star_counts_grow_by_the_slope_per_magnitude():
    stars = scene.draw_stars_of_field(rng(), EXTENT, 100_000)
    assert stars.mag.min() >= 7
    assert stars.mag.max() <= 21
    counts, _ = np.histogram(stars.mag, [17, 18, 19, 20, 21])
    np.testing.assert_allclose(np.log10(counts[1:] / counts[:-1]), 0.285, atol=0.03)
    assert stars.colour.std() == pytest.approx(1, abs=0.02)
    assert np.abs(stars.motion_x).max() <= 1
    assert np.median(np.abs(stars.motion_y)) == pytest.approx(0.004 * 0.8165, rel=0.05)


def test_galaxies_have_shapes_within_their_limits():
    galaxies = scene.draw_galaxies_of_field(rng(), EXTENT, 20_000)
    assert set(galaxies.sersic_index) == set(SERSIC_INDICES)
    assert np.mean(galaxies.sersic_index == 1.0) == pytest.approx(0.3, abs=0.01)
    disc = galaxies.sersic_index < 1.8
    assert galaxies.axis_ratio[disc].min() == pytest.approx(0.15, abs=0.01)
    assert galaxies.axis_ratio[~disc].min() == pytest.approx(0.5, abs=0.01)
    assert galaxies.axis_ratio.max() <= 1
    assert galaxies.radius_arcsec.min() >= 0.4
    assert galaxies.radius_arcsec.max() <= 40
    faint = np.abs(galaxies.mag - 19) < 0.1
    assert np.median(galaxies.radius_arcsec[faint]) == pytest.approx(2, rel=0.1)
    assert galaxies.nucleus.min() >= 0
    assert galaxies.nucleus.max() <= 0.6
    assert galaxies.nucleus.mean() == pytest.approx(0.6 * 0.8 / 2.4, rel=0.03)
    assert galaxies.angle_rad.max() < np.pi


def test_variables_change_about_their_mean_within_their_amplitude():
    steady = Variables(*(np.array([value]) for value in (0.0, 0.0, 16.0, 0.0, 3.0, 0.1, -1)))
    assert steady.change(59000.3).tolist() == [1]
    period = np.array([2.0])
    variable = Variables(np.zeros(1), np.zeros(1), np.full(1, 16.0), np.ones(1), period, np.zeros(1), np.full(1, -1))
    np.testing.assert_allclose(variable.change(100.7), variable.change(102.7))
    # At phase 0 the shape is 0.35 sin(1), an amplitude of one magnitude is half of one to each side.
    assert variable.change(0.0)[0] == pytest.approx(10 ** (0.4 * 0.5 * 0.35 * np.sin(1)))
    assert variable.change(0.5)[0] == pytest.approx(10 ** (0.4 * 0.5 * (1 + 0.35 * np.sin(np.pi + 1))))


def test_one_variable_in_five_is_the_nucleus_of_its_galaxy():
    galaxies = scene.draw_galaxies_of_field(rng(), EXTENT, 300)
    variables = scene.draw_variables(rng(1), EXTENT, galaxies, 3000)
    nuclei = variables.host >= 0
    assert nuclei.mean() == pytest.approx(0.2, abs=0.02)
    np.testing.assert_array_equal(variables.x[nuclei], galaxies.x[variables.host[nuclei]])
    np.testing.assert_array_equal(variables.y[nuclei], galaxies.y[variables.host[nuclei]])
    assert (variables.mag[nuclei] >= np.maximum(galaxies.mag[variables.host[nuclei]], 13)).all()
    assert (scene.draw_variables(rng(1), EXTENT, NO_GALAXIES, 300).host == -1).all()


def test_hosts_are_drawn_by_light_to_the_power_of_085():
    galaxies = Galaxies(np.array([0.0, 300.0]), *(np.zeros(2) for _ in range(8)))
    galaxies = Galaxies(galaxies.x, galaxies.y, np.array([15.0, 17.0]), *(np.full(2, 1.0) for _ in range(6)))
    events = scene.draw_transients(rng(), EXTENT, galaxies, 1.0, 4000, 0)
    hosted = events.host[events.host >= 0]
    ratio = 10 ** (0.4 * 0.85 * 2)
    assert np.mean(hosted == 0) == pytest.approx(ratio / (1 + ratio), abs=0.02)


def test_hosted_transients_follow_the_disc_and_one_in_eight_is_nuclear():
    """A disc of half-light radius 4 arcsec on pixels of 2 arcsec: half of the separations are below 2 px."""
    galaxies = Galaxies(*(np.array([value]) for value in (100.0, 80.0, 15.0, 1.0, 4.0, 0.5, 0.0, 0.0, 0.0)))
    events = scene.draw_transients(rng(), EXTENT, galaxies, 2.0, 8000, 0)
    hosted = events.host == 0
    dx, dy = events.x[hosted] - 100, events.y[hosted] - 80
    nuclear = (dx == 0) & (dy == 0)
    assert nuclear.mean() == pytest.approx(0.12, abs=0.01)
    separation = np.hypot(dx, dy / 0.5)[~nuclear]
    assert np.median(separation) == pytest.approx(2.0, rel=0.04)
    assert dy.std() == pytest.approx(0.5 * dx.std(), rel=0.05), "the angle is that of the major axis, along x"


def test_transients_start_within_their_block_and_without_galaxies_have_no_host():
    events = scene.draw_transients(rng(), EXTENT, NO_GALAXIES, 1.0, 3000, 60)
    assert set(events.start_night) == set(range(60, 60 + EVENT_NIGHTS))
    assert (events.host == -1).all()
    assert events.number.tolist() == list(range(len(events.x)))
    assert events.mag.min() >= 14
    assert events.mag.max() <= 19.5


@pytest.mark.parametrize(
    ("night", "mag"), [(9, None), (10, 19.0), (11, 18.5), (12, 18.0), (13, 18.03), (39, 18 + 27 * 0.03), (40, None)]
)
def test_a_transient_rises_for_two_nights_and_fades_until_its_thirtieth(night, mag):
    visible = scene.fade_transients(one_event(), night)
    assert visible.mag.tolist() == ([] if mag is None else [pytest.approx(mag)])
    if mag is not None:
        assert (visible.x[0], visible.y[0], visible.start_night[0]) == (1, 2, 10)


def test_asteroids_and_flares_belong_to_the_night():
    asteroids = scene.draw_asteroids(rng(), EXTENT, 2000, 7)
    assert (asteroids.start_night == 7).all()
    assert (asteroids.host == -1).all()
    assert 13.5 <= asteroids.mag.min() < 14.5
    assert asteroids.mag.max() <= 19.8


def test_flares_are_of_stars_fainter_than_magnitude_15():
    stars = scene.draw_stars_of_field(rng(), EXTENT, 500)
    flares = scene.draw_flares(rng(1), EXTENT, stars, 400, 3)
    faint = {(x, y): mag for x, y, mag in zip(stars.x, stars.y, stars.mag, strict=True) if mag > 15}
    assert len(flares.x) > 600
    own = np.array([faint[place] for place in zip(flares.x, flares.y, strict=True)])
    assert flares.mag.min() >= 14
    assert flares.mag.max() <= 20
    inside = (flares.mag > 14) & (flares.mag < 20)
    assert (own - flares.mag)[inside].min() >= -1
    assert (own - flares.mag)[inside].max() <= 2.5
    bright = scene.SceneStars(*(np.full(3, value) for value in (1.0, 2.0, 15.0, 0.0, 0.0, 0.0)))
    assert len(scene.draw_flares(rng(), EXTENT, bright, 400, 3).x) == 0
