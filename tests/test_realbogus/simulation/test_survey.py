"""The simulated survey: a pure function, whose frames are the sum of their origins, sky and noise."""

import numpy as np
import pytest
from pydantic import ValidationError

from realbogus.frames import Mask
from realbogus.simulation.conditions import draw_conditions
from realbogus.simulation.scene import EVENT_NIGHTS, Extent, SourceKind, draw_galaxies_of_field, draw_transients
from realbogus.simulation.survey import Survey, SurveySettings

SMALL = SurveySettings(
    seed=11,
    height_px=300,
    width_px=400,
    transients_per_visit=6,
    variables=4,
    asteroids=3,
    flares=1,
    trail_rate=60,
    particle_rate=100,
)
ON_AXIS = 42  # a chip near the middle of the mosaic


@pytest.fixture(scope="module")
def survey():
    return Survey(SMALL)


@pytest.fixture(scope="module")
def visit(survey):
    return survey.chip_visit(2, ON_AXIS, 1)


def dense(image):
    return image if isinstance(image, np.ndarray) else image.toarray()


def light_of(origins):
    return sum(dense(image).astype(float) for image in origins.values())


def test_a_visit_is_a_pure_function_of_its_numbers(visit):
    again = Survey(SMALL).chip_visit(2, ON_AXIS, 1)
    assert np.array_equal(visit.pair.new.pixels, again.pair.new.pixels)
    assert np.array_equal(visit.pair.reference.pixels, again.pair.reference.pixels, equal_nan=True)
    assert repr(visit.truth) == repr(again.truth)


def test_frames_keep_the_conventions(visit):
    new, reference = visit.pair.new, visit.pair.reference
    for frame in (new, reference):
        assert frame.pixels.dtype == np.float32
        assert frame.shape == frame.mask.shape == frame.background.shape == (300, 400)
        assert np.array_equal(np.isnan(frame.pixels), (frame.mask & Mask.NO_DATA) > 0)
        assert np.isfinite(frame.background).all()
    assert np.array_equal(new.pixels, np.rint(new.pixels))
    assert (reference.mask & Mask.NO_DATA).any()
    assert (new.mask & Mask.DEFECT).any()


def test_every_origin_of_light_appears(visit):
    changing = {"transient", "variable", "asteroid", "flare"}
    assert set(visit.light.new) >= {"star", "galaxy", "detector", "particle", "trail"} | (changing - {"flare"})
    assert set(visit.light.reference) >= {"star", "galaxy", "detector"}
    assert not changing - {"asteroid"} & set(visit.light.reference)


@pytest.mark.parametrize("which", ["new", "reference"])
def test_a_frame_is_its_origins_and_sky_and_noise(visit, which):
    frame = getattr(visit.pair, which)
    rest = frame.pixels - light_of(getattr(visit.light, which))
    usable = (frame.mask & (Mask.NO_DATA | Mask.SATURATED)) == 0
    # The sky is a smooth surface of second degree; the rest's scatter about it is noise.
    t, s = np.mgrid[-1:1:300j, -1:1:400j]
    terms = np.stack([np.ones_like(s), s, t, s * s, s * t, t * t], axis=-1)
    faint = usable & (np.abs(rest - np.nanmedian(rest)) < 4 * np.median(frame.background_rms))
    level = terms @ np.linalg.lstsq(terms[faint], rest[faint], rcond=None)[0]
    light = np.maximum(frame.pixels - level, 0)
    exposures = {"new": 12, "reference": 72}[which]
    read = exposures * 4 / frame.gain_e_per_count**2
    noise = np.sqrt((level + light) / frame.gain_e_per_count + read)
    z = ((rest - level) / noise)[usable]
    assert np.std(z) == pytest.approx(1.0, abs=0.02)
    bright = (light > 10 * np.nanmedian(noise))[usable]
    assert bright.sum() > 300
    assert np.std(z[bright]) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("which", ["new", "reference"])
def test_no_origin_holds_light_beyond_the_well(which):
    crowded = Survey(SMALL.model_copy(update={"stars": 60000.0})).chip_visit(0, ON_AXIS, 0)
    frame = getattr(crowded.pair, which)
    saturated = (frame.mask & Mask.SATURATED) > 0
    full = saturated & (frame.pixels == frame.saturation_counts)
    assert full.sum() > 20
    sky = np.median(frame.background)
    light = light_of(getattr(crowded.light, which))[full] + sky
    assert light == pytest.approx(frame.saturation_counts, rel=0.02)


