"""Positions that a table splits over columns, as the CDS and the journals do: RAh, RAm, RAs and DE-, DEd, DEm, DEs."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from tasks.tables.roles import ROLES
from tasks.tables.table_columns import TableFile

_PARTS = {"ra": ("rah", "ram", "ras"), "dec": ("de-", "ded", "dem", "des")}
Parts: TypeAlias = dict[str, tuple[str, ...]]
"""Names of columns by the position, ``ra`` or ``dec``, whose parts they hold."""

_UNNEEDED = ("ras", "des")  # minutes may have decimals instead


def join_positions(table: TableFile) -> TableFile:
    """Return a table with the columns ``ra`` and ``dec``, as sexagesimal text, in place of their parts.

    It is returned as it is where it lacks a part, or has a column for one of the two besides.
    """
    parts = _find_parts(table.columns)
    if parts is None or any(name in table.columns for role in _PARTS for name in ROLES[role].names):
        return table
    taken = {part for names in parts.values() for part in names}
    sources = {name: (name,) for name in table.columns if name not in taken} | parts
    return replace(
        table,
        columns=tuple(sources),
        read=lambda wanted: _read_joined(table, parts, wanted),
        spelling={name: ", ".join(table.spelling.get(each, each) for each in of) for name, of in sources.items()},
        units={name: unit for name, unit in table.units.items() if name not in taken},
        float_columns=table.float_columns - taken,
    )


def _find_parts(columns: Sequence[str]) -> Parts | None:
    """Return the columns that hold parts of ``ra`` and of ``dec``; None where one that is needed is absent."""
    parts = {role: tuple(name for name in names if name in columns) for role, names in _PARTS.items()}
    is_whole = all({*names} <= {*parts[role], *_UNNEEDED} for role, names in _PARTS.items())
    return parts if is_whole else None


def _read_joined(table: TableFile, parts: Parts, wanted: dict[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
    """Yield batches of the wanted columns, a position joined from the text of its parts."""
    plain = {name: kind for name, kind in wanted.items() if name not in parts}
    split = {part: pa.string() for name in wanted if name in parts for part in parts[name]}
    for batch in table.read(plain | split):
        joined = {name: _joined(batch, parts[name]) for name in wanted if name in parts}
        columns = [joined[name].cast(kind) if name in joined else batch.column(name) for name, kind in wanted.items()]
        yield pa.record_batch(columns, names=list(wanted))


def _joined(batch: pa.RecordBatch, parts: tuple[str, ...]) -> pa.Array:
    """Return the parts' text with colons between; null where one is null, but for a sign, which is a plus then."""
    texts = {part: batch.column(part) for part in parts}
    sign = pc.fill_null(texts.pop("de-"), "") if "de-" in texts else ""
    return pc.binary_join_element_wise(sign, pc.binary_join_element_wise(*texts.values(), ":"), "")
