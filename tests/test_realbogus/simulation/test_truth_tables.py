"""Truth tables, galaxy catalogues and known objects of a scene built by hand."""

from dataclasses import replace

import numpy as np
import pytest

from realbogus.simulation.scene import Events, Galaxies, SceneStars, SourceKind, Variables
from realbogus.simulation.sky import EventGroup, FieldScene, make_field_wcs
from realbogus.simulation.survey_settings import SurveySettings
from realbogus.simulation.truth_tables import (
    DrawnSource,
    catalogue_galaxies,
    list_known_objects,
    list_true_sources,
    name_variable,
)

SETTINGS = SurveySettings(height_px=200, width_px=300)
WCS = make_field_wcs(SETTINGS, 1, 42)
EPOCH, NIGHT = 59040.41, 40


def events(mag=16.0, count=1, x=100.0, y=50.0, host=-1, start=NIGHT):
    columns = (np.full(count, x), np.full(count, y), np.full(count, mag), np.full(count, host), np.full(count, start))
    return Events(*columns, np.arange(count))


def galaxies(count=1, mag=15.0, angle=0.0):
    values = (97.0, 46.0, mag, 1.0, 2.0, 0.5, angle, 0.0, 0.0)
    return Galaxies(*(np.full(count, value) for value in values))


def scene(*groups, **changes):
    nothing = np.zeros(0)
    base = FieldScene(
        SceneStars(*[nothing] * 6),
        galaxies(),
        Variables(*[nothing] * 7),
        groups,
        events(count=0),
        NIGHT,
        EPOCH,
        WCS,
        "1-42",
    )
    return replace(base, **changes)


def drawn(name="T1-42-2-0", kind=SourceKind.TRANSIENT, x=101.0, y=52.0, host=-1):
    return DrawnSource(name, kind, x, y, 16.0, 500.0, host)


TRANSIENTS = EventGroup(SourceKind.TRANSIENT, "T1-42-2", events(host=0))


def test_a_true_source_has_its_drawn_position_and_its_place_on_the_sky():
    (row,) = list_true_sources(scene(TRANSIENTS), [drawn(host=0)], SETTINGS)
    assert (row.name, row.kind, row.x, row.y) == ("T1-42-2-0", SourceKind.TRANSIENT, 101.0, 52.0)
    assert (row.mag, row.flux_counts) == (16.0, 500.0)
    ra, dec = WCS.all_pix2world([100.0], [50.0], 0)
    assert (row.ra_deg, row.dec_deg) == (ra[0], dec[0]), "that of the field, not of the frame"
    assert row.host_separation_arcsec == pytest.approx(5 * 1.189)
    assert row.host_separation_radii == pytest.approx(5 * 1.189 / 2)


def test_without_a_host_there_is_no_separation():
    (row,) = list_true_sources(scene(TRANSIENTS), [drawn()], SETTINGS)
    assert np.isnan(row.host_separation_arcsec)
    assert np.isnan(row.host_separation_radii)


@pytest.mark.parametrize(
    ("x", "y", "inside"),
    [(-0.5, 10, True), (-0.51, 10, False), (299.49, 10, True), (299.5, 10, False), (5, -0.5, True), (5, 199.5, False)],
)
def test_sources_whose_light_is_outside_the_frame_are_not_listed(x, y, inside):
    assert len(list_true_sources(scene(TRANSIENTS), [drawn(x=x, y=y)], SETTINGS)) == inside


def test_variables_are_named_by_their_cell():
    variables = Variables(*(np.array([value]) for value in (30.0, 20.0, 15.0, 1.0, 2.0, 0.0, -1)))
    sky = scene(variables=variables)
    assert name_variable(sky, 0) == "V1-42-0"
    (row,) = list_true_sources(sky, [drawn("V1-42-0", SourceKind.VARIABLE)], SETTINGS)
    assert (row.ra_deg, row.dec_deg) == tuple(float(axis[0]) for axis in WCS.all_pix2world([30.0], [20.0], 0))
    listed = {
        known.name for seed in range(20) for known in list_known_objects(sky, SETTINGS, np.random.default_rng(seed))
    }
    assert listed == {"V1-42-0"}


def test_the_catalogue_s_completeness_is_half_at_its_limit_and_falls_within_a_magnitude():
    shares = []
    for mag in (17.0, 19.6, 21.0):
        table = catalogue_galaxies(scene(galaxies=galaxies(4000, mag)), (0.0, 0.0), SETTINGS, np.random.default_rng(0))
        shares.append(len(table.x) / 4000)
    assert shares[0] > 0.99
    assert shares[1] == pytest.approx(0.5, abs=0.03)
    assert shares[2] < 0.01