def test_the_truths_flux_is_the_light_that_was_drawn(visit):
    margin = 25
    for kind in (SourceKind.TRANSIENT, SourceKind.ASTEROID, SourceKind.VARIABLE):
        rows = [t for t in visit.truth if t.kind == kind]
        inside = [t for t in rows if margin < t.x < 400 - margin and margin < t.y < 300 - margin]
        assert rows
        for row in inside:
            light = visit.light.stamp(row.x, row.y, 12)[kind][0]
            lonely = all(np.hypot(row.x - o.x, row.y - o.y) > 40 for o in rows if o is not row)
            if lonely:
                assert light.sum() == pytest.approx(row.flux_counts, rel=0.05)
                peak = np.unravel_index(np.argmax(np.abs(light)), light.shape)
                assert abs(peak[0] - 12) <= 1
                assert abs(peak[1] - 12) <= 1


def test_magnitudes_flux_and_zero_point_agree(visit):
    zero_point = visit.pair.new.zero_point_mag
    for row in visit.truth:
        assert zero_point - 2.5 * np.log10(abs(row.flux_counts)) == pytest.approx(row.mag, abs=0.02)


def test_positions_agree_with_both_wcs(visit):
    registration = 5 * SMALL.registration_rms_px
    dx, dy = visit.light.shift_px
    for row in visit.truth:
        x, y = visit.pair.new.wcs.all_world2pix([row.ra_deg], [row.dec_deg], 0)
        assert np.hypot(x[0] - row.x, y[0] - row.y) < registration
        there = visit.pair.reference.wcs.all_world2pix([row.ra_deg], [row.dec_deg], 0)
        assert np.hypot(x[0] - there[0][0] - dx, y[0] - there[1][0] - dy) < 1e-4


def test_the_references_stamps_lie_on_the_new_frames_pixels(visit):
    stars = dense(visit.light.new["star"])
    row, column = np.unravel_index(np.argmax(stars[60:-60, 60:-60]), (180, 280))
    new, reference = visit.light.stamp(column + 60, row + 60, 10)["star"]
    assert new.shape == reference.shape == (21, 21)
    rows, columns = np.indices(new.shape)

    def centre(stamp):
        return np.array([(stamp * columns).sum(), (stamp * rows).sum()]) / stamp.sum()

    assert np.hypot(*(centre(new) - centre(reference))) < 0.6
    scale = 10 ** (0.4 * (visit.pair.new.zero_point_mag - visit.pair.reference.zero_point_mag))
    if not (visit.pair.new.mask[row + 50 : row + 71, column + 50 : column + 71] & Mask.SATURATED).any():
        assert new.sum() / reference.sum() == pytest.approx(scale, rel=0.05)


def test_stamps_beyond_the_frame_are_dark(visit):
    stamps = visit.light.stamp(-3.0, 150.0, 10)
    new, reference = stamps["detector"]
    assert not new[:, :13].any()
    assert new[:, 13:].any()
    assert reference.shape == (21, 21)


def test_the_same_field_is_the_same_sky_on_another_visit(survey, visit):
    other = survey.chip_visit(2, ON_AXIS, 7, field=2001)
    assert other.pair.sky_cell == visit.pair.sky_cell
    assert np.array_equal(other.pair.reference.pixels, visit.pair.reference.pixels, equal_nan=True)
    assert not np.array_equal(other.pair.new.pixels, visit.pair.new.pixels)
    common = np.intersect1d(other.galaxies.ra_deg, visit.galaxies.ra_deg)
    assert len(common) > 0.8 * len(visit.galaxies.ra_deg)
    names = {kind: {t.name for t in visit.truth if t.kind == kind} for kind in SourceKind}
    again = {kind: {t.name for t in other.truth if t.kind == kind} for kind in SourceKind}
    assert names[SourceKind.TRANSIENT] & again[SourceKind.TRANSIENT]
    assert names[SourceKind.VARIABLE] & again[SourceKind.VARIABLE]
    assert not names[SourceKind.ASTEROID] & again[SourceKind.ASTEROID]


def test_chip_visits_have_fields_of_their_own(survey, visit):
    cells = {survey.chip_visit(0, chip, number).pair.sky_cell for chip, number in ((0, 0), (0, 1), (1, 0))}
    assert len(cells | {visit.pair.sky_cell}) == 4


