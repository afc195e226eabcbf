"""Epochs in every writing of headers and tables: 2020-05-31 18:00 UTC is MJD 59000.75."""

import math

import numpy as np
import pytest
from astropy.time import Time
from hypothesis import given
from hypothesis import strategies as st

from realbogus.epochs import column_epochs, header_epoch, scale_of_name
from realbogus.moments import EpochError, read_clock, read_moment

MJD = 59000.75
LEAP_S = 37.0


@pytest.mark.parametrize(
    "value",
    [
        *(59000.75, "59000.75", 2459001.25, "2459001.25", "JD 2459001.25", "MJD=59000.75"),
        *("2020-05-31T18:00:00", "2020-05-31 18:00", "2020/05/31 18:00:00.000", "2020-05-31T18:00:00Z"),
        *("2020-06-01T03:00:00+09:00", "2020-05-31 08:00:00 -1000", "2020-05-31 18:00:00 UTC", "20200531T180000"),
        *("2020-05-31.75", "2020 05 31.75", "2020-May-31 18:00", "31-May-2020 18:00:00", "31/05/20 18:00:00"),
        *("2020-05-31 18h00m00s", "2020:05:31 18:00:00", "2020-05-31, 18:00:00"),
    ],
)
def test_one_epoch_in_every_writing(value: object) -> None:
    moment = read_moment(value)
    assert moment is not None
    assert moment.has_time
    assert moment.mjd == pytest.approx(MJD, abs=1e-9)


@pytest.mark.parametrize("value", ["2020-05-31", "20200531", 20200531, "31/05/20", "31/05/2020", "31 May 2020"])
def test_a_date_has_no_time(value: object) -> None:
    moment = read_moment(value)
    assert moment is not None
    assert (moment.mjd, moment.has_time) == (59000.0, False)


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 0, -1, "-999", -9999.0, math.nan, math.inf, "", "  ", "N/A", "NULL", "unknown", 2400000.5),
        *("1858-11-17", "1858-11-17T00:00:00.0", "0000-00-00 00:00:00", "1970-01-01T00:00:00Z"),
    ],
)
def test_what_stands_for_none_is_missing(value: object) -> None:
    assert read_moment(value) is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("yesterday", "'yesterday' is no epoch"),
        (17.5, "neither MJD nor JD"),
        (1_590_948_000, "neither MJD nor JD"),
        ("2020-02-30", "'2020-02-30' is no date"),
        ("05/06/2020", "day/month or month/day"),
        ("2020-Foo-01", "'Foo' is no month"),
        ("2020-05-31T18:00:00 JST", "time zone 'JST'"),
        ("2020-05-31T25:00:00", "no time of day"),
        ("1700-01-01T00:00:00", "1886 to 2132"),
    ],
)
def test_what_is_no_epoch_is_named(value: object, message: str) -> None:
    with pytest.raises(EpochError, match=message):
        read_moment(value)


@pytest.mark.parametrize(("text", "mjd"), [("15/04/88", 47266.0), ("15/04/59", 73_198.0), ("15/04/60", 37_039.0)])
def test_two_digits_of_a_year_are_of_1960_to_2059(text: str, mjd: float) -> None:
    moment = read_moment(text)
    assert moment is not None
    assert moment.mjd == mjd


@pytest.mark.parametrize(
    "value", ["18:00:00", "18:00", "18 00 00.0", "180000", "18h00m", 18, 18.0, 64800, "64800.0", "2020-05-31T18:00:00"]
)
def test_times_of_day_are_clocks_hours_or_seconds(value: object) -> None:
    clock = read_clock(value)
    assert clock is not None
    assert clock.mjd == pytest.approx(0.75, abs=1e-12)


def test_midnight_is_a_time_and_a_negative_number_is_none() -> None:
    midnight = read_clock(0)
    assert midnight is not None
    assert midnight.mjd == 0
    assert read_clock(-1) is None
    with pytest.raises(EpochError, match="neither hours nor seconds"):
        read_clock(90_000.0)


@given(st.floats(57_755, 61_000))
def test_astropy_s_writing_is_read_back(mjd: float) -> None:
    """From 2017 on: astropy stretches the days that end in a leap second."""
    for text in (Time(mjd, format="mjd").isot, Time(mjd, format="mjd").iso):
        moment = read_moment(text)
        assert moment is not None
        assert moment.mjd == pytest.approx(mjd, abs=1e-8)


