"""Astrometry in the 80-column format of the Minor Planet Center: one position of one object a line.

https://minorplanetcenter.net/iau/info/OpticalObs.html
"""

import re
from collections.abc import Iterable

_LINE = re.compile(
    r"(?P<name>.{12})[ *].[A-Za-z0-9 ](?P<date>\d{4} \d\d \d\d\.\d{1,6} *)(?P<ra>\d\d \d\d \d\d\.?\d* *)"
    r"(?P<dec>[+-]\d\d \d\d \d\d\.?\d* *)"
)
_DATE_AT, _RA_AT, _DEC_AT = slice(15, 32), slice(32, 44), slice(44, 56)
ORBITS_TITLE = b"MINOR PLANET CENTER ORBIT DATABASE"
_ORBIT = re.compile(rb"\S{5,7} +[\d.]* +[-\d.]* +[A-Z]\d\d[1-9A-C][1-9A-V] +\d")


def is_obs80(head: bytes) -> bool:
    """Return whether a file begins with a line of 80 columns."""
    return _LINE.match(_first_line(head).decode("ascii", "replace")) is not None


def is_orbit_table(head: bytes) -> bool:
    """Return whether a file begins as MPCORB does: orbits, from which no position follows without an ephemeris."""
    return ORBITS_TITLE in head or _ORBIT.match(_first_line(head)) is not None


def _first_line(head: bytes) -> bytes:
    return next((line for line in head.splitlines() if line.strip()), b"")


def read_obs80(lines: Iterable[str]) -> dict[str, list[str]]:
    """Return name, date (UTC, with a fraction of a day) and sexagesimal position of each line, as text; (n,) each.

    Lines that are no astrometry, such as a header or the second line of a satellite's, are left out.
    """
    columns: dict[str, list[str]] = {name: [] for name in ("name", "discovery_time", "ra", "dec")}
    for line in lines:
        if _LINE.match(line) is None:
            continue
        values = (" ".join(line[:12].split()), line[_DATE_AT], line[_RA_AT], line[_DEC_AT])
        for name, value in zip(columns, values, strict=True):
            columns[name].append(value.strip())
    return columns
