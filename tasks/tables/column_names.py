"""Names of a table's columns: in lower case, without the unit that a header cell may hold in brackets."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
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
    for name, count in Counter(cell.lower() for cell in cells).items():
        if count > 1:
            both = ", ".join(repr(other) for other in cells if other.lower() == name)
            raise TableError(f"table {path} has two columns named {name!r} ({both}): rename or remove one of them")
    parts = [_split_unit(cell) for cell in cells]
    short = Counter(name.lower() for name, _ in parts)
    taken = {cell.lower() for cell in cells}
    own = Counter(name.lower() for name, unit in parts if _is_own_unit(name, unit))
    names: dict[str, str] = {}
    units: dict[str, str] = {}
    for cell, (name, unit) in zip(cells, parts, strict=True):
        base = name.lower()
        alone = short[base] == 1 or (base not in taken and own[base] == 1 and _is_own_unit(name, unit))
        key = base if alone else cell.lower()
        names[key] = cell
        if found := ((declared or {}).get(cell) or unit).strip():
            units[key] = found
    return ColumnNames(names, units)


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
    inner = (found[2] or found[3] or "").strip()
    words = [word.strip() for word in re.split("[,;]", inner)]
    unit = ", ".join(word for word in words if word.lower() not in _FRAMES)
    base, base_unit = _split_unit(found[1])
    role = _role_of(base)
    if not unit:
        return (cell, "") if role is None else (base, base_unit)
    if (role is not None and role.unit) or (len(unit) > 1 and is_unit(unit, _QUANTITIES)):
        return base, unit
    if role is not None and len(unit) > 1 and is_unit(unit, ("km/s",)):  # of a redshift
        return base, unit
    return cell, ""
