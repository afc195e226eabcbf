"""Epochs of frames and of table rows: MJD in UTC from header keywords or columns.

A date without a time of day is no epoch until a second keyword or column gives the time.
"""

import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realbogus.records import MJD_EPOCH_JD
from realbogus.written_times import (
    LEAST_MJD,
    MOST_MJD,
    SCALES,
    EpochError,
    WrittenTime,
    find_date,
    read_time,
    read_time_of_day,
)

DATE_KEYWORDS = (
    *("MJD-OBS", "MJD_OBS", "OBSMJD", "MJD", "JD", "OBSJD", "DATE-OBS", "DATE_OBS", "JD-OBS", "JD_OBS", "MJDOBS"),
    *(
        "DATEOBS",
        "OBS-DATE",
        "OBSDATE",
        "UT-DATE",
        "UT_DATE",
        "UTDATE",
        "DATE-BEG",
        "MJD-BEG",
        "DATE-STR",
        "MJD-STR",
        "EXPSTART",
    ),
    "SHUTOPEN",
    *("DATE-AVG", "MJD-AVG", "MJD-MID", "DATE-END", "MJD-END", "EXPEND"),
)
"""Header keywords of an epoch or a date, tried in order."""
TIME_KEYWORDS = (
    *("UT", "UTC", "UTC-OBS", "UTC_OBS", "UT-OBS", "UTOBS", "UT-TIME", "TIME-OBS", "TIME_OBS", "UTSTART", "UT-STR"),
    *("UTC-STR", "UTCSTART", "UT-START", "UTSHUT", "UTIME", "TIME-BEG", "TIME-STR", "TM-START"),
    *("UTCOBS", "UT_OBS", "UT_TIME", "UTTIME", "TIMEOBS", "OBS-TIME", "OBSTIME", "TAIHMS"),
)
"""Header keywords of the time of day that belongs to a date without one, tried in order."""
SCALE_KEYWORD = "TIMESYS"

MOST_APART_D = 1.0
"""Two epochs in one header that differ by more contradict each other."""
GPS_BEHIND_TAI_S = 19.0


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
    scale = SCALES.get(re.sub(r"\(.*\)", "", written).strip().lower())
    if scale is None:
        notes.append(f"{SCALE_KEYWORD} = {written!r} is no known time scale: {', '.join(filter(None, SCALES))}")
    return scale


def _header_epochs(
    value_of: Callable[[str], Any], keywords: Sequence[str], scale: str, notes: list[str]
) -> list[tuple[str, float]]:
    """Return the keywords of every epoch with its MJD (UTC), in order; `TIME_KEYWORDS` where no other gives one."""
    found = [_of_date_keyword(value_of, keyword, notes) for keyword in keywords]
    if not any(found):
        found = [_of_time_keyword(value_of, keyword, notes) for keyword in TIME_KEYWORDS]
    times = _full_epochs_first(list(filter(None, found)))
    return [(source, _one_to_utc(time.mjd, time.scale or scale)) for source, time in times]


def _full_epochs_first(times: list[tuple[str, WrittenTime]]) -> list[tuple[str, WrittenTime]]:
    """Move an epoch within the day of the first one to the front where that is at 0 h, as a date alone is written."""
    if not times or not _is_midnight(times[0][1]):
        return times
    day = times[0][1].mjd
    full = next((entry for entry in times if 0 < entry[1].mjd - day < 1), times[0])
    return [full, *(entry for entry in times if entry is not full)]


def _is_midnight(time: WrittenTime) -> bool:
    return time.mjd == round(time.mjd)


def _of_date_keyword(value_of: Callable[[str], Any], keyword: str, notes: list[str]) -> tuple[str, WrittenTime] | None:
    """Return the epoch of a keyword, and the keywords that it was taken from.

    A date takes its time of day from another keyword, and so does an epoch at 0 h that is not the exposure's end.
    """
    time = _noted(keyword, value_of(keyword), read_time, notes)
    if time is None:
        return None
    lacks_time = not time.has_time or (_is_midnight(time) and "END" not in keyword)
    clock = _header_clock(value_of, notes) if lacks_time else None
    if time.has_time and (clock is None or clock[1].mjd == 0):
        return keyword, time
    if clock is None:
        notes.append(f"{keyword} = {value_of(keyword)!r} has no time of day, nor has UT, UTC-OBS or the like")
        return None
    clock_keyword, time_of_day = clock
    scale = next((scale for start, scale in (("UT", "utc"), ("TAI", "tai")) if clock_keyword.startswith(start)), None)
    return f"{keyword} + {clock_keyword}", _join(time, time_of_day, scale)


def _of_time_keyword(value_of: Callable[[str], Any], keyword: str, notes: list[str]) -> tuple[str, WrittenTime] | None:
    """Return the epoch of a keyword for a time of day that holds a date too."""
    time = _noted(keyword, _only_text(value_of(keyword)), _read_dated, notes)
    return None if time is None else (keyword, time)


