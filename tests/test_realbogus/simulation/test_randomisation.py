"""Domain randomisation: nothing at 0, within its ranges at 1, and the noise of a resampled reference."""

from dataclasses import fields

import numpy as np
import pytest

from realbogus.frames import Mask
from realbogus.simulation.artefacts import add_clusters
from realbogus.simulation.randomisation import correlate_noise, draw_variety, vary_settings
from realbogus.simulation.survey import Survey, SurveySettings

SMALL = SurveySettings(seed=4, height_px=128, width_px=140, stars=40_000, galaxies=12_000)


def varieties(spread, **options):
    settings = SurveySettings(randomisation=spread)
    return [draw_variety(settings, np.random.default_rng(seed), **options) for seed in range(200)]


def test_without_spread_every_visit_is_of_its_survey():
    settings = SurveySettings()
    for of_reference in (False, True):
        assert len(set(varieties(0.0, of_reference=of_reference))) == 1
        ordinary = varieties(0.0, of_reference=of_reference)[0]
        assert vary_settings(settings, ordinary) == settings
        assert (ordinary.resampling_px, ordinary.blank_chance, ordinary.clusters) == (0, 0, 0)


@pytest.mark.parametrize("spread", [0.5, 1.0])
def test_visits_fill_the_ranges_in_proportion_to_the_spread(spread):
    visits = varieties(spread)
    drawn = {field.name: np.array([getattr(visit, field.name) for visit in visits]) for field in fields(visits[0])}
    low, high = 0.7**spread, 1.6**spread
    assert low <= drawn["seeing_factor"].min() < low + 0.02
    assert high - 0.02 < drawn["seeing_factor"].max() <= high
    ordinary = SurveySettings().registration_rms_px
    assert drawn["registration_rms_px"].min() == pytest.approx(ordinary * (1 - spread), abs=0.01)
    assert drawn["registration_rms_px"].max() == pytest.approx(ordinary + spread * (0.3 - ordinary), abs=0.01)
    assert drawn["clusters"].max() == pytest.approx(50 * spread, rel=0.03)
    assert (drawn["resampling_px"] == 0).all()
    resampled = [one.resampling_px for one in varieties(spread, of_reference=True)]
    assert max(resampled) == pytest.approx(spread / 2, rel=0.03)


@pytest.mark.parametrize("shift", [0.2, 0.5])
def test_resampled_noise_has_the_covariance_of_bilinear_weights(shift):
    noise = correlate_noise(np.random.default_rng(0).normal(0, 1, (700, 700)), shift)
    kept = (1 - shift) ** 2 + shift**2
    assert noise.var() == pytest.approx(kept**2, rel=0.02)
    for neighbours in (noise[1:] * noise[:-1], noise[:, 1:] * noise[:, :-1]):
        assert neighbours.mean() == pytest.approx(shift * (1 - shift) * kept, rel=0.03)


def test_a_cluster_of_bad_pixels_touches_and_stays_small():
    for seed in range(40):
        image = np.zeros((60, 60), np.float32)
        add_clusters(image, np.random.default_rng(seed), 5.0, 0.05)
        rows, columns = np.nonzero(image)
        if 0 < len(rows) <= 8:
            assert np.ptp(rows) <= 8
            assert np.ptp(columns) <= 8
    image = np.zeros((400, 400), np.float32)
    add_clusters(image, np.random.default_rng(1), 5.0, 300)
    lit = image[image != 0]
    assert 300 < len(lit) < 8 * 350
    assert 20 < np.median(lit) < 80
    assert 0.15 < (lit < 0).mean() < 0.35


def test_visits_of_a_field_share_a_randomised_reference_and_an_ordinary_survey_is_unchanged():
    varied = Survey(SMALL.model_copy(update={"randomisation": 1.0}))
    first, second = varied.chip_visit(0, 0, 0, field=3), varied.chip_visit(0, 0, 1, field=3)
    np.testing.assert_array_equal(first.pair.reference.pixels, second.pair.reference.pixels)
    assert first.seeing_fwhm_arcsec != second.seeing_fwhm_arcsec
    assert ((first.pair.new.mask & Mask.NO_DATA) > 0).any()
    np.testing.assert_array_equal(np.isnan(first.pair.new.pixels), (first.pair.new.mask & Mask.NO_DATA) > 0)
    ordinary = Survey(SMALL).chip_visit(0, 0, 0, field=3)
    assert not np.isnan(ordinary.pair.new.pixels).any()
