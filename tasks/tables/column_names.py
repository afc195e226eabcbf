"""Names of a table's columns: in lower case, without the unit that a header cell may hold in brackets."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.tables.roles import ROLES, Role
from tasks.tables.table_columns import TableError
from tasks.tables.units import is_unit

NO_NAME = "it has no name"
"""Why an unnamed column, such as the index that pandas saves, is not read."""

_FRAMES = frozenset(("j2000", "j2000.0", "icrs", "fk5", "2000", "2000.0", "eq. 2000", "epoch 2000", "eq j2000"))
_QUANTITIES = ("deg", "mag", "d")
_LAST_BRACKET = re.compile(r"(.*?\S)[\s_]*(?:\(([^()]*)\)|\[([^\[\]]*)\])", re.DOTALL)


@dataclass(frozen=True)
class ColumnNames:
    """The named columns of a table, in its order."""

    written: dict[str, str]
    """Lower-case name -> name as the file writes it, without blanks at its ends."""
    units: dict[str, str]
    """Lower-case name -> declared unit."""


def name_columns(path: Path, written: Iterable[str], declared: Mapping[str, str] | None = None) -> ColumnNames:
    """Return the columns by lower-case name, with their units.

    A bracket at a name's end is its unit if it is one of an angle, a magnitude or a time, and whatever it is where the
    name is a synonym of a role with a unit; ``(J2000)``, ``(ICRS)`` and the like are left off. Where two names
    would then be equal, the brackets stay, but for the one in the role's own unit: of ``RA (deg), RA (hms)`` the first
    is ``ra``.

    Parameters
    ----------
    path : Path
        The table, for messages.
    written : iterable of str
        Column names as the file writes them; unnamed ones are left out.
    declared : mapping of str to str, optional
        Stripped written name -> unit, where the format has a place for units.

    Raises
    ------
    TableError
        Two columns have the same name in lower case.
    """
    cells = [name.strip() for name in written if name.strip()]
    _refuse_equal(path, cells)
    parts = [_split_unit(cell) for cell in cells]
    keys = _shortest_keys(cells, parts)
    declared = declared or {}
    units = {key: (declared.get(cell) or unit).strip() for key, cell, (_, unit) in zip(keys, cells, parts, strict=True)}
    return ColumnNames(dict(zip(keys, cells, strict=True)), {key: unit for key, unit in units.items() if unit})


def _refuse_equal(path: Path, cells: Sequence[str]) -> None:
    for name, count in Counter(cell.lower() for cell in cells).items():
        if count > 1:
            both = ", ".join(repr(other) for other in cells if other.lower() == name)
            raise TableError(f"table {path} has two columns named {name!r} ({both}): rename or remove one of them")


def _shortest_keys(cells: Sequence[str], parts: Sequence[tuple[str, str]]) -> list[str]:
    """Return each column's name in lower case, without its bracket where that leaves no two names equal.

    Parameters
    ----------
    cells : sequence of str
        Names as written.
    parts : sequence of (str, str)
        Of each, the name without its bracket, and the unit.
    """
    whole = {cell.lower() for cell in cells}
    short = Counter(name.lower() for name, _ in parts)
    own = Counter(name.lower() for name, unit in parts if _is_own_unit(name, unit))
    keys = []
    for cell, (name, unit) in zip(cells, parts, strict=True):
        base = name.lower()
        only_in_own_unit = base not in whole and own[base] == 1 and _is_own_unit(name, unit)
        keys.append(base if short[base] == 1 or only_in_own_unit else cell.lower())
    return keys


def _is_own_unit(name: str, unit: str) -> bool:
    """Say whether a bracketed unit is, by its spelling, the unit of the role that the name is a synonym of."""
    role = _role_of(name)
    return role is not None and bool(role.unit) and unit.lower().rstrip("s") in (role.unit, f"{role.unit}ree", "°")


def _role_of(name: str) -> Role | None:
    return next((role for role in ROLES.values() if name.lower() in role.names), None)


def _split_unit(cell: str) -> tuple[str, str]:
    """Split a name as written into name and bracketed unit; the unit is empty without one."""
    found = _LAST_BRACKET.fullmatch(cell)
    if found is None:
        return cell, ""
    words = [word.strip() for word in re.split("[,;]", (found[2] or found[3] or "").strip())]
    unit = ", ".join(word for word in words if word.lower() not in _FRAMES)
    base, base_unit = _split_unit(found[1])
    role = _role_of(base)
    if not unit:
        return (cell, "") if role is None else (base, base_unit)
    return (base, unit) if _is_unit_of(role, unit) else (cell, "")


def _is_unit_of(role: Role | None, unit: str) -> bool:
    """Say whether the text of a bracket behind a name is its unit; anything is, behind a role that has one."""
    if role is not None and role.unit:
        return True
    if len(unit) == 1:
        return False
    return is_unit(unit, _QUANTITIES) or (role is not None and is_unit(unit, ("km/s",)))  # of a redshift