def _noted(keyword: str, value: Any, read: Callable[[Any], Any], notes: list[str]) -> Any:
    """Return ``read(value)``; None, and a note with the keyword, where it cannot be read."""
    try:
        return read(value)
    except EpochError as error:
        notes.append(f"{keyword}: {error}")
        return None


def _only_text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _read_dated(text: str | None) -> WrittenTime | None:
    """Return the epoch of a text that holds a date and a time, None for any other."""
    if text is None or find_date(text.strip()) is None:
        return None
    time = read_time(text)
    return time if time is not None and time.has_time else None


def _header_clock(value_of: Callable[[str], Any], notes: list[str]) -> tuple[str, WrittenTime] | None:
    """Return the first keyword with a time of day, and that time."""
    for keyword in TIME_KEYWORDS:
        clock = _noted(keyword, value_of(keyword), read_time_of_day, notes)
        if clock is not None:
            return keyword, clock
    return None


def _join(day: WrittenTime, clock: WrittenTime, scale: str | None) -> WrittenTime:
    """Return the epoch of a date and a time of day."""
    return WrittenTime(day.mjd + clock.mjd, True, clock.scale or scale or day.scale)


def to_utc(mjd: NDArray[np.float64], scale: str) -> NDArray[np.float64]:
    """Return the MJD in UTC of finite MJD, (n,), in UTC, TAI, GPS, TT or TDB."""
    if scale == "utc" or not len(mjd):
        return mjd
    if scale == "gps":
        mjd, scale = mjd + GPS_BEHIND_TAI_S / 86_400, "tai"
    from astropy.time import Time  # it takes a while, and tables without epochs do without it
    from erfa import ErfaWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ErfaWarning)  # years for which no leap second is announced yet
        return np.asarray(Time(mjd, format="mjd", scale=scale).utc.mjd, np.float64)


def _one_to_utc(mjd: float, scale: str) -> float:
    return float(to_utc(np.array([mjd]), scale)[0])


def scale_of_name(name: str) -> str:
    """Return the scale that a column's name states: TAI for ``midpointMjdTai``, TDB for ``bjd_tdb``, else UTC."""
    words = name.lower().strip(" )]")
    for scale in ("tai", "tdb", "gps"):
        if words.endswith(scale) or words.startswith(scale):
            return scale
    return "tdb" if words.startswith("bjd") else "utc"


def column_epochs(
    name: str, values: Sequence[Any], clocks: Sequence[Any] | None = None, *, dates: bool = False
) -> tuple[NDArray[np.float64], list[str]]:
    """Return the epochs of a table's rows.

    Parameters
    ----------
    name : str
        Of the column: it may state the scale (`scale_of_name`).
    values : sequence of n numbers, texts or None
        As `read_time` takes them.
    clocks : sequence of n times of day, optional
        A second column, for dates without a time.
    dates : bool
        Whether a date without a time counts as an epoch, at 0 h; otherwise it is missing.

    Returns
    -------
    mjd : ndarray of shape (n,)
        UTC; NaN where a value is missing or cannot be read.
    faults : list of str
        One for each value that cannot be read: column, row counted from 0, value.
    """
    faults: list[str] = []
    scale = scale_of_name(name)
    mjd, scales = np.full(len(values), np.nan), np.full(len(values), scale, object)
    pairs = zip(values, [None] * len(values) if clocks is None else clocks, strict=True)
    for row, (value, clock) in enumerate(pairs):
        try:
            time = _read_row(value, clock)
        except EpochError as error:
            faults.append(f"column {name!r}, row {row}: {error}")
            continue
        if time is not None and (time.has_time or dates):
            mjd[row], scales[row] = time.mjd, time.scale or scale
    for each in set(scales.tolist()) - {"utc"}:
        rows = (scales == each) & np.isfinite(mjd)
        mjd[rows] = to_utc(mjd[rows], each)
    return mjd, faults


def _read_row(value: Any, clock: Any) -> WrittenTime | None:
    """Return the time of a row's value; a date takes its time of day from a second column, None where that has none."""
    time = read_time(value)
    if time is None or time.has_time:
        return time
    time_of_day = read_time_of_day(clock)
    return time if time_of_day is None else _join(time, time_of_day, None)


def number_epochs(name: str, values: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return what `column_epochs` does for numbers of days, (n,), at once; None where one of them is no MJD or JD."""
    with np.errstate(invalid="ignore"):
        is_missing = ~(values > 0) | ~np.isfinite(values)
        mjd = np.where(values > MJD_EPOCH_JD, values - MJD_EPOCH_JD, values)
        is_epoch = (mjd >= LEAST_MJD) & (mjd <= MOST_MJD)
    if not (is_missing | is_epoch).all():
        return None
    mjd[is_missing] = np.nan
    mjd[is_epoch] = to_utc(mjd[is_epoch], scale_of_name(name))
    return mjd
