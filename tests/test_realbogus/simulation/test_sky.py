"""The sky of a chip-visit: its WCS, and which populations the cell, the night and the visit share."""

import numpy as np
import pytest

from realbogus.simulation.camera import place_detectors
from realbogus.simulation.scene import SourceKind
from realbogus.simulation.sky import draw_scene, make_field_wcs, shift_wcs
from realbogus.simulation.survey_settings import SurveySettings

SETTINGS = SurveySettings(
    seed=5, height_px=200, width_px=300, transients_per_visit=8, variables=4, asteroids=5, flares=5, stars=3000
)


def draw(cell=(3, 7), night=40, visit=2):
    return draw_scene(SETTINGS, cell, night, visit, 59040.4, make_field_wcs(SETTINGS, *cell))


def names(scene, kind):
    return {f"{g.prefix}-{number}" for g in scene.event_groups if g.kind is kind for number in g.events.number}


def test_a_chip_is_at_its_place_in_the_focal_plane():
    """East is along -x and north along +y; the centre of the chip is off the pointing by its position."""
    scale = 1.189 / 3600
    for chip in (0, 41, 83):
        wcs = make_field_wcs(SETTINGS, 3, chip)
        east, north = place_detectors(84)[chip]
        centre = (300 - 1) / 2, (200 - 1) / 2
        assert wcs.wcs.crpix[0] - 1 == pytest.approx(centre[0] + east / scale)
        assert wcs.wcs.crpix[1] - 1 == pytest.approx(centre[1] - north / scale)
        ra, dec = wcs.all_pix2world([wcs.wcs.crpix[0] - 1, wcs.wcs.crpix[0] - 2], [wcs.wcs.crpix[1] - 1] * 2, 0)
        assert (ra[1] - ra[0]) * np.cos(np.radians(dec[0])) == pytest.approx(scale, rel=1e-3)
        _, up = wcs.all_pix2world([wcs.wcs.crpix[0] - 1], [wcs.wcs.crpix[1]], 0)
        assert up[0] - dec[0] == pytest.approx(scale, rel=1e-6)


def test_chips_of_a_field_share_its_pointing_and_fields_do_not():
    first, other_chip, other_field = (make_field_wcs(SETTINGS, *cell) for cell in ((3, 7), (3, 8), (4, 7)))
    assert first.wcs.crval.tolist() == other_chip.wcs.crval.tolist()
    assert first.wcs.crval.tolist() != other_field.wcs.crval.tolist()
    pointings = np.array([make_field_wcs(SETTINGS, field, 0).wcs.crval for field in range(100)])
    assert pointings[:, 0].min() > 0
    assert pointings[:, 0].max() < 360
    sines = np.sin(np.radians(pointings[:, 1]))
    assert -0.5 <= sines.min() < -0.4
    assert 0.84 < sines.max() <= 0.94


def test_a_shifted_wcs_has_positions_plus_the_shift():
    wcs = make_field_wcs(SETTINGS, 3, 7)
    shifted = shift_wcs(wcs, (2.5, -4.0))
    np.testing.assert_allclose(shifted.all_pix2world([12.5], [16.0], 0), wcs.all_pix2world([10.0], [20.0], 0))
    assert wcs.wcs.crpix.tolist() != shifted.wcs.crpix.tolist()


def test_a_scene_is_a_pure_function_of_its_numbers():
    once, again = draw(), draw()
    np.testing.assert_array_equal(once.stars.x, again.stars.x)
    assert once.name == "3-7"
    assert (once.night, once.epoch_mjd) == (40, 59040.4)
    for kind in (SourceKind.TRANSIENT, SourceKind.ASTEROID, SourceKind.FLARE):
        assert names(once, kind) == names(again, kind) != set()


def test_a_cell_keeps_its_sources_and_a_visit_has_its_own_events():
    one, visit, night, cell = draw(), draw(visit=3), draw(night=41), draw(cell=(3, 8))
    for other in (visit, night):
        np.testing.assert_array_equal(one.stars.x, other.stars.x)
        np.testing.assert_array_equal(one.galaxies.mag, other.galaxies.mag)
        np.testing.assert_array_equal(one.variables.phase, other.variables.phase)
        np.testing.assert_array_equal(one.leftovers.x, other.leftovers.x)
        assert not names(one, SourceKind.ASTEROID) & names(other, SourceKind.ASTEROID)
        assert not names(one, SourceKind.FLARE) & names(other, SourceKind.FLARE)
    assert len(one.stars.x) != len(cell.stars.x) or (one.stars.x != cell.stars.x).any()
    assert names(one, SourceKind.TRANSIENT) == names(visit, SourceKind.TRANSIENT)
    assert names(one, SourceKind.TRANSIENT) & names(night, SourceKind.TRANSIENT)
    assert not names(one, SourceKind.TRANSIENT) & names(cell, SourceKind.TRANSIENT)


@pytest.mark.parametrize(("night", "blocks"), [(0, {1, 0}), (29, {1, 0}), (30, {2, 1}), (59, {2, 1})])
def test_transients_are_those_of_this_block_of_nights_and_the_previous(night, blocks):
    prefixes = {g.prefix for g in draw(night=night).event_groups if g.kind is SourceKind.TRANSIENT}
    assert prefixes == {f"T3-7-{block}" for block in blocks}


def test_transients_of_one_block_remain_in_the_next_until_they_fade():
    first, last = draw(night=29), draw(night=59)
    block = {name for name in names(first, SourceKind.TRANSIENT) if name.startswith("T3-7-1-")}
    assert block & names(draw(night=31), SourceKind.TRANSIENT)
    assert not block & names(last, SourceKind.TRANSIENT)


def test_numbers_of_static_sources_are_proportional_to_the_chip_s_area():
    share = 200 * 300 / (2000 * 1128)
    assert SETTINGS.area_share == pytest.approx(share)
    assert SETTINGS.shape == (200, 300)
    filled = (300 + 96) * (200 + 96) / (200 * 300)
    assert len(draw().stars.x) == pytest.approx(3000 * share * filled, abs=5 * np.sqrt(3000 * share * filled))
