"""Separations, galactic latitude, sexagesimal text."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from galaxy.catalogue.positions import galactic_latitude, match, pairs_within, parse_angles

RA = st.floats(0, 360, exclude_max=True)
DEC = st.floats(-90, 90)


def offset(ra_deg: float, dec_deg: float, angle_rad: float, arcsec: float) -> tuple[float, float]:
    """The point `arcsec` away in the direction `angle_rad`, along a great circle."""
    ra, dec, step = np.radians(ra_deg), np.radians(dec_deg), np.radians(arcsec / 3600)
    toward = np.array([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    east = np.array([-np.sin(ra), np.cos(ra), 0])
    north = np.cross(toward, east)
    x, y, z = np.cos(step) * toward + np.sin(step) * (np.cos(angle_rad) * east + np.sin(angle_rad) * north)
    return float(np.degrees(np.arctan2(y, x)) % 360), float(np.degrees(np.arctan2(z, np.hypot(x, y))))


@given(RA, DEC, st.floats(0, 6.2), st.sampled_from([1.9, 2.1]))
def test_pairs_and_matches_end_at_the_radius_everywhere_on_the_sky(ra, dec, angle, arcsec) -> None:
    other = offset(ra, dec, angle, arcsec)
    ra_deg, dec_deg = np.array([ra, other[0]]), np.array([dec, other[1]])
    assert len(pairs_within(ra_deg, dec_deg, 2.0)) == (arcsec < 2)
    assert match(ra_deg[:1], dec_deg[:1], ra_deg[1:], dec_deg[1:], 2.0)[0] == (0 if arcsec < 2 else -1)


def test_the_seam_and_the_poles_are_no_border() -> None:
    ra = np.array([359.9999, 0.0001, 10.0, 200.0])
    dec = np.array([5.0, 5.0, 89.9999, 89.9999])
    assert {tuple(pair) for pair in pairs_within(ra, dec, 2.0).tolist()} == {(0, 1), (2, 3)}


def test_match_takes_the_nearest_and_passes_over_missing_positions() -> None:
    ra, dec = np.array([10.0, np.nan, 20.0]), np.array([0.0, 0.0, 0.0])
    others = np.array([np.nan, 10.0004, 10.0001]), np.zeros(3)
    assert match(ra, dec, *others, 2.0).tolist() == [2, -1, -1]


@pytest.mark.parametrize(
    ("ra", "dec", "latitude"),
    [(192.85948, 27.12825, 90.0), (266.40500, -28.93617, 0.0), (12.85948, -27.12825, -90.0)],
)
def test_galactic_latitude_of_poles_and_centre(ra, dec, latitude) -> None:
    assert galactic_latitude(np.array([ra]), np.array([dec]))[0] == pytest.approx(latitude, abs=2e-4)


@settings(max_examples=30)
@given(RA, DEC)
def test_galactic_latitude_agrees_with_astropy(ra, dec) -> None:
    from astropy.coordinates import SkyCoord

    assert galactic_latitude(np.array([ra]), np.array([dec]))[0] == pytest.approx(
        SkyCoord(ra, dec, unit="deg", frame="icrs").galactic.b.deg, abs=1e-4
    )


@given(st.integers(0, 89), st.integers(0, 59), st.integers(0, 6000), st.sampled_from(["+", "-", ""]), st.booleans())
def test_sexagesimal_text_reads_back(whole, minutes, hundredths, sign, blank_separated) -> None:
    text = f"{sign}{whole:02d}:{minutes:02d}:{hundredths / 100:05.2f}"
    text = text.replace(":", " ") if blank_separated else text
    expected = (-1 if sign == "-" else 1) * (whole + minutes / 60 + hundredths / 360000)
    assert parse_angles(pa.array([text]), sexagesimal_hours=False)[0] == pytest.approx(expected, abs=1e-9)
    assert parse_angles(pa.array([text]), sexagesimal_hours=True)[0] == pytest.approx(15 * expected, abs=1e-8)


def test_sign_of_minus_zero_degrees_and_seconds_of_60() -> None:
    read = parse_angles(pa.array(["-00:12:34.5", "+00:12:60.0", "-0:30:00", "00:00:00.41"]), sexagesimal_hours=False)
    assert read == pytest.approx([-(12 / 60 + 34.5 / 3600), 13 / 60, -0.5, 0.41 / 3600])


@pytest.mark.parametrize(
    ("text", "as_hours", "as_degrees"),
    [
        ("10h00m24.0s", 150.1, 150.1),
        ("10h 00m 24s", 150.1, 150.1),
        ("10H0M", 150.0, 150.0),
        ("150d06m00s", 150.1, 150.1),
        ("-00d12m30.0s", -0.2083333333, -0.2083333333),
        ("+02°12′30.6″", 2.2085, 2.2085),
        ("10 00 24", 150.1, 10.0066666667),
        ("−2.5", -2.5, -2.5),
        ("−00:30:00", -7.5, -0.5),
        ("10:30.5", 157.625, 10.5083333333),
        ("10:30.5.2", np.nan, np.nan),
        ("10h", np.nan, np.nan),
    ],
)
def test_letters_and_signs_of_units_say_what_is_counted(text: str, as_hours: float, as_degrees: float) -> None:
    for hours, degrees in ((True, as_hours), (False, as_degrees)):
        read = parse_angles(pa.array([text, "x"]), sexagesimal_hours=hours)[0]
        assert read == pytest.approx(degrees, abs=1e-9, nan_ok=True)


def test_decimal_and_sexagesimal_may_stand_in_one_column_and_rubbish_is_nan() -> None:
    text = pa.array(["12:00:00", "12.5", " +7 ", "1e1", None, "north", "12:61:00", "12:00:61", "1:2:3:4"])
    read = parse_angles(text, sexagesimal_hours=True)
    assert read[:4].tolist() == [180.0, 12.5, 7.0, 10.0]
    assert np.isnan(read[4:]).all()


def test_no_positions_have_no_pairs_and_no_matches() -> None:
    one, none = np.zeros(1), np.zeros(0)
    assert pairs_within(one, one, 1.0).shape == (0, 2)
    assert pairs_within(none, none, 1.0).shape == (0, 2)
    assert match(one, one, none, none, 1.0).tolist() == [-1]
    assert match(none, none, one, one, 1.0).tolist() == []
    assert match(one, one, np.array([np.nan]), one, 1.0).tolist() == [-1]


@pytest.mark.parametrize(
    ("text", "degrees"),
    [
        ("10:59:60", 11.0),
        ("10:60:00", None),
        ("10:00:60.01", None),
        ("10:30", 10.5),
        ("-0 30 00", -0.5),
        ("+1.5e1", 15),
    ],
)
def test_minutes_end_at_59_and_seconds_at_60(text: str, degrees: float | None) -> None:
    read = parse_angles(pa.array([text, "x"]), sexagesimal_hours=False)[0]
    assert np.isnan(read) if degrees is None else read == pytest.approx(degrees, abs=1e-12)
