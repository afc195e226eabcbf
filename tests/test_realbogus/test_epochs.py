"""Epochs of headers and of columns: 2020-05-31 18:00 UTC is MJD 59000.75."""

import numpy as np
import pytest

from realbogus.epochs import column_epochs, header_epoch, scale_of_name

MJD = 59000.75
LEAP_S = 37.0


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
        ({"OBS-DATE": "2020-05-31", "OBS-TIME": "18:00:00 (UTC)"}, "OBS-DATE + OBS-TIME"),
        ({"DATE-OBS": "2020-05-31", "TAIHMS": "18:00:37"}, "DATE-OBS + TAIHMS"),
        ({"MJD-OBS": 59000.0, "UT": "18:00:00"}, "MJD-OBS + UT"),
        ({"DATE-OBS": "2020-05-31T00:00:00", "UT": "18:00:00"}, "DATE-OBS + UT"),
        ({"MJD-OBS": 59000, "DATE-OBS": "2020-05-31T18:00:00"}, "DATE-OBS"),
    ],
)
def test_a_header_s_epoch_and_where_it_came_from(header: dict[str, object], source: str) -> None:
    epoch = header_epoch(header.get)
    assert (epoch.source, epoch.notes) == (source, ())
    assert epoch.mjd == pytest.approx(MJD, abs=1e-9)


@pytest.mark.parametrize(
    ("header", "source"),
    [
        ({"MJD-OBS": 59000.0}, "MJD-OBS"),
        ({"MJD-OBS": 59000.0, "UT": "00:00:00", "MJD-END": 59000.0}, "MJD-OBS"),
        ({"MJD-OBS": 59000.0, "DATE-OBS": "2020-06-05T18:00:00"}, "MJD-OBS"),
        ({"MJD-END": 59000.0, "UT": "18:00:00"}, "MJD-END"),
    ],
)
def test_an_epoch_at_midnight_may_be_meant(header: dict[str, object], source: str) -> None:
    epoch = header_epoch(header.get)
    assert (epoch.mjd, epoch.source) == (59000.0, source)


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
