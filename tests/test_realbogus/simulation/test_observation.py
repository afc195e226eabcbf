"""Observation of hand-made skies: zero points, sky level, positions and fluxes of sources, masks of the two frames."""

from dataclasses import replace

import numpy as np
import pytest

from realbogus.frames import Mask
from realbogus.simulation.camera import build_detector
from realbogus.simulation.conditions import Warp, draw_conditions, draw_reference_conditions
from realbogus.simulation.observation import observe_new, observe_reference
from realbogus.simulation.randomisation import draw_variety
from realbogus.simulation.scene import Events, Galaxies, SceneStars, SourceKind, Variables
from realbogus.simulation.sky import EventGroup, FieldScene, make_field_wcs
from realbogus.simulation.survey_settings import SurveySettings

SHAPE = (120, 140)
SETTINGS = SurveySettings(height_px=SHAPE[0], width_px=SHAPE[1], particle_rate=0, trail_rate=0, hole_rate=0)
DETECTOR = build_detector(0, 42, SHAPE, 84, 1.0)
SHIFT = (2.0, -3.0)
NOTHING = np.zeros(0)
ORDINARY = draw_variety(SETTINGS, np.random.default_rng(0))


def events(x=70.0, y=60.0, mag=15.0):
    return Events(*(np.array([value]) for value in (x, y, mag, -1, 0, 0)))


def star(motion=0.0, mag=15.0, x=70.0):
    return SceneStars(*(np.array([value]) for value in (x, 60.0, mag, 0.0, motion, 0.0)))


def scene(**changes):
    sky = FieldScene(
        SceneStars(*[NOTHING] * 6),
        Galaxies(*[NOTHING] * 9),
        Variables(*[NOTHING] * 7),
        (),
        Events(*[NOTHING] * 6),
        0,
        59000.0,
        make_field_wcs(SETTINGS, 0, 42),
        "0-42",
    )
    return replace(sky, **changes)


def conditions():
    drawn = draw_conditions(SETTINGS, np.random.default_rng(0), np.random.default_rng(1))
    flat = Warp(SHAPE, np.zeros((2, 6)), np.zeros((2, 0, 4)))
    return replace(drawn, shift_px=SHIFT, warp=flat, gradient=np.zeros(5), transparency=0.8)


def observe(sky, seed=0):
    return observe_new(SETTINGS, DETECTOR, sky, conditions(), ORDINARY, np.random.default_rng(seed))


def observe_old(sky, seed=0):
    drawn = replace(draw_reference_conditions(SETTINGS, np.random.default_rng(2)), gradient=np.zeros(5))
    return observe_reference(SETTINGS, DETECTOR, sky, drawn, ORDINARY, np.random.default_rng(seed))


def centroid(image):
    rows, columns = np.indices(image.shape)
    return (image * columns).sum() / image.sum(), (image * rows).sum() / image.sum()


def dense(image):
    return image if isinstance(image, np.ndarray) else image.toarray()


@pytest.fixture(scope="module")
def empty():
    return observe(scene()), observe_old(scene())


def transmission():
    middle = (np.array([(SHAPE[1] - 1) / 2]), np.array([(SHAPE[0] - 1) / 2]))
    return float(DETECTOR.transmit(*middle, SETTINGS.pixel_arcsec)[0])


def test_the_zero_point_is_that_of_a_sum_of_exposures_in_counts(empty):
    new, reference = (observation.frame for observation in empty)
    assert new.zero_point_mag == pytest.approx(24.85 + 2.5 * np.log10(0.5 * 12 / 0.23 * 0.8 * transmission()))
    # A reference is a mean, of transparency 0.95.
    assert reference.zero_point_mag == pytest.approx(24.85 + 2.5 * np.log10(0.5 / 0.23 * 0.95 * transmission()))


def test_gain_saturation_and_quantum_are_those_of_a_sum_and_of_a_mean(empty):
    new, reference = (observation.frame for observation in empty)
    well = np.rint(6000 / 0.23)
    assert (new.gain_e_per_count, new.saturation_counts, new.quantum_counts) == (0.23, 12 * well, 1)
    assert reference.gain_e_per_count == pytest.approx(0.23 * 72)
    assert reference.saturation_counts == pytest.approx(well)
    assert reference.quantum_counts == pytest.approx(1 / 72)


def test_the_sky_has_the_level_of_its_electrons(empty):
    frame = empty[0].frame
    level = conditions().sky_e_per_s * 0.5 * 12 / 0.23 * transmission()
    assert np.median(frame.pixels) == pytest.approx(level, rel=0.01)


def test_without_sources_there_is_light_of_the_detector_only(empty):
    new, reference = empty
    assert set(new.light) == set(reference.light) == {"detector"}
    assert new.sources == reference.sources == []


