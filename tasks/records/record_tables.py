"""Tables with a row per triplet, of any format that `tasks.tables` reads, and the roles of their columns."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pyarrow as pa

from realbogus.records import SourceError
from realbogus.row_tables import ROLE_NAMES, RowTable, read_csv_text
from realbogus.sources.triplets import TripletConventions
from tasks.records.column_keys import column_keys
from tasks.records.role_columns import read_text
from tasks.tables.compression import plain_bytes
from tasks.tables.roles import ROLES, ColumnRoleError, check_named, find_roles, refuse_unread
from tasks.tables.table_columns import TableError
from tasks.tables.table_files import open_table

_SYNONYMS_OF = MappingProxyType({role: role for role in ROLE_NAMES} | {"id": "candidate_id"})
"""Role of a triplet -> its entry in the table of synonyms."""
_NEEDED = ("id", "ra", "dec", "label", "sign", "time")
"""Roles without which rows lose their identity, place, label or night."""
_MOST_APART_D = 1.0
_OTHER = re.compile(rb"[\[(;\t|]|\x00")  # of units and other separators
_OTHER_EPOCHS = frozenset(name for name in ROLES["time"].names if "jd" in name or "obs" in name)
_HEAD_BYTES = 1 << 16


@dataclass(frozen=True)
class RecordTables:
    """Opens the tables of a source, `realbogus.sources.triplets.TableReader`.

    Attributes
    ----------
    columns : tuple of (role, column)
        Columns that the user named, by role of `realbogus.row_tables.ROLE_NAMES`.
    """

    columns: tuple[tuple[str, str], ...] = ()

    def __call__(self, path: Path, members: pa.Table | None = None) -> RowTable:
        """Open a table file, or take columns of text, and find the roles of its columns.

        Raises
        ------
        SourceError
            The table cannot be read, has two columns for one role, or lacks a named one.
        """
        try:
            check_named(dict(self.columns), ROLE_NAMES)
            if members is not None:
                return self._from_text(path, members)
            if _is_plain_csv(path):
                return self._from_text(path, read_csv_text(path))
            return self._open(path)
        except (TableError, ColumnRoleError) as error:
            raise SourceError(str(error)) from error

    def _open(self, path: Path) -> RowTable:
        with open_table(path) as table:
            roles = find_record_roles(path, table.columns, dict(self.columns))
            found = {_SYNONYMS_OF[role]: column for role, column in roles.items()}
            refuse_unread(path, table.ignored, [_SYNONYMS_OF[role] for role in _NEEDED], found)
            text, notes = read_text(table, roles, table.columns)
        spelling = {name: table.spelling.get(name, name) for name in table.columns}
        ignored = [f"{name} ({why})" for name, why in table.ignored.items()]
        spelled = {role: spelling[column] for role, column in roles.items()}
        return _noted(
            RowTable(path, text.rename_columns(list(spelling.values())), spelled, ignored, (*table.notes, *notes))
        )

    def _from_text(self, path: Path, text: pa.Table) -> RowTable:
        """Return the table of columns of text, with the roles that their names give."""
        by_key = {name.strip().lower(): name for name in text.column_names}
        roles = find_record_roles(path, list(by_key), dict(self.columns))
        return _noted(RowTable(path, text, {role: by_key[column] for role, column in roles.items()}))

    def conventions(self) -> TripletConventions:
        """Return the conventions of triplets whose table is opened so."""
        return replace(TripletConventions(), read_table=self)


def find_record_roles(path: Path, columns: Sequence[str], named: Mapping[str, str]) -> dict[str, str]:
    """Return role -> column of a table of triplets.

    Names are compared as `column_keys` gives them.

    Parameters
    ----------
    path : Path
        The table, for messages.
    columns : sequence of str
        Names in lower case.
    named : mapping of str to str
        Role -> column that the user named.

    Raises
    ------
    ColumnRoleError
        A role has two columns, or a named one is absent.
    """
    keys = column_keys(columns, nested=True)
    key_of = {name: key for key, name in keys.items()}
    lower = {role: column.strip().lower() for role, column in named.items()}
    wanted = {_SYNONYMS_OF[role]: key_of.get(column, column) for role, column in lower.items()}
    found = find_roles(path, list(keys), _SYNONYMS_OF.values(), wanted)
    return {role: keys[found[entry]] for role, entry in _SYNONYMS_OF.items() if entry in found}


def _is_plain_csv(path: Path) -> bool:
    """Return whether a file is a CSV with commas and no units, or absent: these keep the rules of `RowTable`."""
    if not path.is_file():
        return True
    if path.suffix.lower() != ".csv":
        return False
    with plain_bytes(path) as stream:
        head = stream.read(_HEAD_BYTES)
    lines = head.removeprefix(b"\xef\xbb\xbf").splitlines()[:2]
    first = lines[0] if lines else b""
    is_title = len(lines) > 1 and b"," not in first and b"," in lines[1]
    return not (first.startswith((b"#", b"\x1f\x8b", b"BZh", b"\xfd7z")) or is_title or _OTHER.search(first))


def _noted(table: RowTable) -> RowTable:
    """Add a note on each further column of epochs that differs by more than a day from the one that is used."""
    if "time" in table.roles:
        table.notes += tuple(_contradictions(table, table.roles["time"]))
    return table


def _contradictions(table: RowTable, taken: str) -> list[str]:
    notes = []
    for name in table.names:
        if name == taken or name.lower() not in _OTHER_EPOCHS:
            continue
        other = RowTable(table.path, pa.table({name: table.text(name)}), {"time": name}).epochs_mjd
        with np.errstate(invalid="ignore"):
            apart = np.flatnonzero(np.abs(other - table.epochs_mjd) > _MOST_APART_D)
        if len(apart):
            notes.append(
                f"columns {taken!r} and {name!r} differ by more than a day in {len(apart)} rows, first row {apart[0]}: "
                f"{taken!r} is used"
            )
    return notes
