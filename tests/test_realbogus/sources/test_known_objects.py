"""Known objects: tables as people have them, matches in place and time."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realbogus.records import SourceError
from realbogus.sources.known_objects import (
    KNOWN_ASTEROID,
    KNOWN_TRANSIENT,
    KNOWN_VARIABLE,
    REACH,
    KnownTable,
    kind_of,
    read_known,
)

DATE = 59000.0


def table(ra: list[float], dec: list[float], kinds: list[str], mjd: float = DATE) -> KnownTable:
    names = np.array([f"object{number}" for number in range(len(ra))])
    return KnownTable(names, np.array(kinds), np.array(ra), np.array(dec), np.full(len(ra), mjd))


def test_an_export_of_the_name_server_is_read(tmp_path: Path) -> None:
    path = tmp_path / "tns.csv"
    path.write_text(
        '"ID","Name","RA","DEC","Obj. Type","Discovery Date (UT)"\n'
        '"1","SN 2020abc","10:00:00.000","-20:30:00.00","SN Ia","2020-05-31 00:00:00"\n'
        '"2","AT 2020xyz","10:00:00.000","+20:30:00.00","","2020-06-01 12:00:00"\n'
    )
    known = read_known(path)
    assert known.names.tolist() == ["SN 2020abc", "AT 2020xyz"]
    np.testing.assert_allclose(known.ra_deg, 150.0)
    np.testing.assert_allclose(known.dec_deg, [-20.5, 20.5])
    np.testing.assert_allclose(known.mjd, [59000.0, 59001.5])
    assert set(known.kinds) == {KNOWN_TRANSIENT}


def test_degrees_julian_dates_and_types_are_read(tmp_path: Path) -> None:
    path = tmp_path / "known.csv"
    path.write_text("name,ra_deg,dec_deg,jd,type\na,-1,2,2459000.5,minor planet\nb,361,2,,RRLyr\nc,,2,,SN\n")
    known = read_known(path)
    assert (known.names.tolist(), known.ra_deg.tolist()) == (["a", "b"], [359.0, 1.0])
    assert known.kinds.tolist() == [KNOWN_ASTEROID, KNOWN_VARIABLE]
    assert known.mjd[0] == DATE
    assert np.isnan(known.mjd[1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,ra,flux\na,1,2\n", "has no column of a dec"),
        ("name,ra,dec\na,north,2\n", "'north' is not a coordinate"),
        ("name,ra,dec,mjd\na,1,2,yesterday\n", "'yesterday' is not a date"),
        ("name,ra,dec\na,,\n", "no row with a position"),
    ],
)
def test_what_is_no_table_of_known_objects_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "known.csv"
    path.write_text(text)
    with pytest.raises(SourceError, match=message):
        read_known(path)


@given(
    ra=st.floats(0, 360),
    dec=st.floats(-89, 89),
    away=st.floats(0, 10),
    angle=st.floats(0, 6.28),
    days=st.floats(-500, 500),
    kind=st.sampled_from(list(REACH)),
)
def test_matches_are_those_within_radius_and_time(
    ra: float, dec: float, away: float, angle: float, days: float, kind: str
) -> None:
    reach = REACH[kind]
    if abs(away - reach.radius_arcsec) < 1e-3 or min(abs(days + reach.before_d), abs(days - reach.after_d)) < 1e-6:
        return
    seen_ra = ra + away / 3600 * np.sin(angle) / np.cos(np.radians(dec))
    seen_dec = dec + away / 3600 * np.cos(angle)
    if abs(seen_dec) > 89:
        return
    found = table([ra], [dec], [kind]).match(np.array([seen_ra]), np.array([seen_dec]), np.array([DATE + days]))
    inside = away < reach.radius_arcsec and -reach.before_d <= days <= reach.after_d
    assert (found[0] == 0) == inside


def test_the_nearest_object_wins_and_nan_matches_nothing() -> None:
    known = table([10.0, 10.0, 50.0], [0.0, 1 / 3600, 0.0], [KNOWN_TRANSIENT, KNOWN_VARIABLE, KNOWN_VARIABLE])
    found = known.match(
        np.array([10.0, 10.0, np.nan, 50.0, 10.0]),
        np.array([0.2, 0.8, 0.0, 0.0, 0.1]) / 3600,
        np.array([DATE, DATE, DATE, np.nan, np.nan]),
    )
    assert found.tolist() == [0, 1, -1, 2, 1]  # without an epoch only what always shines is matched


def test_words_of_types() -> None:
    kinds = [kind_of(word) for word in ("SN II", None, "Asteroid", "VAR", "CV", "AGN")]
    assert kinds == [KNOWN_TRANSIENT, KNOWN_TRANSIENT, KNOWN_ASTEROID, KNOWN_VARIABLE, KNOWN_VARIABLE, KNOWN_VARIABLE]


@pytest.mark.parametrize(("days", "is_match"), [(-30.0, True), (-30.01, False), (365.0, True), (365.01, False)])
def test_a_transient_matches_from_thirty_days_before_to_a_year_after(days: float, is_match: bool) -> None:
    matched = table([10.0], [5.0], [KNOWN_TRANSIENT]).match(np.array([10.0]), np.array([5.0]), np.array([DATE + days]))
    assert matched.tolist() == [0 if is_match else -1]


def test_an_object_without_a_date_matches_at_any_time() -> None:
    known = table([10.0, 10.0], [5.0, 5.0], [KNOWN_ASTEROID, KNOWN_TRANSIENT], np.nan)
    assert known.match(np.array([10.0]), np.array([5.0]), np.array([np.nan])).tolist() == [1], "transients go first"


def test_matches_go_over_the_seam_of_right_ascension() -> None:
    known = table([359.9999, 180.0], [0.0, 0.0], [KNOWN_TRANSIENT] * 2)
    assert known.match(np.array([0.0001]), np.array([0.0]), np.array([DATE])).tolist() == [0]


def test_rows_beyond_the_poles_have_no_position(tmp_path: Path) -> None:
    path = tmp_path / "known.csv"
    path.write_text("name,ra,dec\na,1,90\nb,1,90.1\nc,1,-91\n")
    assert read_known(path).names.tolist() == ["a"]
