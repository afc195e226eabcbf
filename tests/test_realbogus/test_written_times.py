"""Single times in every writing of headers and tables: 2020-05-31 18:00 UTC is MJD 59000.75."""

import math

import pytest
from astropy.time import Time
from hypothesis import given
from hypothesis import strategies as st

from realbogus.written_times import EpochError, read_time, read_time_of_day

MJD = 59000.75


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
    time = read_time(value)
    assert time is not None
    assert time.has_time
    assert time.mjd == pytest.approx(MJD, abs=1e-9)


@pytest.mark.parametrize("value", ["2020-05-31", "20200531", 20200531, "31/05/20", "31/05/2020", "31 May 2020"])
def test_a_date_has_no_time(value: object) -> None:
    time = read_time(value)
    assert time is not None
    assert (time.mjd, time.has_time) == (59000.0, False)


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 0, -1, "-999", -9999.0, math.nan, math.inf, "", "  ", "N/A", "NULL", "unknown", 2400000.5),
        *("1858-11-17", "1858-11-17T00:00:00.0", "0000-00-00 00:00:00", "1970-01-01T00:00:00Z"),
    ],
)
def test_what_stands_for_none_is_missing(value: object) -> None:
    assert read_time(value) is None


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
        read_time(value)


@pytest.mark.parametrize(("text", "mjd"), [("15/04/88", 47266.0), ("15/04/59", 73_198.0), ("15/04/60", 37_039.0)])
def test_two_digits_of_a_year_are_of_1960_to_2059(text: str, mjd: float) -> None:
    time = read_time(text)
    assert time is not None
    assert time.mjd == mjd


@pytest.mark.parametrize(
    "value", ["18:00:00", "18:00", "18 00 00.0", "180000", "18h00m", 18, 18.0, 64800, "64800.0", "2020-05-31T18:00:00"]
)
def test_times_of_day_are_clocks_hours_or_seconds(value: object) -> None:
    clock = read_time_of_day(value)
    assert clock is not None
    assert clock.mjd == pytest.approx(0.75, abs=1e-12)


def test_midnight_is_a_time_and_a_negative_number_is_none() -> None:
    midnight = read_time_of_day(0)
    assert midnight is not None
    assert midnight.mjd == 0
    assert read_time_of_day(-1) is None
    with pytest.raises(EpochError, match="neither hours nor seconds"):
        read_time_of_day(90_000.0)


@given(st.floats(57_755, 61_000))
def test_astropy_s_writing_is_read_back(mjd: float) -> None:
    """From 2017 on: astropy stretches the days that end in a leap second."""
    for text in (Time(mjd, format="mjd").isot, Time(mjd, format="mjd").iso):
        time = read_time(text)
        assert time is not None
        assert time.mjd == pytest.approx(mjd, abs=1e-8)
