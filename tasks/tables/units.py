"""Units that tables declare, and columns read in the unit that a role asks for.

A unit is what FITS ``TUNITn``, VOTable ``unit``, ECSV, IPAC and VizieR headers, Parquet fields or a bracketed column
name (``RA (deg)``) say. A column without one is taken to be in its role's unit already. All conversions here are a
factor; logarithmic units other than magnitudes are refused.
"""

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.tables.table_columns import TableError, TableFile

_HOURS, _DEGREES = ("h:m:s", "hms", "hh:mm:ss", "h m s", "hh mm ss"), ("d:m:s", "dms", "dd:mm:ss", "d m s", "dd mm ss")


def _by_spelling(spellings: Mapping[str, tuple[str, ...]]) -> MappingProxyType[str, str]:
    return MappingProxyType({spelling: unit for unit, group in spellings.items() for spelling in group})


_SPELLINGS = _by_spelling(
    {
        "deg": ("degs", "degree", "degrees", "decimal degrees", "decimal deg", "dec deg", "°", *_DEGREES),
        "hourangle": ("hour angle", *_HOURS),
        "rad": ("rads", "radian", "radians"),
        "arcmin": ("arcmins", "arcminute", "arcminutes", "amin", "'", "′"),
        "arcsec": ("arcsecs", "arcsecond", "arcseconds", "asec", "arcs", '"', "''", "″"),
        "mas": ("milliarcsec", "milliarcsecond", "milliarcseconds", "marcsec"),
        "mag": (
            *("mags", "magnitude", "magnitudes", "abmag", "ab mag", "mag(ab)", "mag (ab)", "mag_ab", "ab"),
            *("vegamag", "vega mag", "mag(vega)", "mag (vega)", "stmag", "mag(st)", "luptitude", "luptitudes"),
        ),
        "": ("-", "--", "---", "none", "unitless", "dimensionless", "1", "null", "n/a", "redshift"),
    }
)
_ANGLE_SPELLINGS = _by_spelling({"deg": ("d",), "hourangle": ("h", "hr", "hrs", "hour", "hours")})
"""Spellings that mean a time where no angle is asked for."""

_FORMATS = ("generic", "fits", "vounit", "cds")
_NUMBER = r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$"
_SEXAGESIMAL = (
    r"^(?P<sign>[-+]?)\s*(?P<whole>\d+)\s*[:\shHdD°]\s*(?P<minutes>\d+(?:\.\d*)?)"
    r"(?:\s*[:\smM'′]\s*(?P<seconds>\d+(?:\.\d*)?)?)?\s*[sS\"″]?$"
)
_Values = TypeVar("_Values", np.ndarray, pa.Array)


class UnitError(TableError):
    """A declared unit is unknown, or is none of the quantity asked for; the message names table, column and unit."""


@dataclass(frozen=True)
class _Conversion:
    """What makes the asked unit of a column's declared one: a factor, and whether sexagesimal text is read with it."""

    factor: float
    sexagesimal: bool


def to_unit(values: _Values, declared: str, target: str, *, path: Path, column: str) -> _Values:
    """Return numbers in the unit `target`; unchanged where `declared` is empty.

    Parameters
    ----------
    values : numpy.ndarray or pyarrow.Array
        Numbers, (rows,); null and NaN stay.
    declared : str
        The unit as the table writes it.
    target : str
        Unit as astropy.units writes it; empty for a pure number.
    path, column
        The table and the column as written there, for messages.

    Raises
    ------
    UnitError
        `declared` is unknown or cannot be converted.
    """
    factor = _conversion(declared, target, path, column).factor
    if factor == 1:
        return values
    return values * factor if isinstance(values, np.ndarray) else pc.multiply(values.cast(pa.float64()), factor)


def read_in_units(
    table: TableFile, wanted: dict[str, pa.DataType], units: Mapping[str, str]
) -> Iterator[pa.RecordBatch]:
    """Read columns as `table.read` does, those of `units` converted from the unit that the table declares.

    Text columns are converted number by number. Sexagesimal text becomes degrees where the table declares ``h:m:s`` or
    ``d:m:s`` (or hours); other text stays as it is.

    Parameters
    ----------
    table : TableFile
        An open table.
    wanted : dict of str to pyarrow.DataType
        Lower-case column name -> type.
    units : mapping of str to str
        Lower-case column name -> unit wanted, empty for a pure number; other columns and names not in `wanted` are
        left alone.

    Raises
    ------
    UnitError
        A declared unit is unknown or cannot be converted; raised before any row is read.
    """
    conversions = {
        name: _conversion(table.units.get(name, ""), unit, table.path, table.spelling.get(name, name))
        for name, unit in units.items()
        if name in wanted
    }
    changed = {name: item for name, item in conversions.items() if item.factor != 1 or item.sexagesimal}
    numbers = {
        name: pa.float64() if name in changed and not pa.types.is_string(kind) else kind
        for name, kind in wanted.items()
    }
    return (_converted(batch, wanted, changed) for batch in table.read(numbers))


