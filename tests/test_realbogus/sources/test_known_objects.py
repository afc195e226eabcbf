"""Known objects: tables as people have them, matches in place and time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realbogus.records import SourceError
from realbogus.sources.known_objects import REACH, KnownTable, known_table
from realbogus.sources.object_kinds import KNOWN_ASTEROID, KNOWN_TRANSIENT, KNOWN_VARIABLE

DATE = 59000.0


def table(ra: list[float], dec: list[float], kinds: list[str], mjd: float = DATE) -> KnownTable:
    names = np.array([f"object{number}" for number in range(len(ra))])
    return KnownTable(names, np.array(kinds), np.array(ra), np.array(dec), np.full(len(ra), mjd))


def test_texts_of_columns_become_a_table() -> None:
    columns = {
        "name_prefix": ["AT", None, "SN"],
        "name": ["2020xyz", "V1", "2021a"],
        "ra": ["10:00:00.000", "-1", None],
        "dec": ["-20:30:00.00", "2", "3"],
        "object_type": ["", "RRLyr", "SN Ia"],
        "discovery_time": ["2020-05-31 00:00:00", "2000.0", "59000"],
    }
    known = known_table("tns.csv", columns)
    assert known.names.tolist() == ["AT2020xyz", "V1"]
    np.testing.assert_allclose(known.ra_deg, [150.0, 359.0])
    np.testing.assert_allclose(known.dec_deg, [-20.5, 2.0])
    assert known.kinds.tolist() == [KNOWN_TRANSIENT, KNOWN_VARIABLE]
    assert known.mjd[0] == DATE
    assert np.isnan(known.mjd[1]), "the year of an equinox is no date"


def test_a_position_in_one_column_and_a_layout_s_kind() -> None:
    columns = {
        "name": ["R And", "2024abc", "SN X"],
        "position": ["00 24 01.95 +38 34 37.3", "10.5 -2.5", "1:00:00 +2:00:00"],
    }
    known = known_table("vsx.csv", columns | {"object_type": ["M", None, "SN Ia"]}, KNOWN_VARIABLE)
    np.testing.assert_allclose(known.ra_deg, [6.008125, 10.5, 15.0])
    np.testing.assert_allclose(known.dec_deg, [38.577028, -2.5, 2.0], atol=1e-6)
    assert known.kinds.tolist() == [KNOWN_VARIABLE, KNOWN_VARIABLE, KNOWN_TRANSIENT]


def test_names_tell_asteroids_from_transients() -> None:
    names = ["2024 AB12", "(433) Eros", "C/2023 A3", "AT2024abc", "K24A12B"]
    columns = {"name": names, "ra": ["1"] * 5, "dec": ["1"] * 5}
    kinds = known_table("x", columns).kinds.tolist()
    assert kinds == [KNOWN_ASTEROID, KNOWN_ASTEROID, KNOWN_ASTEROID, KNOWN_TRANSIENT, KNOWN_ASTEROID]
    assert known_table("x", columns, KNOWN_ASTEROID).kinds[3] == KNOWN_TRANSIENT


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ra": ["1", "north"]}, "known_objects=t.csv, row 1, right ascension: 'north' is not a coordinate"),
        ({"dec": ["1:61:00", "1"]}, "row 0, declination: '1:61:00' is not a coordinate"),
        ({"discovery_time": [None, "yesterday"]}, "row 1: 'yesterday' is no epoch"),
        ({"ra": [None, None]}, "no row with a position among 2 rows"),
    ],
)
def test_what_cannot_be_read_is_named_by_table_and_row(changes: dict, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        known_table("t.csv", {"ra": ["1", "2"], "dec": ["1", "2"]} | changes)


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


def test_rows_beyond_the_poles_have_no_position() -> None:
    columns = {"name": ["a", "b", "c"], "ra": ["1"] * 3, "dec": ["90", "90.1", "-91"]}
    assert known_table("x", columns).names.tolist() == ["a"]


def test_without_an_epoch_position_alone_may_decide() -> None:
    known = table([10.0, 20.0], [5.0, 5.0], [KNOWN_TRANSIENT, KNOWN_ASTEROID])
    seen = (np.array([10.0, 20.0]), np.array([5.0, 5.0]), np.array([np.nan, DATE + 5]))
    assert known.match(*seen).tolist() == [-1, -1]
    assert known.match(*seen, without_epoch=True).tolist() == [0, -1], "a given epoch still decides"
