"""Observing conditions: ranges, what a night's visits share, and the size of the registration error."""

import numpy as np
import pytest

from realbogus.simulation.conditions import Warp, draw_conditions, draw_reference_conditions
from realbogus.simulation.survey_settings import SurveySettings

SETTINGS = SurveySettings(height_px=300, width_px=500)


def draw(seed=0, night=0, settings=SETTINGS):
    return draw_conditions(settings, np.random.default_rng([1, night]), np.random.default_rng([2, seed]))


def test_a_warp_is_its_polynomial():
    """s and t run from -1 to 1 over the chip."""
    warp = Warp((101, 201), np.array([[1, 2, 3, 4, 5, 6], [0, 0, 0, 0, 0, 7.0]]), np.zeros((2, 0, 4)))
    dx, dy = warp.displace(np.array([0.0, 100.0, 200.0, 150.0]), np.array([0.0, 50.0, 100.0, 25.0]))
    # (s, t) = (-1, -1), (0, 0), (1, 1), (0.5, -0.5)
    np.testing.assert_allclose(dx, [1 - 2 - 3 + 4 + 5 + 6, 1, 1 + 2 + 3 + 4 + 5 + 6, 1 + 1 - 1.5 + 1 - 1.25 + 1.5])
    np.testing.assert_allclose(dy, [7, 0, 7, 7 / 4])


def test_a_warp_adds_plane_waves():
    waves = np.array([[[2.0, 0.1, 0.0, 0.0]], [[3.0, 0.0, 0.2, np.pi / 2]]])
    dx, dy = Warp((50, 50), np.zeros((2, 6)), waves).displace(np.array([0.0, 10.0]), np.array([5.0, 0.0]))
    np.testing.assert_allclose(dx, [2, 2 * np.cos(1.0)])
    np.testing.assert_allclose(dy, [3 * np.cos(1 + np.pi / 2), 0], atol=1e-12)


@pytest.mark.parametrize(("rms", "fine"), [(0.25, 0.0), (0.25, 0.6), (0.1, 1.0)])
def test_the_registration_error_is_shared_between_coarse_and_fine(rms, fine):
    settings = SETTINGS.model_copy(update={"registration_rms_px": rms, "registration_fine_share": fine})
    warp = draw(settings=settings).warp
    y, x = (axis.ravel() for axis in np.meshgrid(np.linspace(0, 299, 12), np.linspace(0, 499, 20), indexing="ij"))
    coarse = Warp(warp.shape, warp.coefficients, np.zeros((2, 0, 4)))
    waves = Warp(warp.shape, np.zeros((2, 6)), warp.waves)
    for part, expected in ((coarse, rms * np.sqrt(1 - fine**2)), (waves, rms * fine)):
        dx, dy = part.displace(x, y)
        assert np.sqrt(np.mean(dx**2 + dy**2)) == pytest.approx(expected, abs=1e-9)


def test_wavelengths_of_the_fine_error_are_between_their_limits():
    lengths = np.concatenate(
        [2 * np.pi / np.hypot(*np.moveaxis(draw(seed).warp.waves[..., 1:3], -1, 0)).ravel() for seed in range(20)]
    )
    assert 250 <= lengths.min() < 350
    assert 750 < lengths.max() <= 900


def test_visits_of_a_night_are_more_alike_than_nights():
    within = np.std([draw(seed, night=0).seeing_arcsec for seed in range(200)])
    between = np.std([draw(0, night=night).seeing_arcsec for night in range(200)])
    assert within / 3.4 == pytest.approx(0.07, rel=0.3)
    assert between / 3.4 == pytest.approx(0.16, rel=0.3)


def test_conditions_are_within_their_limits_around_the_settings():
    visits = [draw(seed, seed) for seed in range(500)]
    seeing = np.array([visit.seeing_arcsec for visit in visits]) / 3.4
    assert 0.6 <= seeing.min() < seeing.max() <= 2.4
    assert np.median(seeing) == pytest.approx(1, abs=0.03)
    assert np.median([visit.sky_e_per_s for visit in visits]) == pytest.approx(120, rel=0.03)
    transparency = np.array([visit.transparency for visit in visits])
    assert 0.4 <= transparency.min() < transparency.max() <= 1
    assert transparency.mean() == pytest.approx(1 - 0.03 - 0.04, abs=0.01)
    drift = np.array([visit.dark_temperature_k - visit.temperature_k for visit in visits])
    assert drift.std() == pytest.approx(1, rel=0.1)
    assert np.mean([visit.temperature_k for visit in visits]) == pytest.approx(293, abs=1)


def test_pointing_offsets_are_wide_for_one_visit_in_thirty_and_at_most_a_tenth_of_the_chip():
    settings = SETTINGS.model_copy(update={"dither_px": 2.0})
    offsets = np.array([draw(seed, settings=settings).shift_px for seed in range(1500)])
    assert np.abs(offsets).max() <= 0.1 * 300 + 0.5
    far = (np.abs(offsets) > 8.5).any(axis=1).mean()
    # Beyond 8 px: nothing of 2 px scatter, 85 % of the pairs of 16 px scatter.
    assert far == pytest.approx(0.85 / 30, abs=0.015)
    fraction = offsets - np.rint(offsets)
    assert fraction.std() == pytest.approx(1 / np.sqrt(12), rel=0.05)


def test_a_reference_defines_the_grid_and_is_slightly_sharper():
    references = [draw_reference_conditions(SETTINGS, np.random.default_rng(seed)) for seed in range(200)]
    first = references[0]
    assert first.shift_px == first.refraction_px == (0.0, 0.0)
    assert first.extinction_mag == 0
    assert first.temperature_k == first.dark_temperature_k
    dx, dy = first.warp.displace(np.array([3.0, 400.0]), np.array([7.0, 200.0]))
    assert not dx.any()
    assert not dy.any()
    seeing = np.array([one.seeing_arcsec for one in references]) / (3.4 * 0.92)
    assert np.median(seeing) == pytest.approx(1, abs=0.03)
    assert 0.8 <= seeing.min() < seeing.max() <= 1.25
