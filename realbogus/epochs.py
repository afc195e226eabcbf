"""Epochs of frames and table rows: dates, Julian dates and times of day as they are written, to MJD in UTC.

A value that stands for none (0, -1, -999, N/A, the day 1858-11-17) is missing. A date without a time of day is no epoch
until a second keyword or column gives the time.
"""

import math
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from astropy.time import Time
from erfa import ErfaWarning
from numpy.typing import NDArray

from realbogus.records import MJD_EPOCH_JD

DATE_KEYWORDS = (
    *("MJD-OBS", "MJD_OBS", "OBSMJD", "MJD", "JD", "OBSJD", "DATE-OBS", "DATE_OBS", "JD-OBS", "JD_OBS", "MJDOBS"),
    *(
        "DATEOBS",
        "OBS-DATE",
        "OBSDATE",
        "UT-DATE",
        "DATE-BEG",
        "MJD-BEG",
        "DATE-STR",
        "MJD-STR",
        "EXPSTART",
        "SHUTOPEN",
    ),
    *("DATE-AVG", "MJD-AVG", "MJD-MID", "DATE-END", "MJD-END", "EXPEND"),
)
"""Header keywords of an epoch or a date, tried in order."""
TIME_KEYWORDS = (
    *("UT", "UTC", "UTC-OBS", "UTC_OBS", "UT-OBS", "UTOBS", "UT-TIME", "TIME-OBS", "TIME_OBS", "UTSTART", "UT-STR"),
    *("UTC-STR", "UTCSTART", "UT-START", "UTSHUT", "UTIME", "TIME-BEG", "TIME-STR", "TM-START"),
)
"""Header keywords of the time of day that belongs to a date without one, tried in order."""
SCALE_KEYWORD = "TIMESYS"

MOST_APART_D = 1.0
"""Two epochs in one header that differ by more contradict each other."""
LEAST_MJD, MOST_MJD = 10_000.0, 100_000.0
"""The years 1886 to 2132; other numbers are no epochs."""
GPS_BEHIND_TAI_S = 19.0

