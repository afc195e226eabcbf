"""Columns of an open table as text, converted where their role has a unit and the table declares another."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pyarrow as pa

from tasks.tables.roles import ROLES
from tasks.tables.table_columns import TableFile
from tasks.tables.units import UnitError, describe_conversions, is_unit, read_in_units

_DATES = ("time", "discovery_time")
_TIME_OF_DAY = "time_of_day"
_DAYS = ("d", "day", "jd", "mjd")
_YEARS = ("yr", "year", "a")  # of an equinox; readers of dates refuse any other year as a value
_BRACKET = re.compile(r".*[\[(]([^\[\]()]*)[\])]\s*", re.DOTALL)


def read_text(table: TableFile, roles: Mapping[str, str], columns: Sequence[str]) -> tuple[pa.Table, tuple[str, ...]]:
    """Read columns as text: positions in degrees, times of day in hours, dates in days.

    Parameters
    ----------
    table : TableFile
    roles : mapping of str to str
        Role -> lower-case column. A role with an entry in `ROLES` under its own name is read in its unit; the end of a
        time's name in brackets, such as ``UT [s]``, is a unit too.
    columns : sequence of str
        Lower-case names of the columns to read.

    Returns
    -------
    text : Table of string columns
    notes : tuple of str
        A sentence on each column that was converted.

    Raises
    ------
    UnitError
        A unit is unknown or of another quantity, or dates are in hours, seconds or the like: whether these count from
        the day 0 of MJD, from 1970 or from the start of a run, no table says.
    TableError
        The table cannot be read.
    """
    for role in _DATES:
        if role in roles:
            _require_days(table, role, roles[role])
    own = {column: ROLES[role].own_units.get(column, "") for role, column in roles.items() if role in ROLES}
    declared = {**own, **table.units}
    units = {roles[role]: "deg" for role in ("ra", "dec") if role in roles}
    if _TIME_OF_DAY in roles and (unit := _time_unit(table, roles[_TIME_OF_DAY])):
        declared[roles[_TIME_OF_DAY]] = unit
        units[roles[_TIME_OF_DAY]] = "h"
    with_units = replace(table, units={column: unit for column, unit in declared.items() if unit})
    wanted = dict.fromkeys(columns, pa.string())
    text = pa.Table.from_batches(read_in_units(with_units, wanted, units), pa.schema(list(wanted.items())))
    return text, describe_conversions(with_units, units)


def _require_days(table: TableFile, role: str, column: str) -> None:
    unit = _time_unit(table, column)
    if unit and unit.lower() not in (*_DAYS, *_YEARS):
        raise UnitError(
            f"table {table.path}: column {table.spelling.get(column, column)!r} is in {unit!r}, but {role} is read in "
            "days (MJD or JD) or as dates: write it so, or name another column of the table with columns"
        )


def _time_unit(table: TableFile, column: str) -> str:
    """Return the unit of time that a table or the name of a column declares, in the singular; empty without one."""
    bracket = _BRACKET.fullmatch(column)
    text = (table.units.get(column) or (bracket[1] if bracket else "")).strip(" \"'")
    singular = text.removesuffix("s") if len(text) > 2 else text
    return next((unit for unit in (text, singular) if unit and is_unit(unit, ("h",))), "")