def test_transients_fade_from_night_to_night(survey):
    first = {t.name: t for t in survey.chip_visit(40, 5, 0, field=9).truth if t.kind == SourceKind.TRANSIENT}
    later = {t.name: t for t in survey.chip_visit(45, 5, 0, field=9).truth if t.kind == SourceKind.TRANSIENT}
    both = first.keys() & later.keys()
    assert both
    for name in both:
        assert (first[name].ra_deg, first[name].dec_deg) == (later[name].ra_deg, later[name].dec_deg)
        assert later[name].mag != first[name].mag


def test_rate_and_hosts_of_transients_are_as_asked():
    extent, rng = Extent(400, 300, 0), np.random.default_rng(0)
    galaxies = draw_galaxies_of_field(rng, extent, 200)
    events = draw_transients(rng, extent, galaxies, 1.189, 4000, first_night=0)
    assert len(events.x) == pytest.approx(4000, abs=4 * 63)
    assert np.mean(events.host >= 0) == pytest.approx(0.7, abs=0.03)
    assert 14 <= events.mag.min() < events.mag.max() <= 19.5
    assert set(events.start_night) == set(range(EVENT_NIGHTS))


def test_depth_agrees_with_the_noise_budget():
    clear = SurveySettings(seed=1, height_px=256, width_px=256, stars=300, galaxies=0)
    visit = Survey(clear).chip_visit(0, ON_AXIS, 0)
    frame = visit.pair.new
    sigma_px = 3.5 / 1.189 / 2.3548
    noise = np.median(frame.background_rms) * np.sqrt(4 * np.pi) * sigma_px
    five_sigma = frame.zero_point_mag - 2.5 * np.log10(5 * noise)
    # 19.81 in 6 s of a clear, median sky; this visit's transparency and sky are brought back to those.
    level = np.median(frame.background) * 0.23 / 6 / 120
    transparency = 10 ** (0.4 * (frame.zero_point_mag - 24.85)) * 0.23 / 6
    assert five_sigma + 1.25 * np.log10(level) - 2.5 * np.log10(transparency) == pytest.approx(19.81, abs=0.1)


def test_registration_error_has_the_asked_size():
    settings = SurveySettings(registration_rms_px=0.25)
    rng = np.random.default_rng(3)
    y, x = (axis.ravel().astype(float) for axis in np.mgrid[0:1128:40, 0:2000:40])
    for _ in range(5):
        warp = draw_conditions(settings, rng, rng).warp
        dx, dy = warp.displace(x, y)
        assert np.sqrt(np.mean(dx**2 + dy**2)) == pytest.approx(0.25, rel=0.25)


def test_catalogue_is_near_the_truth_where_bright_and_lacks_the_faint():
    visit = Survey(SMALL.model_copy(update={"galaxies": 6000.0})).chip_visit(1, 3, 0)
    mags = visit.galaxies.mag
    assert mags.max() < 21
    counts, _ = np.histogram(mags, [18, 18.5, 19, 19.5, 20, 20.5])
    assert counts[4] < 0.5 * counts[2]
    bright = mags < 16.5
    light = dense(visit.light.new["galaxy"])
    here = np.rint(visit.galaxies.y[bright]).astype(int), np.rint(visit.galaxies.x[bright]).astype(int)
    around = light[np.clip(here[0], 0, 299), np.clip(here[1], 0, 399)]
    assert np.median(around) > 20 * np.median(light)


def test_known_objects_are_the_brighter_part_of_the_truth(survey, visit):
    known = {row.name: row for row in survey.known_objects(2, ON_AXIS, 1)}
    assert known == {row.name: row for row in survey.known_objects(2, ON_AXIS, 1)}
    for row in visit.truth:
        if row.name in known:
            assert abs(known[row.name].dec_deg - row.dec_deg) * 3600 < 2
            assert known[row.name].discovery_mjd <= visit.pair.epoch_mjd
    listed = [row.mag for row in visit.truth if row.name in known]
    unlisted = [row.mag for row in visit.truth if row.name not in known]
    assert np.median(listed) < np.median(unlisted)


@pytest.mark.parametrize(
    ("numbers", "message"), [((-1, 0, 0), "night -1"), ((0, 84, 0), "chip 84"), ((0, 0, 1000), "visit 1000")]
)
def test_numbers_out_of_range_are_refused_by_name(survey, numbers, message):
    with pytest.raises(ValueError, match=message):
        survey.chip_visit(*numbers)


def test_unknown_settings_are_refused():
    with pytest.raises(ValidationError, match="seing"):
        SurveySettings(seing=3)
