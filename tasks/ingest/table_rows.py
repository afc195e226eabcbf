"""Rows of a table file as catalogue columns: the file opened, its roles found, its kind recognised."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa

from galaxy.catalogue.columns import BY_NAME, COLUMNS
from galaxy.catalogue.conversion import UnreadAngles, convert, types_to_read, units_to_read
from galaxy.catalogue.errors import CatalogueError
from galaxy.catalogue.identifiers import DamageWatch
from galaxy.catalogue.layouts import Header, Layout, recognise
from tasks.ingest.provenance import is_catalogue
from tasks.tables.roles import ROLES, ColumnRoleError, find_roles, refuse_unread
from tasks.tables.table_files import TableFile, open_table
from tasks.tables.units import is_unit, read_in_units

CATALOGUE_ROLES: tuple[str, ...] = tuple(column.role for column in COLUMNS if column.role)
"""Roles of `tasks.tables.roles` that a catalogue has columns for."""

_SYNONYMS = {role: ROLES[role].names for role in CATALOGUE_ROLES}


@dataclass(frozen=True)
class TableRows:
    """An open table and what its columns hold."""

    table: TableFile
    layout: Layout
    unread: UnreadAngles = field(default_factory=UnreadAngles)
    """Filled while `batches` are read."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows as catalogue columns, in the table's order and the catalogue's units; bad values are null.

        No row is dropped. An unreadable right ascension or declination is NaN, a missing one null.

        Raises
        ------
        CatalogueError
            The id column went through float64.
        TableError
            A column holds values of another type, or is declared in a unit of another quantity.
        """
        layout = self.layout
        id_column = layout.source.get("id", "")
        if id_column in self.table.float_columns:
            raise CatalogueError(
                f"table {self.table.path}: id column {id_column!r} is floating point, so 18-digit ids have lost their "
                "last digits; export the table again with the ids as text or 64-bit integers"
            )
        watch = DamageWatch(self.table.path, id_column)
        for batch in read_in_units(self.table, types_to_read(layout), units_to_read(layout)):
            if batch.num_rows:
                yield convert(batch, layout, watch, self.unread)
        watch.finish()


@contextmanager
def open_rows(path: Path, named: Mapping[str, str] | None = None) -> Iterator[TableRows]:
    """Open a table file as catalogue rows for as long as the block lasts.

    Parameters
    ----------
    path : Path
    named : mapping of str to str, optional
        As `named_columns` returns, the columns with or without the unit in their names; those that the table lacks are
        left out of account.

    Raises
    ------
    TableError
        The file cannot be read.
    ColumnRoleError
        Two columns for one role.
    CatalogueError
        The rows have nothing to be known by, or a column seems to be misspelt.
    """
    with open_table(path) as table:
        found = ((key, table.find(column)) for key, column in (named or {}).items())
        present = {key: column for key, column in found if column is not None}
        roles = _own_roles(table, present) if is_catalogue(path) else _find_roles(table, present)
        own = {key: column for key, column in present.items() if key not in CATALOGUE_ROLES}
        layout = recognise(Header(path, table.columns, roles, _SYNONYMS, own))
        yield TableRows(replace(table, units=_units(table, roles)), layout)


def named_columns(columns: Mapping[str, str] | None) -> dict[str, str]:
    """Return the parameter ``columns`` as role, or catalogue column without a role, -> table column in lower case.

    Raises
    ------
    ColumnRoleError
        A key is neither a role nor a column of a catalogue, or one column is named twice.
    """
    named: dict[str, str] = {}
    for key, column in (columns or {}).items():
        name = BY_NAME[key].label if key in BY_NAME else key
        if name not in CATALOGUE_ROLES and name not in BY_NAME:
            raise ColumnRoleError(
                f"columns names a column for {key!r}, which is neither a role ({', '.join(CATALOGUE_ROLES)}) nor a "
                "column of a catalogue (gz2_class, gz1_majority, ...)"
            )
        lower = column.strip().lower()
        if lower in named.values() or name in named:
            raise ColumnRoleError(f"columns={dict(columns or {})} names {column!r} or {name} twice")
        named[name] = lower
    return named


def require_named(named: Mapping[str, str], tables: Sequence[TableFile]) -> None:
    """Refuse a name of `named` that no table has as a column.

    Raises
    ------
    ColumnRoleError
        It names the table and the columns that it has.
    """
    for key, column in named.items():
        if all(table.find(column) is None for table in tables):
            unread = [why for table in tables for name, why in table.ignored.items() if name.lower() == column]
            if unread:
                raise ColumnRoleError(f"columns names {column!r} for {key}, which is not read: {unread[0]}")
            found = "; ".join(f"{table.path} has {', '.join(table.columns)}" for table in tables)
            raise ColumnRoleError(f"columns names {column!r} for {key}, which no table has: {found}")


def _own_roles(table: TableFile, named: Mapping[str, str]) -> dict[str, str]:
    """Return the roles of a catalogue: its columns have their own names; its extra ones mean nothing unless named."""
    own = {column.role: column.name for column in COLUMNS if column.role and column.name in table.columns}
    own = {role: column for role, column in own.items() if column not in named.values()}
    return own | {key: column for key, column in named.items() if key in CATALOGUE_ROLES}


def _find_roles(table: TableFile, named: Mapping[str, str]) -> dict[str, str]:
    by_role = {key: column for key, column in named.items() if key in CATALOGUE_ROLES}
    others = {column for key, column in named.items() if key not in CATALOGUE_ROLES}
    if "z" not in by_role.values() and (unit := table.units.get("z")) and is_unit(unit, ("mag",)):
        others.add("z")
    free = [column for column in table.columns if column not in others]
    roles = find_roles(table.path, free, CATALOGUE_ROLES, by_role)
    refuse_unread(table.path, table.ignored, ("id", "ra", "dec"), roles)
    return roles


def _units(table: TableFile, roles: Mapping[str, str]) -> dict[str, str]:
    """Return the units that the table declares, and those of an archive's own where it declares none."""
    own = {column: ROLES[role].own_units[column] for role, column in roles.items() if column in ROLES[role].own_units}
    return own | {name: unit for name, unit in table.units.items() if unit}
