"""Positions that a table splits over columns, as the CDS and the journals do: RAh, RAm, RAs and DE-, DEd, DEm, DEs."""

from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from tasks.tables.roles import ROLES
from tasks.tables.table_columns import TableFile

_PARTS = {"ra": ("rah", "ram", "ras"), "dec": ("de-", "ded", "dem", "des")}
_UNNEEDED = ("ras", "des")  # minutes may have decimals instead


def join_positions(table: TableFile) -> TableFile:
    """Return a table with the columns ``ra`` and ``dec``, as sexagesimal text, in place of their parts.

    It is returned as it is where it lacks a part, or has a column for one of the two besides.
    """
    parts = {name: tuple(part for part in names if part in table.columns) for name, names in _PARTS.items()}
    lacks_one = any(set(names) - {*parts[name], *_UNNEEDED} for name, names in _PARTS.items())
    if lacks_one or any(name in table.columns for role in _PARTS for name in ROLES[role].names):
        return table
    taken = {part for names in parts.values() for part in names}
    kept = [name for name in table.columns if name not in taken]

    def read(wanted: dict[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
        stored: dict[str, pa.DataType] = {}
        for name, kind in wanted.items():
            stored |= dict.fromkeys(parts[name], pa.string()) if name in parts else {name: kind}
        for batch in table.read(stored):
            columns = [
                _joined(batch, parts[name]).cast(kind) if name in parts else batch.column(name)
                for name, kind in wanted.items()
            ]
            yield pa.record_batch(columns, names=list(wanted))

    spelling = {name: table.spelling.get(name, name) for name in kept}
    spelling |= {role: ", ".join(table.spelling.get(part, part) for part in names) for role, names in parts.items()}
    return replace(
        table,
        columns=(*kept, *parts),
        read=read,
        spelling=spelling,
        units={name: unit for name, unit in table.units.items() if name not in taken},
        float_columns=table.float_columns - taken,
    )


def _joined(batch: pa.RecordBatch, parts: tuple[str, ...]) -> pa.Array:
    """Return the parts' text with colons between; null where one is null, but for a sign, which is a plus then."""
    texts = {part: batch.column(part) for part in parts}
    sign = pc.fill_null(texts.pop("de-"), "") if "de-" in texts else ""
    return pc.binary_join_element_wise(sign, pc.binary_join_element_wise(*texts.values(), ":"), "")
