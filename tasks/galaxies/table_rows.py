"""Rows of a table file as catalogue columns: the file opened, its roles found, its kind recognised."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from galaxy.catalogue.columns import Layout, recognise
from galaxy.catalogue.conversion import convert, types_to_read
from galaxy.catalogue.errors import CatalogueError
from galaxy.catalogue.identifiers import DamageWatch
from tasks.tables.roles import find_roles
from tasks.tables.table_files import TableFile, open_table

CATALOGUE_ROLES: tuple[str, ...] = ("id", "ra", "dec", "redshift")
"""Roles of `tasks.tables.roles` that a catalogue has columns for."""


@dataclass(frozen=True)
class TableRows:
    """An open table and what its columns hold."""

    table: TableFile
    layout: Layout

    def batches(self, layout: Layout | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the rows as catalogue columns, in the table's order; bad values are null, no row is dropped.

        An unreadable right ascension or declination is NaN, a missing one null.

        Parameters
        ----------
        layout : Layout, optional
            Part of the table's layout, to read fewer columns.

        Raises
        ------
        CatalogueError
            The id column went through float64.
        TableError
            A column holds values of another type.
        """
        layout = layout or self.layout
        id_column = layout.source.get("id", "")
        if id_column in self.table.float_columns:
            raise CatalogueError(
                f"table {self.table.path}: id column {id_column!r} is floating point, so 18-digit ids have lost their "
                "last digits; export the table again with the ids as text or 64-bit integers"
            )
        watch = DamageWatch(self.table.path, id_column)
        for batch in self.table.read(types_to_read(layout)):
            if batch.num_rows:
                yield convert(batch, layout, watch)
        watch.finish()


@contextmanager
def open_rows(path: Path, named: Mapping[str, str] | None = None) -> Iterator[TableRows]:
    """Open a table file as catalogue rows for as long as the block lasts.

    Parameters
    ----------
    path : Path
    named : mapping of str to str, optional
        Role -> column, see `find_roles`.

    Raises
    ------
    TableError
        The file cannot be read.
    ColumnRoleError
        Two columns for one role.
    CatalogueError
        A column that the table's kind requires is missing.
    """
    with open_table(path) as table:
        roles = find_roles(path, table.columns, CATALOGUE_ROLES, named)
        yield TableRows(table, recognise(path, table.columns, roles))
