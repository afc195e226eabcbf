"""Candidates on the sky: groups within 2 arcsec that later detections do not change, and tracks of what moves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.store.sky_coordinates import unit_vectors
from tasks.visits.sky_groups import find_tracks, group_detections, to_degrees

ARCSEC = 1 / 3600


def shift(ra_deg, dec_deg, east_arcsec, north_arcsec):
    """Return positions moved along the tangent plane's axes, deg; exact to 1e-5 arcsec for arcminutes."""
    dec = dec_deg + north_arcsec * ARCSEC
    return (ra_deg + east_arcsec * ARCSEC / np.cos(np.radians(dec))) % 360, dec


@pytest.mark.parametrize(("ra_deg", "dec_deg"), [(150.0, 20.0), (0.0, -5.0), (359.9999, 0.0), (10.0, 89.9)])
def test_detections_within_two_arcsec_are_one_group_anywhere_on_the_sky(ra_deg: float, dec_deg: float) -> None:
    east, north = np.array([0.0, 1.9, 0.0, 2.1, 0.0]), np.array([0.0, 0.0, -1.9, 0.0, 30.0])
    assert group_detections(*shift(ra_deg, dec_deg, east, north)).tolist()[:3] == [0, 0, 0]
    groups = group_detections(*shift(ra_deg, dec_deg, east, north))
    assert groups[3] == 3
    assert groups[4] == 4


def test_a_detection_joins_the_nearest_founder_and_one_without_position_stays_alone() -> None:
    ra_deg, dec_deg = shift(150.0, 20.0, np.array([0.0, 3.0, 1.7, np.nan, 1.2]), np.zeros(5))
    assert group_detections(ra_deg, dec_deg).tolist() == [0, 1, 1, 3, 0]


def test_a_chain_does_not_carry_a_group_away() -> None:
    ra_deg, dec_deg = shift(150.0, 20.0, np.arange(8) * 1.5, np.zeros(8))
    groups = group_detections(ra_deg, dec_deg)
    for founder in np.unique(groups):
        assert np.ptp(np.arange(8)[groups == founder] * 1.5) <= 2.0


offsets = st.lists(st.tuples(st.floats(-8, 8), st.floats(-8, 8)), min_size=1, max_size=25)


@given(offsets, st.integers(0, 24))
def test_later_detections_never_change_the_group_of_earlier_ones(places, kept) -> None:
    ra_deg, dec_deg = shift(359.9999, 45.0, *np.array(places).T)
    kept = min(kept, len(places))
    assert group_detections(ra_deg, dec_deg)[:kept].tolist() == group_detections(ra_deg[:kept], dec_deg[:kept]).tolist()


@given(offsets)
def test_all_of_a_group_are_within_the_radius_of_its_founder_and_founders_are_apart(places) -> None:
    east, north = np.array(places).T
    groups = group_detections(*shift(150.0, 20.0, east, north))
    assert (groups[groups] == groups).all()
    assert (np.hypot(east - east[groups], north - north[groups]) <= 2.0 + 1e-3).all()
    founders = np.unique(groups)
    for one in founders:
        others = founders[founders > one]
        assert (np.hypot(east[others] - east[one], north[others] - north[one]) > 2.0 - 1e-3).all()


@given(st.floats(0, 359.99), st.floats(-89, 89))
def test_vectors_and_degrees_are_inverse(ra_deg: float, dec_deg: float) -> None:
    ra, dec = to_degrees(unit_vectors(np.array([ra_deg]), np.array([dec_deg])))
    assert abs((ra[0] - ra_deg + 180) % 360 - 180) * np.cos(np.radians(dec_deg)) < 1e-9
    assert dec[0] == pytest.approx(dec_deg, abs=1e-9)


def moving(rate_arcsec_per_h, angle_deg, hours, noise_arcsec=0.2, seed=0, ra_deg=150.0, dec_deg=20.0):
    rng = np.random.default_rng(seed)
    along = rate_arcsec_per_h * np.asarray(hours)
    east = along * np.sin(np.radians(angle_deg)) + rng.normal(0, noise_arcsec, len(along))
    north = along * np.cos(np.radians(angle_deg)) + rng.normal(0, noise_arcsec, len(along))
    return shift(ra_deg, dec_deg, east, north)


@pytest.mark.parametrize(("rate", "angle"), [(30.0, 110.0), (115.0, 271.0), (8.0, 2.0)])
def test_what_moves_along_a_line_is_one_track_with_its_rate(rate: float, angle: float) -> None:
    hours = np.array([0.0, 0.5, 1.1, 1.9])
    ra_deg, dec_deg = moving(rate, angle, hours)
    (track,) = find_tracks(ra_deg, dec_deg, 60000 + hours / 24, np.arange(4))
    assert track.rows.tolist() == [0, 1, 2, 3]
    assert track.rate_arcsec_per_h == pytest.approx(rate, abs=0.6)
    assert track.position_angle_deg == pytest.approx(angle, abs=4)
    assert track.rms_arcsec < 0.6


def test_two_objects_that_cross_are_two_tracks() -> None:
    hours = np.tile([0.0, 0.5, 1.0], 2)
    places = [moving(40.0, 90.0, [0.0, 0.5, 1.0]), moving(40.0, 0.0, [0.0, 0.5, 1.0], seed=1, dec_deg=19.992)]
    ra_deg, dec_deg = (np.concatenate(both) for both in zip(*places, strict=True))
    tracks = find_tracks(ra_deg, dec_deg, 60000 + hours / 24, np.tile([0, 1, 2], 2))
    assert sorted(track.rows.tolist() for track in tracks) == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    ("east", "hours", "visits"),
    [
        ([0, 30, 0], [0, 0.5, 1], [0, 1, 2]),  # comes back
        ([0, 30, 75], [0, 0.5, 1], [0, 1, 2]),  # is 7.5 arcsec off the line
        ([0, 90, 180], [0, 0.5, 1], [0, 1, 2]),  # is too fast
        ([0, 30, 60], [0, 0.5, 1], [0, 1, 1]),  # two visits
        ([0, 30, 60], [0, 0.5, np.nan], [0, 1, 2]),  # no epoch
        ([0, 30, 60], [0, 0, 0], [0, 1, 2]),  # at one time
        ([0, 0.9, 1.8], [0, 0.5, 1], [0, 1, 2]),  # within the radius
    ],
)
def test_what_is_no_motion_over_three_visits_is_no_track(east, hours, visits) -> None:
    ra_deg, dec_deg = shift(150.0, 20.0, np.array(east, float), np.zeros(3))
    assert find_tracks(ra_deg, dec_deg, 60000 + np.array(hours) / 24, np.array(visits)) == []


def test_as_many_tracks_are_made_by_chance_as_the_module_says() -> None:
    """400 detections on 0.25 deg2 in each of three visits 30 minutes apart: between the outer ones lie 120 arcsec."""
    detections, side_arcsec, counts = 400, 1800, []
    hours, visits = np.repeat([0.0, 0.5, 1.0], detections), np.repeat([0, 1, 2], detections)
    for seed in range(4):
        east, north = np.random.default_rng(seed).uniform(0, side_arcsec, (2, 3 * detections))
        counts.append(len(find_tracks(*shift(150.0, 0.0, east, north), 60000 + hours / 24, visits)))
    density = detections / side_arcsec**2
    expected = detections * (density * np.pi * 120**2) * (density * np.pi * 2**2)
    assert sum(counts) == pytest.approx(4 * expected, abs=4 * np.sqrt(4 * expected))
