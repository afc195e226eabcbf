"""Single dates, Julian dates and times of day as headers and tables write them.

A value that stands for none (0, -1, -999, N/A, the day 1858-11-17) is missing.
"""

import math
import re
from dataclasses import dataclass
from datetime import date
from typing import Any

from realbogus.records import MJD_EPOCH_JD

LEAST_MJD, MOST_MJD = 10_000.0, 100_000.0
"""The years 1886 to 2132; other numbers are no epochs."""
SCALES = {
    **dict.fromkeys(("", "utc", "ut", "ut1", "gmt", "z"), "utc"),
    **{"tai": "tai", "iat": "tai", "gps": "gps", "tdb": "tdb", "tt": "tt", "tdt": "tt", "et": "tt"},
}
_MISSING_WORDS = frozenset(
    ("", "nan", "null", "none", "n/a", "na", "unknown", "undefined", "unavailable", "not available", "--", "-", "?")
)
_MJD_ORDINAL = 678_576  # of 1858-11-17, MJD 0
_NO_DAY = (0, 40_587)  # MJD of the zeros of MJD and of Unix time
_PIVOT_YEAR = 60  # two digits: 60 to 99 are 19YY, the first frames of CCDs are of 1976
_MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, start=1)}
_YEAR_FIRST = re.compile(r"(\d{4})([-/.: ])\s*(\d{1,2}|[A-Za-z]{3,9})\2\s*(\d{1,2})(\.\d+)?(?![\d])")
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})(?=$|[T ])")
_DAY_FIRST = re.compile(r"(\d{1,2})([-/ ])(\d{1,2}|[A-Za-z]{3,9})\2(\d{4}|\d{2})(?!\d)")
_CLOCK = re.compile(
    r"(\d{1,2})\s*[:h ]\s*(\d{1,2})(?:\s*[:m ]\s*(\d{1,2}(?:\.\d*)?)\s*s?)?m?|(\d{2})(\d{2})(\d{2}(?:\.\d*)?)"
)
_COMPACT_CLOCK = re.compile(r"\d{6}(\.\d*)?")
_ZONE = re.compile(r"\s*\(?(?:(Z|UTC?|GMT|TAI|TDB|TT|GPS)|([+-])(\d{2}):?(\d{2})?)?\)?\s*", re.IGNORECASE)


class EpochError(ValueError):
    """A value that is neither an epoch nor stands for none; the message has the value."""


@dataclass(frozen=True)
class WrittenTime:
    """A date, an epoch or a time of day.

    Attributes
    ----------
    mjd : float
        In the scale `scale`; of a time of day the fraction of a day.
    has_time : bool
        Otherwise a date alone, at 0 h.
    scale : str or None
        Key of `SCALES` that the value itself states; None: that of its header or column.
    """

    mjd: float
    has_time: bool
    scale: str | None = None


def read_time(value: Any) -> WrittenTime | None:
    """Read one value: MJD or JD in days, a date, or a date with a time; None where it stands for none.

    Text may have ``T``, a blank or a comma before the time, a zone (``Z``, ``+09:00``) behind it, fractions of a day
    (``2024-03-05.25``), the old ``DD/MM/YY``, or a month's name. A day before a month with a year of four digits is
    refused where the two could be exchanged.

    Raises
    ------
    EpochError
        It is none of these, or lies outside of the years 1886 to 2132.
    """
    if value is None or isinstance(value, bool):
        return None
    text = str(value).strip()
    if text.lower() in _MISSING_WORDS:
        return None
    number = _number(re.sub(r"^(?:M?JD)\s*[=:]?\s*", "", text, flags=re.IGNORECASE))
    return _read_text(text) if number is None else _read_number(number, text)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _read_number(number: float, text: str) -> WrittenTime | None:
    if not math.isfinite(number) or number <= 0 or 0 <= number - MJD_EPOCH_JD + 0.5 <= 1:
        return None
    mjd = to_mjd(number)
    if mjd is not None:
        return WrittenTime(mjd, has_time=True)
    if _COMPACT.fullmatch(text):
        return _read_text(text)
    raise EpochError(f"{text} is neither MJD nor JD of the years 1886 to 2132, nor a date")


def to_mjd(days: float) -> float | None:
    """Return the MJD of an MJD or a JD; None for a number that is neither, of the years 1886 to 2132."""
    mjd = days - MJD_EPOCH_JD if days > MJD_EPOCH_JD else days
    return mjd if LEAST_MJD <= mjd <= MOST_MJD else None


def find_date(text: str) -> re.Match[str] | None:
    """Return the match of a date at the start of a text, None without one."""
    return _YEAR_FIRST.match(text) or _COMPACT.match(text) or _DAY_FIRST.match(text)