@pytest.mark.parametrize(
    ("header", "source"),
    [
        ({"DATE-OBS": "2020-05-31", "UT": "18:00:00"}, "DATE-OBS + UT"),
        ({"DATE-OBS": "2020-05-31", "UT": "", "TIME-OBS": "18:00:00.0"}, "DATE-OBS + TIME-OBS"),
        ({"DATE-OBS": "31/05/20", "UTSTART": 18.0}, "DATE-OBS + UTSTART"),
        ({"DATE-OBS": "2020-05-31", "UTC-OBS": 64800.0}, "DATE-OBS + UTC-OBS"),
        ({"DATE-OBS": "2020-05-31", "UTC": "2020-05-31T18:00:00"}, "DATE-OBS + UTC"),
        ({"MJD-OBS": -1, "JD": 0.0, "DATE-OBS": "N/A", "DATE-BEG": "2020-05-31T18:00:00"}, "DATE-BEG"),
        ({"MJD-AVG": MJD}, "MJD-AVG"),
        ({"UTC-OBS": "2020-05-31 18:00:00"}, "UTC-OBS"),
        ({"DATE-OBS": "2020-05-31T18:00:00Z", "TIMESYS": "TAI"}, "DATE-OBS"),
        ({"DATE-OBS": "2020-05-31", "UT": "18:00:00", "TIMESYS": "TAI"}, "DATE-OBS + UT"),
    ],
)
def test_a_header_s_epoch_and_where_it_came_from(header: dict[str, object], source: str) -> None:
    epoch = header_epoch(header.get)
    assert (epoch.source, epoch.notes) == (source, ())
    assert epoch.mjd == pytest.approx(MJD, abs=1e-9)


@pytest.mark.parametrize(
    ("scale", "ahead_s"),
    [("UTC", 0.0), ("TAI", LEAP_S), ("TT", LEAP_S + 32.184), ("TDB", LEAP_S + 32.184), ("GPS", 18)],
)
def test_time_scales_are_brought_to_utc(scale: str, ahead_s: float) -> None:
    epoch = header_epoch({"MJD-OBS": MJD, "TIMESYS": scale}.get)
    assert epoch.mjd == pytest.approx(MJD - ahead_s / 86400, abs=0.003 / 86400)


@pytest.mark.parametrize(
    ("header", "note"),
    [
        ({"DATE-OBS": "2020-05-31"}, "DATE-OBS = '2020-05-31' has no time of day, nor has UT, UTC-OBS"),
        ({"MJD-OBS": MJD, "TIMESYS": "LOCAL"}, "TIMESYS = 'LOCAL' is no known time scale"),
        ({"DATE-OBS": "tonight"}, "DATE-OBS: 'tonight' is no epoch"),
    ],
)
def test_a_header_without_an_epoch_says_why(header: dict[str, object], note: str) -> None:
    epoch = header_epoch(header.get)
    assert (epoch.mjd, epoch.source) == (None, None)
    assert epoch.notes[0].startswith(note)


def test_epochs_that_differ_by_more_than_a_day_are_told() -> None:
    epoch = header_epoch({"MJD-OBS": MJD, "DATE-OBS": "2020-06-02T00:00:00", "DATE-END": "2020-06-01T17:00:00"}.get)
    assert epoch.mjd == MJD
    assert epoch.notes == ("MJD-OBS says MJD 59000.75000 and DATE-OBS MJD 59002.00000: MJD-OBS is used",)


@pytest.mark.parametrize(
    ("name", "scale"),
    [
        ("midpointMjdTai", "tai"),
        ("mjd", "utc"),
        ("mjd_tdb", "tdb"),
        ("MJD (TAI)", "tai"),
        ("tai_mjd", "tai"),
        ("bjd", "tdb"),
        ("detail", "utc"),
    ],
)
def test_a_column_s_name_states_its_scale(name: str, scale: str) -> None:
    assert scale_of_name(name) == scale


def test_columns_are_epochs_in_utc() -> None:
    values = [MJD + LEAP_S / 86400, None, "nan", "2020-05-31T18:00:37", "2020-05-31T18:00:00Z"]
    mjd, faults = column_epochs("midpointMjdTai", values)
    np.testing.assert_allclose(mjd, [MJD, np.nan, np.nan, MJD, MJD], atol=1e-9)
    assert faults == []
    mjd, faults = column_epochs("mjd", [MJD, "soon", -999])
    np.testing.assert_array_equal(mjd, [MJD, np.nan, np.nan])
    assert [fault.split(":")[0] for fault in faults] == ["column 'mjd', row 1"]


def test_a_column_of_dates_takes_its_time_from_a_second_column() -> None:
    dates = ["2020-05-31", "2020-05-31", MJD]
    with_times, _ = column_epochs("obsdate", dates, ["18:00", None, "01:00"])
    np.testing.assert_array_equal(with_times, [MJD, np.nan, MJD])
    np.testing.assert_array_equal(column_epochs("date", dates, dates=True)[0], [59000.0, 59000.0, MJD])
