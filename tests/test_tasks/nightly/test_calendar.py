"""Nights by the date of their local evening: the newest that is over, those that were missed, and bad dates."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.nightly.calendar import NightDateError, last_night, missed_nights, mjd_of, parse_night

DAYS = st.dates(date(2000, 1, 1), date(2100, 1, 1))


@pytest.mark.parametrize(
    ("local", "night"),
    [
        ("2026-11-29T10:00:00+09:00", date(2026, 11, 28)),  # the schedule's hour
        ("2026-11-29T08:00:00+09:00", date(2026, 11, 28)),
        ("2026-11-29T07:59:59+09:00", date(2026, 11, 27)),  # still dark, or nearly
        ("2026-11-29T00:30:00+09:00", date(2026, 11, 27)),
        ("2026-11-28T23:59:00+09:00", date(2026, 11, 27)),
        ("2026-11-28T23:30:00+00:00", date(2026, 11, 28)),  # 08:30 of the next morning in Japan
    ],
)
def test_a_night_is_over_in_the_morning_after_its_evening(local: str, night: date) -> None:
    assert last_night(datetime.fromisoformat(local)) == night


def test_another_observatory_has_its_own_morning() -> None:
    now = datetime(2026, 11, 28, 12, tzinfo=UTC)  # 02:00 on Hawaii, in the night of the 27th
    assert last_night(now, "Pacific/Honolulu") == date(2026, 11, 26)
    with pytest.raises(NightDateError, match="timezone=Moon/Tycho is none"):
        last_night(now, "Moon/Tycho")


def test_bad_nights_are_refused_by_name() -> None:
    newest = date(2026, 11, 28)
    assert parse_night("2026-11-28", newest) == newest
    with pytest.raises(NightDateError, match=r"night=2026-11-29 is not over or in the future: .* is 2026-11-28"):
        parse_night("2026-11-29", newest)
    for text in ("2026-13-01", "yesterday", "", "28.11.2026", "20261128"):
        with pytest.raises(NightDateError, match="is no date YYYY-MM-DD"):
            parse_night(text, newest)


def test_the_mjd_of_a_date() -> None:
    assert mjd_of(date(2000, 1, 1)) == 51544
    assert mjd_of(date(2026, 11, 28)) == 61372


@given(st.lists(DAYS, max_size=5), DAYS, st.integers(1, 40))
def test_missed_nights_are_all_after_the_last_one_in_order_and_at_most_so_many(
    recorded: list[date], newest: date, most: int
) -> None:
    missed = missed_nights(recorded, newest, most)
    if not recorded:
        assert missed == [newest]
        return
    gap = (newest - max(recorded)).days
    assert len(missed) == min(max(gap, 0), most)
    assert missed == [newest - timedelta(days=day) for day in reversed(range(len(missed)))], "without a hole, to newest"
    assert not set(missed) & set(recorded)
