"""The account of tables' columns: which was understood as what, kept as it is, or ignored; rows without a value."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from galaxy.catalogue.columns import BY_NAME, COLUMNS
from galaxy.catalogue.conversion import units_to_read
from galaxy.catalogue.layouts import VOTE_NAMES
from tasks.ingest.provenance import is_catalogue, read_provenance
from tasks.ingest.table_rows import TableRows
from tasks.tables.units import describe_conversions

NEEDED: tuple[str, ...] = ("id", "ra", "dec", "redshift", "petro_r90")
"""Roles that a build may need; rows without them are counted even where no table has such a column."""

ACCOUNT_KEYS = ("understood", "kept", "ignored", "why_ignored", "missing", "notes")
_COLUMN_OF_ROLE = {column.label: column.name for column in COLUMNS if column.name not in VOTE_NAMES}


@dataclass(frozen=True)
class ColumnAccount:
    """What the columns of one table, or of several, hold; names as the files write them.

    Attributes
    ----------
    understood : dict of str to str
        Role, or catalogue column without one, -> the table's column.
    kept : tuple of str
        Columns kept as text under their lower-case names.
    why_ignored : dict of str to str
        Column that is not read -> why.
    notes : tuple of str
        How the files were read, where that is not plain.
    """

    understood: dict[str, str] = field(default_factory=dict)
    kept: tuple[str, ...] = ()
    why_ignored: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def summary(self, missing: Mapping[str, int]) -> dict[str, Any]:
        """Return the account under `ACCOUNT_KEYS`, with the rows without a value.

        ``why_ignored`` is by reason, since published tables have dozens of columns that are left out for one.
        """
        by_reason: dict[str, list[str]] = {}
        for column, why in self.why_ignored.items():
            by_reason.setdefault(why, []).append(column)
        return {
            "understood": self.understood,
            "kept": list(self.kept),
            "ignored": list(self.why_ignored),
            "why_ignored": by_reason,
            "missing": dict(missing),
            "notes": list(self.notes),
        }


def account_of(rows: TableRows, unread: Mapping[str, str] | None = None) -> ColumnAccount:
    """Return the account of an open table.

    Parameters
    ----------
    rows : TableRows
    unread : mapping of str to str, optional
        Catalogue column of the layout that the caller does not read -> why.
    """
    table, layout, unread = rows.table, rows.layout, unread or {}
    written = {name: table.spelling.get(name, name) for name in table.columns}
    understood = _understood({name: written[column] for name, column in layout.source.items() if name not in unread})
    ignored = {written[name]: why for name, why in layout.ignored.items()}
    ignored |= {written[layout.source[name]]: why for name, why in unread.items() if name in layout.source}
    told = (*table.notes, *describe_conversions(table, units_to_read(layout)))
    notes = tuple(f"{table.path.name}: {note}" for note in told)
    return ColumnAccount(understood, tuple(written[name] for name in layout.extra), {**table.ignored, **ignored}, notes)


def _understood(source: Mapping[str, str]) -> dict[str, str]:
    """Return role, or catalogue column without one, -> the column it is read from; all votes under one key."""
    votes = [column for name, column in source.items() if name in VOTE_NAMES]
    understood = {
        BY_NAME[name].label if name in BY_NAME else name: column
        for name, column in source.items()
        if name not in VOTE_NAMES
    }
    if votes:
        understood["votes"] = votes[0] if len(votes) == 1 else f"{votes[0]} and {len(votes) - 1} more"
    return understood


def read_account(catalog: Path) -> dict[str, Any]:
    """Return the account of the columns that a catalogue's tables had; empty for a catalogue without one."""
    provenance = read_provenance(catalog) if is_catalogue(catalog) else {}
    return {key: provenance[key] for key in ACCOUNT_KEYS if key in provenance}


def merge_accounts(accounts: Iterable[tuple[Path, ColumnAccount]]) -> ColumnAccount:
    """Return one account of several tables; a role read from columns of different names shows each with its file."""
    pairs = [(path.name, account) for path, account in accounts]
    sources: dict[str, list[tuple[str, str]]] = {}
    why_ignored: dict[str, str] = {}
    for file, account in pairs:
        for role, column in account.understood.items():
            sources.setdefault(role, []).append((file, column))
        for column, why in account.why_ignored.items():
            why_ignored.setdefault(column, why)
    kept = dict.fromkeys(column for _, account in pairs for column in account.kept)
    notes = dict.fromkeys(note for _, account in pairs for note in account.notes)
    understood = {role: _in_files(found) for role, found in sources.items()}
    return ColumnAccount(understood, tuple(kept), why_ignored, tuple(notes))


def _in_files(found: Sequence[tuple[str, str]]) -> str:
    columns = {column for _, column in found}
    return columns.pop() if len(columns) == 1 else ", ".join(f"{file}: {column}" for file, column in found)


class MissingRows:
    """Counts rows without a value: of id and position over all rows read, of other columns over those kept."""

    def __init__(self) -> None:
        self._read = {"id": 0, "ra": 0, "dec": 0}

    def see(self, batch: pa.RecordBatch) -> None:
        """Count the rows of a batch, as read and joined, that lack an id or a coordinate."""
        for role in self._read:
            name = _COLUMN_OF_ROLE[role]
            present = name in batch.schema.names
            self._read[role] += batch.column(name).null_count if present else batch.num_rows

    def count(self, understood: Iterable[str], nulls: Mapping[str, int], rows: int) -> dict[str, int]:
        """Return rows without a value by physical column, where there are any, and by role, always.

        Parameters
        ----------
        understood : iterable of str
            Roles that a table has a column for; those of `NEEDED` are added.
        nulls : mapping of str to int
            Column of the written catalogue -> kept rows without a value.
        rows : int
            Number of kept rows.
        """
        by_column = {name: count for name, count in nulls.items() if count and pa.types.is_float64(BY_NAME[name].type)}
        roles = [role for role in dict.fromkeys((*NEEDED, *understood)) if role in _COLUMN_OF_ROLE]
        by_role = {role: nulls.get(_COLUMN_OF_ROLE[role], rows) for role in roles}
        return by_column | by_role | self._read
