"""Ledger arithmetic of a build: gather staged parts, reject, merge with what is published, give out rows."""

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tasks.store import pixels
from tasks.store.schema import REJECTED, STORED
from tasks.store.staging import Staging


def gather(staging: Staging, numbers: Iterable[int], schema: pa.Schema) -> tuple[pa.Table, dict[str, tuple[int, int]]]:
    """Return the ledger rows of the given batches and, by id, where each stored sample is staged."""
    parts = [schema.empty_table()]
    places: dict[str, tuple[int, int]] = {}
    for number in numbers:
        part = staging.ledger(number)
        parts.append(part.cast(schema))
        stored = part.filter(pc.equal(part["status"], STORED))["id"].to_pylist()
        places.update({sample_id: (number, position) for position, sample_id in enumerate(stored)})
    return pa.concat_tables(parts), places


def reject(ledger: pa.Table, reasons: Mapping[str, str]) -> pa.Table:
    """Return the ledger with the given ids rejected for the given reasons."""
    if not reasons:
        return ledger
    ids = ledger["id"].to_pylist()
    status = [REJECTED if sample_id in reasons else old for sample_id, old in _paired(ids, ledger["status"])]
    reason = [reasons.get(sample_id, old) for sample_id, old in _paired(ids, ledger["reason"])]
    row = [None if sample_id in reasons else old for sample_id, old in _paired(ids, ledger["row"])]
    return with_columns(ledger, {"status": status, "reason": reason, "row": row})


def merge(published: pa.Table | None, new: pa.Table) -> pa.Table:
    """Return one ledger in order of id; a new row takes the place of a published one that is not stored.

    Raises
    ------
    ValueError
        A stored row would be replaced.
    """
    if published is not None:
        replaced = published.filter(pc.is_in(published["id"], new["id"].combine_chunks()))
        lost = replaced.filter(pc.equal(replaced["status"], STORED))["id"].to_pylist()
        if lost:
            raise ValueError(f"{len(lost)} stored rows would be replaced, such as {lost[0]}")
        kept = published.filter(pc.invert(pc.is_in(published["id"], new["id"].combine_chunks())))
        new = pa.concat_tables([kept.cast(new.schema), new])
    return new.sort_by("id").combine_chunks()


def next_free_row(published: pa.Table | None) -> int:
    """Return the first row of the shard after the last published one."""
    last = None if published is None else pc.max(published["row"]).as_py()
    return 0 if last is None else pixels.shards_for(last + 1) * pixels.SHARD_ROWS


def give_rows(ledger: pa.Table, first_row: int) -> pa.Table:
    """Give the stored rows that have none consecutive array rows, in order of id."""
    rows: list[int | None] = []
    following = first_row
    for status, row in zip(ledger["status"].to_pylist(), ledger["row"].to_pylist(), strict=True):
        if status == STORED and row is None:
            row, following = following, following + 1
        rows.append(row)
    return with_columns(ledger, {"row": rows})


def with_columns(table: pa.Table, columns: Mapping[str, list[Any]]) -> pa.Table:
    """Return `table` with columns replaced by lists, their types kept."""
    for name, values in columns.items():
        position = table.schema.get_field_index(name)
        field = table.schema.field(position)
        table = table.set_column(position, field, pa.array(values, field.type))
    return table


def _paired(ids: list[str], column: pa.ChunkedArray) -> Iterable[tuple[str, Any]]:
    return zip(ids, column.to_pylist(), strict=True)
