"""Nights: a night is named by the date of its local evening, YYYY-MM-DD."""

from collections.abc import Collection
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from astropy.time import Time

from tasks.inbox.nights import TIMEZONE, is_night

NIGHT_OVER_HOUR = 8
"""Local hour from which the night that began the evening before is over."""


class NightDateError(ValueError):
    """A night's date cannot be used; the message says which can."""


def last_night(now: datetime, timezone: str = TIMEZONE) -> date:
    """Return the newest night that is over.

    Parameters
    ----------
    now : datetime
        With its time zone.
    timezone : str
        The observatory's.

    Raises
    ------
    NightDateError
        There is no such time zone.
    """
    try:
        local = now.astimezone(ZoneInfo(timezone))
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise NightDateError(f"timezone={timezone} is none: give a name such as {TIMEZONE}") from error
    return (local - timedelta(hours=NIGHT_OVER_HOUR)).date() - timedelta(days=1)


def parse_night(text: str, newest: date) -> date:
    """Return the date of ``night=``.

    Raises
    ------
    NightDateError
        It is no date YYYY-MM-DD, or the night is not over.
    """
    if not is_night(text):
        raise NightDateError(f"night={text} is no date YYYY-MM-DD of a local evening")
    night = date.fromisoformat(text)
    if night > newest:
        raise NightDateError(f"night={text} is not over or in the future: the newest night that is over is {newest}")
    return night


def mjd_of(night: date) -> int:
    """Return the MJD at 0 h UTC of a night's date."""
    return round(Time(night.isoformat(), scale="utc").mjd)


def missed_nights(recorded: Collection[date], newest: date, most: int) -> list[date]:
    """Return the nights after the last recorded one up to `newest`, oldest first, at most the newest `most`.

    Without any recorded night it is `newest` alone; with one that is later than `newest`, none.
    """
    if not recorded:
        return [newest]
    since = max(recorded)
    missed = [since + timedelta(days=day) for day in range(1, (newest - since).days + 1)]
    return missed[-most:]