def test_defects_are_masked_in_the_new_frame_and_missing_exposures_in_the_reference(empty):
    new, reference = (observation.frame for observation in empty)
    np.testing.assert_array_equal((new.mask & Mask.DEFECT) > 0, DETECTOR.defect_map)
    assert np.isfinite(new.pixels).all()
    missing = (reference.mask & Mask.NO_DATA) > 0
    np.testing.assert_array_equal(np.isnan(reference.pixels), missing)
    assert missing.any()
    assert not missing[40:80, 40:100].all()


def test_a_transient_is_drawn_at_its_shifted_position_into_the_new_frame_only():
    sky = scene(event_groups=(EventGroup(SourceKind.TRANSIENT, "T0-42-1", events()),))
    new = observe(sky)
    (source,) = new.sources
    assert (source.name, source.kind, source.mag) == ("T0-42-1-0", SourceKind.TRANSIENT, 15.0)
    assert (source.x, source.y) == (70.0 + SHIFT[0], 60.0 + SHIFT[1])
    assert source.flux_counts == pytest.approx(10 ** (0.4 * (new.frame.zero_point_mag - 15)), rel=1e-3)
    light = dense(new.light["transient"])
    assert light.sum() == pytest.approx(source.flux_counts, rel=0.02)
    assert centroid(light) == pytest.approx((72, 57), abs=0.05)
    assert set(observe_old(sky).light) == {"detector"}


def test_each_kind_of_event_has_an_image_of_its_own():
    kinds = (SourceKind.TRANSIENT, SourceKind.ASTEROID, SourceKind.FLARE)
    groups = tuple(EventGroup(kind, kind.value[0], events(40.0 + 20 * i)) for i, kind in enumerate(kinds))
    light = observe(scene(event_groups=groups)).light
    for i, kind in enumerate(kinds):
        assert centroid(dense(light[kind.value]))[0] == pytest.approx(42 + 20 * i, abs=0.1)


def test_a_variable_s_light_is_its_change_and_its_mean_is_a_star():
    variable = Variables(*(np.array([value]) for value in (70.0, 60.0, 14.0, 1.0, 2.0, 0.25, -1)))
    sky = scene(variables=variable)
    new = observe(sky)
    change = float(variable.change(59000.0)[0]) - 1
    (source,) = new.sources
    mean = dense(new.light["star"]).sum()
    assert source.flux_counts == pytest.approx(mean * change, rel=0.02)
    assert source.mag == pytest.approx(14 - 2.5 * np.log10(abs(change)))
    assert dense(new.light["variable"]).sum() == pytest.approx(source.flux_counts, rel=0.03)
    assert dense(observe_old(sky).light["star"]).sum() > 0


def test_stars_move_between_the_reference_and_the_new_frame():
    sky = scene(stars=star(motion=1.0))
    new, reference = (centroid(dense(one.light["star"])) for one in (observe(sky), observe_old(sky)))
    assert reference == pytest.approx((70, 60), abs=0.05)
    assert new == pytest.approx((70 + 1 + SHIFT[0], 60 + SHIFT[1]), abs=0.05)


def test_light_of_a_star_has_the_ratio_of_the_zero_points():
    sky = scene(stars=star())
    new, reference = observe(sky), observe_old(sky)
    ratio = dense(new.light["star"]).sum() / dense(reference.light["star"]).sum()
    assert ratio == pytest.approx(10 ** (0.4 * (new.frame.zero_point_mag - reference.frame.zero_point_mag)), rel=0.01)


def test_a_leftover_of_the_reference_has_three_tenths_of_its_light():
    reference = observe_old(scene(leftovers=events(mag=15.0)))
    expected = 0.3 * 10 ** (0.4 * (reference.frame.zero_point_mag - 15))
    assert dense(reference.light["asteroid"]).sum() == pytest.approx(expected, rel=0.02)
    assert "asteroid" not in observe(scene(leftovers=events())).light


def test_a_galaxy_is_disc_and_nucleus_of_one_flux():
    values = (70.0, 60.0, 15.0, 1.0, 3.0, 0.8, 0.3, 0.4, 0.0)
    new = observe(scene(galaxies=Galaxies(*(np.array([value]) for value in values))))
    light = dense(new.light["galaxy"])
    assert light.sum() == pytest.approx(10 ** (0.4 * (new.frame.zero_point_mag - 15)), rel=0.03)
    assert centroid(light) == pytest.approx((72, 57), abs=0.1)


def test_a_saturated_star_is_masked_and_its_light_ends_at_the_well():
    new = observe(scene(stars=star(mag=7.0)))
    saturated = (new.frame.mask & Mask.SATURATED) > 0
    assert saturated[57, 72]
    assert new.frame.pixels.max() == new.frame.saturation_counts
    total = sum(dense(image) for image in new.light.values())
    sky = np.median(new.frame.background)
    assert total.max() + sky == pytest.approx(new.frame.saturation_counts, rel=0.01)


def test_the_seeing_of_the_frame_is_broader_than_the_atmosphere(empty):
    assert empty[0].fwhm_arcsec > conditions().seeing_arcsec
    assert empty[1].fwhm_arcsec < empty[0].fwhm_arcsec * 1.5
