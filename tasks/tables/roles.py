"""The one table of synonyms: which column of a table holds which quantity, by the names that archives use.

Names are compared in lower case. Two columns for one role are refused unless the caller names one; the ids of several
releases, which published tables hold side by side, are taken in the order of their synonyms.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType


class ColumnRoleError(ValueError):
    """Two columns for one role, or a named column that the table lacks; the message names the table and the remedy."""


@dataclass(frozen=True)
class Role:
    """A quantity that a table may hold.

    Attributes
    ----------
    name : str
        Its name in the parameter ``columns`` and in summaries.
    names : tuple of str
        Lower-case synonyms, in the order of preference where the role is `ordered`.
    unit : str
        Unit of the values once read, as astropy.units writes it; empty for text and pure numbers.
    ordered : bool
        Several synonyms in one table are normal and the first is taken; otherwise they are refused.
    """

    name: str
    names: tuple[str, ...]
    unit: str = ""
    ordered: bool = False


_ROLES = (
    Role(
        "id",
        (
            *("stripe82objid", "dr7objid", "objid", "object_id", "objectid", "dr8objid", "source_id", "sourceid"),
            *("objid_dr7", "objid_dr8", "sdss_objid", "sdssobjid", "dr7_objid", "dr8_objid", "galaxy_id", "galaxyid"),
            *("id_str", "iauname", "iau_name", "id"),
        ),
        ordered=True,
    ),
    Role(
        "ra",
        (
            *("ra_deg", "ra", "raj2000", "_raj2000", "ra_j2000", "raj2000deg", "_ra", "ra_icrs", "ramean", "rastack"),
            *("alpha_j2000", "alphawin_j2000", "al2000", "right_ascension", "rightascension", "radeg", "ra_d", "degra"),
            *("s_ra", "meanra", "coord_ra"),
        ),
        "deg",
    ),
    Role(
        "dec",
        (
            *("dec_deg", "dec", "dej2000", "_dej2000", "dec_j2000", "decj2000", "dej2000deg", "_de", "de", "de_icrs"),
            *("dec_icrs", "decmean", "decstack", "delta_j2000", "deltawin_j2000", "de2000", "declination", "decl"),
            *("decdeg", "dec_d", "degdec", "s_dec", "meandec", "coord_dec"),
        ),
        "deg",
    ),
    Role("redshift", ("redshift", "specz", "spec_z", "zspec", "z_spec", "zsp", "z_best", "zbest", "z")),
)
ROLES: MappingProxyType[str, Role] = MappingProxyType({role.name: role for role in _ROLES})


def find_roles(
    path: Path, columns: Sequence[str], roles: Iterable[str], named: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return role -> the table's column that holds it, for the roles that the table has.

    Parameters
    ----------
    path : Path
        The table, for messages.
    columns : sequence of str
        The table's column names in lower case.
    roles : iterable of str
        Names of `ROLES` to look for.
    named : mapping of str to str, optional
        Role -> column that the caller named; it goes before every synonym. Names are compared in lower case.

    Raises
    ------
    ColumnRoleError
        A role has two columns and none is named, or a named column is absent.
    """
    named = {role: column.strip().lower() for role, column in (named or {}).items()}
    source = {}
    for role in (ROLES[name] for name in roles):
        if role.name in named:
            source[role.name] = _named_column(path, columns, role.name, named[role.name])
            continue
        present = [name for name in role.names if name in columns]
        if len(present) > 1 and not role.ordered:
            example = f'columns=\'{{"{role.name}": "{present[0]}"}}\''
            raise ColumnRoleError(
                f"table {path} has {len(present)} columns for {role.name}: {', '.join(present)}; "
                f"name one with {example}"
            )
        if present:
            source[role.name] = present[0]
    return source


def _named_column(path: Path, columns: Sequence[str], role: str, column: str) -> str:
    if column not in columns:
        raise ColumnRoleError(
            f"columns names {column!r} for {role}, which table {path} lacks; it has {', '.join(columns)}"
        )
    return column


def check_named(named: Mapping[str, str], roles: Iterable[str]) -> None:
    """Refuse a mapping `named` (role -> column) that names a role other than `roles`.

    Raises
    ------
    ColumnRoleError
        A key is no role.
    """
    known = tuple(roles)
    for role in named:
        if role not in known:
            raise ColumnRoleError(f"columns names the role {role!r}; roles are {', '.join(known)}")