def _read_text(text: str) -> WrittenTime | None:
    match = find_date(text)
    if match is None:
        raise EpochError(f"{text!r} is no epoch: give MJD, JD, or a date with a time such as 2024-03-05T12:34:56")
    fraction = match[5] if match.re is _YEAR_FIRST else None
    day = _day_of(match, text)
    rest = text[match.end() :].lstrip("T,_ ").strip()
    if day is None or (day in _NO_DAY and not rest.strip("0:.Z ")):
        return None
    if not LEAST_MJD <= day <= MOST_MJD:
        raise EpochError(f"{text!r} is not of the years 1886 to 2132")
    if fraction is not None:
        return WrittenTime(day + float(fraction), True, _zone_scale(rest, text))
    if not rest:
        return WrittenTime(float(day), has_time=False)
    clock = read_time_of_day(rest)
    if clock is None:
        return WrittenTime(float(day), has_time=False)
    return WrittenTime(day + clock.mjd, True, clock.scale)


def _day_of(match: re.Match[str], text: str) -> int | None:
    """Return the MJD of a matched date; None for a date of zeros."""
    if match.re is _DAY_FIRST:
        year, month, day = _day_first(match, text)
    else:
        groups = (match[1], match[3], match[4]) if match.re is _YEAR_FIRST else (match[1], match[2], match[3])
        year, month, day = int(groups[0]), _month(groups[1], text), int(groups[2])
    if (year, month, day) == (0, 0, 0):
        return None
    try:
        return date(year, month, day).toordinal() - _MJD_ORDINAL
    except ValueError as error:
        raise EpochError(f"{text!r} is no date: {error}") from error


def _day_first(match: re.Match[str], text: str) -> tuple[int, int, int]:
    """Return year, month and day of ``DD/MM/YY`` (FITS before 1998), ``DD/MM/YYYY`` or ``05-Mar-2024``."""
    day, month, year = int(match[1]), _month(match[3], text), int(match[4])
    if len(match[4]) == 2:
        return year + (1900 if year >= _PIVOT_YEAR else 2000), month, day
    if match[3].isdigit() and day != month and max(day, month) <= 12:
        raise EpochError(f"{text!r} may be day/month or month/day: write the year first")
    return (year, day, month) if match[3].isdigit() and month > 12 else (year, month, day)


def _month(word: str, text: str) -> int:
    if word.isdigit():
        return int(word)
    if word[:3].lower() not in _MONTHS:
        raise EpochError(f"{text!r} is no date: {word!r} is no month")
    return _MONTHS[word[:3].lower()]


def read_time_of_day(value: Any) -> WrittenTime | None:
    """Read a time of day as a fraction of a day: ``hh:mm:ss``, hours (up to 24) or seconds (above) as a number.

    None where it stands for none: blank, negative, not finite. A text with a date before the time gives its time.

    Raises
    ------
    EpochError
        It is no time of day, or has a zone other than an offset or UTC.
    """
    if value is None or isinstance(value, bool):
        return None
    text = str(value).strip()
    if text.lower() in _MISSING_WORDS:
        return None
    number = _number(text)
    is_compact = isinstance(value, str) and _COMPACT_CLOCK.fullmatch(text) is not None
    return _read_clock(text) if number is None or is_compact else _read_hours(number, text)


def _read_clock(text: str) -> WrittenTime:
    match = _match_clock(text)
    hours, minutes, seconds = (float(part or 0) for part in (match.groups()[3:] if match[4] else match.groups()[:3]))
    if hours > 24 or minutes >= 60 or seconds >= 61:
        raise EpochError(f"{text!r} is no time of day: at most 24:00:00")
    zone = match.string[match.end() :]
    days = (hours + minutes / 60 + seconds / 3600) / 24
    return WrittenTime(days - _zone_days(zone), True, _zone_scale(zone, text))


def _match_clock(text: str) -> re.Match[str]:
    """Return the match of a time of day at the start of a text, or behind its date."""
    match = _CLOCK.match(text)
    if match is None or _ZONE.fullmatch(text[match.end() :]) is None:
        dated = find_date(text)
        match = _CLOCK.match(text[dated.end() :].lstrip("T,_ ")) if dated else match
    if match is None:
        raise EpochError(f"{text!r} is no time of day such as 12:34:56")
    return match


def _read_hours(number: float, text: str) -> WrittenTime | None:
    if not math.isfinite(number) or number < 0:
        return None
    if number > 86_400:
        raise EpochError(f"{text} is no time of day: neither hours nor seconds of a day")
    return WrittenTime(number / (24 if number <= 24 else 86_400), has_time=True)


def _zone_days(zone: str) -> float:
    match = _ZONE.fullmatch(zone)
    if match is None or match[2] is None:
        return 0.0
    return (1 if match[2] == "+" else -1) * (int(match[3]) + int(match[4] or 0) / 60) / 24


def _zone_scale(zone: str, text: str) -> str | None:
    """Return the scale that follows a time: an offset and Z mean UTC, nothing means that of the header."""
    match = _ZONE.fullmatch(zone)
    if match is None:
        raise EpochError(
            f"{text!r} has the time zone {zone.strip()!r}: only Z, UTC and offsets such as +09:00 are read"
        )
    if match[1] is not None:
        return SCALES[match[1].lower()]
    return None if match[2] is None else "utc"