_SCALES = {
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
_ZONE = re.compile(r"\s*(?:(Z|UTC?|GMT|TAI|TDB|TT|GPS)|([+-])(\d{2}):?(\d{2})?)?\s*", re.IGNORECASE)


class EpochError(ValueError):
    """A value that is neither an epoch nor stands for none; the message has the value."""


@dataclass(frozen=True)
class Moment:
    """A date or an epoch as written.

    Attributes
    ----------
    mjd : float
        In the scale `scale`.
    has_time : bool
        Otherwise a date alone, at 0 h.
    scale : str or None
        Key of `_SCALES` that the value itself states; None: that of its header or column.
    """

    mjd: float
    has_time: bool
    scale: str | None = None


@dataclass(frozen=True)
class Epoch:
    """The epoch of a frame.

    Attributes
    ----------
    mjd : float or None
        UTC; None where the header has none.
    source : str or None
        The keywords that it was taken from, such as ``DATE-OBS + UT``.
    notes : tuple of str
        Values that cannot be read, a date without a time, keywords that contradict each other.
    """

    mjd: float | None
    source: str | None
    notes: tuple[str, ...] = ()


def header_epoch(value_of: Callable[[str], Any], keywords: Sequence[str] = DATE_KEYWORDS) -> Epoch:
    """Return the epoch of a header: the first of `keywords` that gives one, with `TIME_KEYWORDS` where it is a date.

    Parameters
    ----------
    value_of : callable
        Returns the value of a keyword, None where the header lacks it.
    keywords : sequence of str
    """
    notes: list[str] = []
    scale = _header_scale(value_of, notes)
    found = [] if scale is None else list(_header_epochs(value_of, keywords, scale, notes))
    if not found:
        return Epoch(None, None, tuple(notes))
    source, mjd = found[0]
    for other, other_mjd in found[1:]:
        if abs(other_mjd - mjd) > MOST_APART_D:
            notes.append(f"{source} says MJD {mjd:.5f} and {other} MJD {other_mjd:.5f}: {source} is used")
    return Epoch(mjd, source, tuple(notes))


def _header_scale(value_of: Callable[[str], Any], notes: list[str]) -> str | None:
    """Return the scale of a header, UTC by default; None, and a note, where it is one that is not known."""
    written = str(value_of(SCALE_KEYWORD) or "").strip()
    scale = _SCALES.get(re.sub(r"\(.*\)", "", written).strip().lower())
    if scale is None:
        notes.append(f"{SCALE_KEYWORD} = {written!r} is no known time scale: {', '.join(filter(None, _SCALES))}")
    return scale


def _header_epochs(
    value_of: Callable[[str], Any], keywords: Sequence[str], scale: str, notes: list[str]
) -> list[tuple[str, float]]:
    """Return the keywords of every epoch with its MJD (UTC), in order."""
    found = []
    for keyword in keywords:
        moment = _noted(keyword, value_of(keyword), read_moment, notes)
        if moment is None:
            continue
        source = keyword
        if not moment.has_time:
            clock = _header_clock(value_of, notes)
            if clock is None:
                looked_for = ", ".join(TIME_KEYWORDS)
                notes.append(f"{keyword} = {value_of(keyword)!r} has no time of day, nor has {looked_for}")
                continue
            time_keyword, time = clock
            moment = _join(moment, time, "utc" if time_keyword.startswith("UT") else None)
            source = f"{keyword} + {time_keyword}"
        found.append((source, to_utc(moment.mjd, moment.scale or scale)))
    if found:
        return found
    for keyword in TIME_KEYWORDS:
        moment = _noted(keyword, _only_text(value_of(keyword)), _read_dated, notes)
        if moment is not None:
            found.append((keyword, to_utc(moment.mjd, moment.scale or scale)))
    return found


def _noted(keyword: str, value: Any, read: Callable[[Any], Any], notes: list[str]) -> Any:
    """Return ``read(value)``; None, and a note with the keyword, where it cannot be read."""
    try:
        return read(value)
    except EpochError as error:
        notes.append(f"{keyword}: {error}")
        return None


def _only_text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _read_dated(text: str | None) -> Moment | None:
    """Return the epoch of a text that holds a date and a time, None for any other."""
    if text is None or _date_match(text.strip()) is None:
        return None
    moment = read_moment(text)
    return moment if moment is not None and moment.has_time else None


def _header_clock(value_of: Callable[[str], Any], notes: list[str]) -> tuple[str, Moment] | None:
    """Return the first keyword with a time of day, and that time."""
    for keyword in TIME_KEYWORDS:
        clock = _noted(keyword, value_of(keyword), read_clock, notes)
        if clock is not None:
            return keyword, clock
    return None


def _join(day: Moment, clock: Moment, scale: str | None) -> Moment:
    """Return the epoch of a date and a time of day."""
    return Moment(day.mjd + clock.mjd, True, clock.scale or scale or day.scale)


def read_moment(value: Any) -> Moment | None:
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


def _read_number(number: float, text: str) -> Moment | None:
    if not math.isfinite(number) or number <= 0 or 0 <= number - MJD_EPOCH_JD + 0.5 <= 1:
        return None
    mjd = number - MJD_EPOCH_JD if number > MJD_EPOCH_JD else number
    if LEAST_MJD <= mjd <= MOST_MJD:
        return Moment(mjd, has_time=True)
    if _COMPACT.fullmatch(text):
        return _read_text(text)
    raise EpochError(f"{text} is neither MJD nor JD of the years 1886 to 2132, nor a date")


def _date_match(text: str) -> re.Match[str] | None:
    return _YEAR_FIRST.match(text) or _COMPACT.match(text) or _DAY_FIRST.match(text)


def _read_text(text: str) -> Moment | None:
    match = _date_match(text)
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
        return Moment(day + float(fraction), True, _zone_scale(rest, text))
    if not rest:
        return Moment(float(day), has_time=False)
    clock = read_clock(rest)
    if clock is None:
        return Moment(float(day), has_time=False)
    return Moment(day + clock.mjd, True, clock.scale)


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


def read_clock(value: Any) -> Moment | None:
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
    if number is not None and not (isinstance(value, str) and re.fullmatch(r"\d{6}(\.\d*)?", text)):
        return _read_hours(number, text)
    match = _CLOCK.match(text)
    if match is None or _ZONE.fullmatch(text[match.end() :]) is None:
        dated = _date_match(text)
        match = _CLOCK.match(text[dated.end() :].lstrip("T,_ ")) if dated else match
    if match is None:
        raise EpochError(f"{text!r} is no time of day such as 12:34:56")
    hours, minutes, seconds = (float(part or 0) for part in (match.groups()[3:] if match[4] else match.groups()[:3]))
    if hours > 24 or minutes >= 60 or seconds >= 61:
        raise EpochError(f"{text!r} is no time of day: at most 24:00:00")
    zone = match.string[match.end() :]
    days = (hours + minutes / 60 + seconds / 3600) / 24
    return Moment(days - _zone_days(zone), True, _zone_scale(zone, text))


def _read_hours(number: float, text: str) -> Moment | None:
    if not math.isfinite(number) or number < 0:
        return None
    if number > 86_400:
        raise EpochError(f"{text} is no time of day: neither hours nor seconds of a day")
    return Moment(number / (24 if number <= 24 else 86_400), has_time=True)


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
        return _SCALES[match[1].lower()]
    return None if match[2] is None else "utc"


def to_utc(mjd: float, scale: str) -> float:
    """Return the MJD in UTC of an MJD in UTC, TAI, GPS, TT or TDB."""
    return float(_to_utc(np.array([mjd]), scale)[0])


def _to_utc(mjd: NDArray[np.float64], scale: str) -> NDArray[np.float64]:
    if scale == "utc" or not len(mjd):
        return mjd
    if scale == "gps":
        mjd, scale = mjd + GPS_BEHIND_TAI_S / 86_400, "tai"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ErfaWarning)  # years for which no leap second is announced yet
        return np.asarray(Time(mjd, format="mjd", scale=scale).utc.mjd, np.float64)