def test_catalogue_errors_are_those_of_the_magnitude_and_positions_are_of_the_frame():
    sky = scene(galaxies=galaxies(4000, 15.0))
    table = catalogue_galaxies(sky, (3.0, -2.0), SETTINGS, np.random.default_rng(0))
    error = 0.06 + 0.15 * 10 ** (0.2 * -5)
    assert table.x.mean() == pytest.approx(100, abs=0.02)
    assert table.y.mean() == pytest.approx(44, abs=0.02)
    assert table.x.std() == pytest.approx(error, rel=0.06)
    assert (table.mag - 15).std() == pytest.approx(error / 2, rel=0.06)
    assert np.log(table.radius_arcsec / 2).std() == pytest.approx(error, rel=0.06)
    assert (table.axis_ratio - 0.5).std() == pytest.approx(0.3 * error, rel=0.06)
    x, y = WCS.all_world2pix(table.ra_deg, table.dec_deg, 0)
    np.testing.assert_allclose(x + 3, table.x, atol=1e-4)
    np.testing.assert_allclose(y - 2, table.y, atol=1e-4)


def test_position_angles_run_from_north_to_east():
    """x runs west and y north, so a major axis along +x lies at 90 degrees, one along +y at 0."""
    for angle, expected in ((0.0, 90.0), (np.pi / 4, 135.0), (np.pi / 2, 0.0)):
        table = catalogue_galaxies(
            scene(galaxies=galaxies(300, angle=angle)), (0, 0), SETTINGS, np.random.default_rng(0)
        )
        away = (table.position_angle_deg - expected + 90) % 180 - 90
        assert np.median(away) == pytest.approx(0, abs=1.0)
        assert ((table.position_angle_deg >= 0) & (table.position_angle_deg < 180)).all()
        np.testing.assert_allclose(
            np.tan(table.angle_rad), np.tan(np.radians(table.position_angle_deg + 90)), rtol=1e-6
        )


def test_galaxies_outside_the_frame_are_not_catalogued():
    for shift, listed in (
        ((-97.6, 0), False),
        ((-90, 0), True),
        ((203.5, 0), False),
        ((0, -47.5), False),
        ((0, 154.5), False),
    ):
        table = catalogue_galaxies(scene(galaxies=galaxies(50)), shift, SETTINGS, np.random.default_rng(0))
        assert (len(table.x) > 40) == listed
    nothing = catalogue_galaxies(scene(galaxies=galaxies(0)), (0, 0), SETTINGS, np.random.default_rng(0))
    assert len(nothing.ra_deg) == 0


@pytest.mark.parametrize(
    ("kind", "mag", "share"),
    [
        (SourceKind.TRANSIENT, 14.0, 0.8),
        (SourceKind.TRANSIENT, 18.6, 0.4),
        (SourceKind.ASTEROID, 14.0, 0.95),
        (SourceKind.ASTEROID, 19.0, 0.475),
        (SourceKind.TRANSIENT, 21.0, 0.0),
        (SourceKind.FLARE, 14.0, 0.0),
    ],
)
def test_the_listed_share_depends_on_kind_and_magnitude(kind, mag, share):
    group = EventGroup(kind, "N", events(mag, 1000))
    listed = list_known_objects(scene(group), SETTINGS, np.random.default_rng(0))
    assert len(listed) / 1000 == pytest.approx(share, abs=0.05)


def test_an_object_is_listed_whatever_else_is_in_the_field():
    few, many = (
        {row.name: row for row in list_known_objects(scene(*groups), SETTINGS, np.random.default_rng(3))}
        for groups in (
            (EventGroup(SourceKind.TRANSIENT, "T", events(16.0, 50)),),
            (
                EventGroup(SourceKind.ASTEROID, "A", events(14.0, 9)),
                EventGroup(SourceKind.TRANSIENT, "T", events(16.0, 90)),
            ),
        )
    )
    assert few == {name: row for name, row in many.items() if name in {f"T-{i}" for i in range(50)}}


def test_a_known_object_has_its_type_its_date_and_an_error_of_position():
    groups = (
        EventGroup(SourceKind.TRANSIENT, "T", events(14.0, 600, start=NIGHT - 3)),
        EventGroup(SourceKind.ASTEROID, "A", events(14.0, 20)),
    )
    rows = list_known_objects(scene(*groups), SETTINGS, np.random.default_rng(0))
    transients = [row for row in rows if row.name.startswith("T")]
    asteroids = [row for row in rows if row.name.startswith("A")]
    assert {row.type for row in transients} == {"SN"}
    assert {row.type for row in asteroids} == {"asteroid"}
    assert {row.discovery_mjd for row in transients} == {59040.25 - 3}
    assert {row.discovery_mjd for row in asteroids} == {EPOCH}
    dec = np.array([row.dec_deg for row in transients])
    assert dec.std() * 3600 == pytest.approx(0.3, rel=0.1)