def describe_conversions(table: TableFile, units: Mapping[str, str]) -> tuple[str, ...]:
    """Say which columns `read_in_units` converts, one sentence each.

    Parameters
    ----------
    table, units
        As for `read_in_units`.

    Raises
    ------
    UnitError
        As there.
    """
    return tuple(
        f"{written} is converted from {table.units[name]} to {unit or 'a pure number'}"
        for name, unit in units.items()
        if name in table.units
        and _conversion(table.units[name], unit, table.path, written := table.spelling.get(name, name)).factor != 1
    )


def is_unit(text: str, of: Sequence[str] = ()) -> bool:
    """Say whether a text is a unit; if `of` is given, one of the quantities of these units."""
    unit = _parse(text, angle="deg" in of)
    return unit is not None and (not of or any(_factor(unit, target) is not None for target in of))


def _conversion(declared: str, target: str, path: Path, column: str) -> _Conversion:
    """Return the conversion of a declared unit; the identity where none is declared.

    Raises
    ------
    UnitError
    """
    if not declared.strip():
        return _Conversion(1, sexagesimal=False)
    plain = declared.strip().strip("\"'").lower()
    unit = _parse(declared, angle=_is_angle(target))
    wanted = f"in {target}" if target else "without a unit"
    remedy = f"correct the unit in the table, or write the column {wanted} and declare no unit"
    if unit is None:
        raise UnitError(f"table {path}: column {column!r} is in {declared!r}, an unknown unit; {remedy}")
    if target and plain in _SPELLINGS and not _SPELLINGS[plain]:
        return _Conversion(1, sexagesimal=False)  # a dash declares none
    factor = _factor(unit, target)
    if factor is None:
        raise UnitError(
            f"table {path}: column {column!r} is in {declared!r}, which cannot be converted to "
            f"{target or 'a pure number'}; {remedy}"
        )
    return _Conversion(factor, sexagesimal=plain in (*_DEGREES, *_HOURS) or _factor(unit, "hourangle") == 1)


def _is_angle(target: str) -> bool:
    from astropy import units

    return bool(units.Unit(target).is_equivalent(units.deg)) and target != ""


def _parse(text: str, *, angle: bool) -> Any:
    """Return astropy's unit of a text; None where it is unknown or a logarithm."""
    from astropy import units  # a third of a second to import, and most tables declare none

    plain = text.strip()
    for spelling in (plain.lower(), plain.strip("\"'").strip().lower()):
        if angle and spelling in _ANGLE_SPELLINGS:
            return units.Unit(_ANGLE_SPELLINGS[spelling])
        if spelling in _SPELLINGS:
            return units.Unit(_SPELLINGS[spelling])
    for spelling in dict.fromkeys((plain, plain.lower())):
        for style in _FORMATS:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", units.UnitsWarning)  # deprecated spellings
                try:
                    unit = units.Unit(spelling, format=style)
                except (ValueError, TypeError):
                    continue
            if isinstance(unit, units.UnitBase):
                return unit
    return None


def _factor(unit: Any, target: str) -> float | None:
    """Return how many `target` one `unit` is; None where they are of different quantities."""
    from astropy import units

    try:
        factor = float(unit.to(units.Unit(target)))
    except units.UnitConversionError:
        return None
    rounded = float(f"{factor:.12g}")  # an hour is 14.999999999999998 degrees there
    return rounded if math.isclose(rounded, factor, rel_tol=1e-15) else factor


def _converted(
    batch: pa.RecordBatch, wanted: dict[str, pa.DataType], changed: Mapping[str, _Conversion]
) -> pa.RecordBatch:
    columns = []
    for name, kind in wanted.items():
        values = batch.column(name)
        if name in changed:
            text = pa.types.is_string(kind)
            values = _convert_text(values, changed[name]) if text else pc.multiply(values, changed[name].factor)
        columns.append(values.cast(kind))
    return pa.record_batch(columns, names=list(wanted))


def _convert_text(text: pa.Array, conversion: _Conversion) -> pa.Array:
    """Convert the numbers, and where asked the sexagesimal angles, of a text column; other text stays."""
    trimmed = pc.utf8_trim_whitespace(text)
    numbers = pc.if_else(pc.match_substring_regex(trimmed, _NUMBER), trimmed, None).cast(pa.float64())
    if conversion.sexagesimal:
        numbers = pc.coalesce(numbers, _sexagesimal(trimmed))
    return pc.coalesce(pc.multiply(numbers, conversion.factor).cast(pa.string()), text)


def _sexagesimal(text: pa.Array) -> pa.Array:
    """Return hours or degrees, float64; null where the text is not sexagesimal or minutes or seconds reach 60."""
    parts = pc.extract_regex(text, _SEXAGESIMAL)
    whole, minutes, seconds = (
        pc.if_else(pc.equal(part, ""), "0", part).cast(pa.float64())
        for part in (pc.struct_field(parts, name) for name in ("whole", "minutes", "seconds"))
    )
    valid = pc.and_(pc.less(minutes, 60.0), pc.less(seconds, 60.0))
    size = pc.add(whole, pc.add(pc.divide(minutes, 60.0), pc.divide(seconds, 3600.0)))
    sign = pc.if_else(pc.equal(pc.struct_field(parts, "sign"), "-"), -1.0, 1.0)
    return pc.if_else(valid, pc.multiply(sign, size), None)