def scale_of_name(name: str) -> str:
    """Return the scale that a column's name states: TAI for ``midpointMjdTai``, TDB for ``bjd_tdb``, else UTC."""
    words = name.lower()
    for scale in ("tai", "tdb", "gps"):
        if words.endswith(scale) or words.startswith(scale) or f"_{scale}" in words:
            return scale
    return "tdb" if words.startswith("bjd") else "utc"


def column_epochs(
    name: str, values: Sequence[Any], clocks: Sequence[Any] | None = None, *, dates: bool = False
) -> NDArray[np.float64]:
    """Return the epochs of a table's rows, (n,) MJD in UTC, NaN where a value stands for none.

    Parameters
    ----------
    name : str
        Of the column: it may state the scale (`scale_of_name`).
    values : sequence of n numbers, texts or None
        As `read_moment` takes them.
    clocks : sequence of n times of day, optional
        A second column, for dates without a time.
    dates : bool
        Whether a date without a time counts as an epoch, at 0 h; otherwise it is missing.

    Raises
    ------
    EpochError
        A value is no epoch; the message has the column and the row, counted from 0.
    """
    moments = [_cell(name, row, value) for row, value in enumerate(values)]
    scale = scale_of_name(name)
    mjd, scales = np.full(len(moments), np.nan), np.full(len(moments), scale, object)
    for row, moment in enumerate(moments):
        if moment is None:
            continue
        if not moment.has_time and clocks is not None:
            clock = read_clock(clocks[row])
            moment = moment if clock is None else _join(moment, clock, None)
        if moment.has_time or dates:
            mjd[row], scales[row] = moment.mjd, moment.scale or scale
    for each in set(scales.tolist()) - {"utc"}:
        rows = (scales == each) & np.isfinite(mjd)
        mjd[rows] = _to_utc(mjd[rows], each)
    return mjd


def _cell(name: str, row: int, value: Any) -> Moment | None:
    try:
        return read_moment(value)
    except EpochError as error:
        raise EpochError(f"column {name!r}, row {row}: {error}") from error
