"""Tables of known objects: which column is what, in the layouts of TNS, VSX, the Minor Planet Center and others."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from realbogus.readings import Reading
from realbogus.records import SourceError
from realbogus.sources.known_objects import KnownTable, known_table
from realbogus.sources.object_kinds import KNOWN_ASTEROID, KNOWN_VARIABLE
from realbogus.sources.obs80 import is_obs80, is_orbit_table, read_obs80
from tasks.records.column_keys import column_keys
from tasks.records.role_columns import read_text
from tasks.tables.compression import plain_bytes
from tasks.tables.roles import ROLES, ColumnRoleError, check_named, find_roles, refuse_unread
from tasks.tables.table_columns import TableError, TableFile
from tasks.tables.table_files import open_table

ROLE_NAMES = ("ra", "dec", "position", "name", "name_prefix", "object_type", "discovery_time", "time_of_day")
"""Roles of a known-object table."""
_HEAD_BYTES = 4096
_LEAST_ORBIT_COLUMNS = 4
_VSX_COLUMNS = frozenset(("auid", "var. type", "const", "n_oid", "l_max", "vsx_type", "const."))
_EPHEMERIS_COLUMNS = frozenset(
    (
        *("designation", "desig", "provid", "provisional_designation", "packed_designation", "permid", "ssnamenr"),
        *("targetname", "elong", "elongation", "sun_dist", "delta", "phase_angle", "ssobjectid", "h_mag"),
    )
)
_ORBIT_COLUMNS = frozenset(
    (
        *("a", "e", "i", "incl", "node", "peri", "m", "om", "w", "q", "argperi", "mean_anomaly", "eccentricity"),
        *("inclination", "semimajor_axis", "tp", "meananomaly"),
    )
)


def read_known(path: Path, columns: Mapping[str, str] | None = None) -> tuple[KnownTable, Reading]:
    """Read a table of known objects: TNS, VSX, ephemerides, any table with positions, or 80-column astrometry.

    Parameters
    ----------
    path : Path
    columns : mapping of str to str, optional
        Columns that the user named, by role of `ROLE_NAMES`.

    Raises
    ------
    SourceError
        The table cannot be read, has two columns for one role, lacks positions, or holds orbits.
    """
    named = dict(columns or {})
    try:
        check_named(named, ROLE_NAMES)
        head = _head(path)
        if is_orbit_table(head):
            raise SourceError(_orbits(path))
        if is_obs80(head):
            return _read_obs80(path)
        return _read_columns(path, named)
    except (TableError, ColumnRoleError) as error:
        raise SourceError(f"known_objects={path}: {error}") from error


def _head(path: Path) -> bytes:
    if not path.is_file():
        raise SourceError(f"known_objects={path} does not exist")
    with plain_bytes(path) as stream:
        return stream.read(_HEAD_BYTES)


def _read_obs80(path: Path) -> tuple[KnownTable, Reading]:
    with plain_bytes(path) as stream:
        columns = read_obs80(line.decode("ascii", "replace") for line in stream)
    understood = {"name": "columns 1-12", "discovery_time": "columns 16-32", "ra": "columns 33-44"}
    reading = Reading(understood | {"dec": "columns 45-56"}, notes=(f"{path} is 80-column astrometry of the MPC",))
    return known_table(str(path), columns, KNOWN_ASTEROID), reading


def _read_columns(path: Path, named: Mapping[str, str]) -> tuple[KnownTable, Reading]:
    with open_table(path) as table:
        roles = _roles_of(table, named)
        read, conversions = read_text(table, roles, list(dict.fromkeys(roles.values())))
    spelling, unread, notes = table.spelling, table.ignored, (*table.notes, *conversions)
    others = [spelling.get(name, name) for name in table.columns if name not in read.column_names]
    texts = {role: read[column].to_pylist() for role, column in roles.items()}
    understood = {role: spelling.get(column, column) for role, column in roles.items()}
    date_column = understood.get("discovery_time", "discovery_time")
    known = known_table(str(path), texts, _layout(table.columns), date_column)
    missing = {
        "position": read.num_rows - len(known),
        "discovery_time": int(np.isnan(known.mjd).sum()),
        **{role: read[roles[role]].null_count if role in roles else read.num_rows for role in ("name", "object_type")},
    }
    return known, Reading(understood, (*others, *unread), missing, tuple(f"{path}: {note}" for note in notes))


def _roles_of(table: TableFile, named: Mapping[str, str]) -> dict[str, str]:
    """Return role -> column; a position in one column counts where there are no two.

    Raises
    ------
    SourceError
        There is no position, or the table holds orbits.
    ColumnRoleError
        A role has two columns, or the only column of a position or a date cannot be read.
    """
    path, columns = table.path, table.columns
    keys = column_keys(columns)
    key_of = {name: key for key, name in keys.items()}
    wanted = {role: key_of.get(column.strip().lower(), column) for role, column in named.items()}
    found = find_roles(path, list(keys), ROLE_NAMES, wanted)
    roles = {role: keys[key] for role, key in found.items()}
    if {"ra", "dec"} <= roles.keys() and "position" not in named:
        roles.pop("position", None)
    elif "position" in roles:
        roles = {role: column for role, column in roles.items() if role not in ("ra", "dec")}
    else:
        refuse_unread(path, table.ignored, ("ra", "dec", "position"), roles)
        if len(_ORBIT_COLUMNS.intersection(columns)) >= _LEAST_ORBIT_COLUMNS:
            raise SourceError(_orbits(path))
        lacking = next(role for role in ("ra", "dec") if role not in roles)
        raise SourceError(
            f"known_objects={path} has no column of {lacking} ({', '.join(ROLES[lacking].names)}) nor of a position "
            f"({', '.join(ROLES['position'].names)}); it has {', '.join(columns)}; name one with columns"
        )
    refuse_unread(path, table.ignored, ("discovery_time",), roles)
    return roles


def _orbits(path: Path) -> str:
    return (
        f"known_objects={path} holds orbits, not positions: give an ephemeris for the epochs of the frames, with "
        "designation, ra, dec and epoch, from the Minor Planet Center, JPL Horizons or SkyBoT"
    )


def _layout(columns: Sequence[str]) -> str:
    """Return the kind of objects without a type by the columns beside them; empty where these do not tell."""
    if _VSX_COLUMNS.intersection(columns) or {"oid", "raj2000"} <= set(columns):
        return KNOWN_VARIABLE
    return KNOWN_ASTEROID if _EPHEMERIS_COLUMNS.intersection(columns) else ""
