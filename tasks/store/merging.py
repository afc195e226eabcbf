"""Operations on a build's ledger: gather staged parts, reject rows, merge with the published one, assign array rows.

Until it is published, the ledger is memory-mapped, so memory use follows the rows being read. It has the columns of
`PLACE` besides its own.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.store import pixels
from tasks.store.columns import align_column
from tasks.store.dataset import SAMPLES, Dataset
from tasks.store.files import disk_full_named
from tasks.store.schema import REJECTED, STORED
from tasks.store.staging import Staging

PLACE = pa.schema([("staged_batch", pa.int32()), ("staged_position", pa.int32())])
"""Batch and position in it of a new row's pixels; null if the row is published or has no pixels."""

BLOCK_ROWS = 8192


def gather(staging: Staging, numbers: Iterable[int], schema: pa.Schema) -> pa.Table:
    """Return the rows of the given batches: `schema` and `PLACE`.

    Raises
    ------
    DamagedBatchError
        A batch is not as it was written.
    """
    placed = (_placed(staging.whole_ledger(number).cast(schema), number) for number in numbers)
    return _mapped(staging.folder / "gathered.arrow", pa.schema([*schema, *PLACE]), placed)


def published(parent: Dataset | None, staging: Staging) -> pa.Table | None:
    """Return the parent's ledger."""
    if parent is None:
        return None
    with pq.ParquetFile(parent.path / SAMPLES, page_checksum_verification=True) as file:
        parts = (pa.Table.from_batches([batch]) for batch in file.iter_batches(BLOCK_ROWS))
        return _mapped(staging.folder / "published.arrow", file.schema_arrow, parts)


def without_place(new: pa.Table) -> pa.Table:
    """Return rows that are not staged with the columns of `PLACE`, all null."""
    for field in PLACE:
        new = new.append_column(field, pa.nulls(new.num_rows, field.type))
    return new


def reject(ledger: pa.Table, reasons: Mapping[str, str]) -> pa.Table:
    """Return the ledger with the given ids rejected for the given reasons."""
    if not reasons:
        return ledger
    table = pa.table([pa.array(reasons, pa.string()), pa.array(reasons.values(), pa.string())], ["id", "reason"])
    reason = align_column(table, "reason", ledger["id"])
    is_rejected = pc.is_valid(reason)
    return with_columns(
        ledger,
        {
            "status": pc.if_else(is_rejected, REJECTED, ledger["status"]),
            "reason": pc.if_else(is_rejected, reason, ledger["reason"]),
            "row": pc.if_else(is_rejected, pa.scalar(None, pa.int64()), ledger["row"]),
        },
    )


def merge(old: pa.Table | None, new: pa.Table, staging: Staging) -> pa.Table:
    """Return one ledger in order of id; a new row replaces a published one that is not stored.

    Parameters
    ----------
    old : Table or None
        The parent's ledger; columns that it lacks are null in its rows.
    new : Table
        Rows with the columns of `PLACE`.
    staging : Staging
        The merged ledger is mapped from a file in its folder.

    Raises
    ------
    ValueError
        A stored row would be replaced.
    """
    keep = np.ones(new.num_rows, bool)
    if old is not None:
        replaced = pc.is_in(old["id"], new["id"].combine_chunks())
        stored = old["id"].filter(pc.and_(replaced, pc.equal(old["status"], STORED)))
        if len(stored):
            raise ValueError(f"{len(stored)} stored rows would be replaced, such as {stored[0]}")
        keep = np.concatenate([~replaced.to_numpy(), keep])
        new = pa.concat_tables([_with_fields(without_place(old), new.schema), new])
    order = pc.sort_indices(new["id"]).to_numpy()
    return _mapped(staging.folder / "merged.arrow", new.schema, _taken(new, order[keep[order]]))


def _with_fields(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a table in a schema, null in the columns that it lacks.

    Raises
    ------
    ValueError
        The table has a column that the schema lacks.
    """
    for field in schema:
        if field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(table.num_rows, field.type))
    more = [name for name in table.column_names if name not in schema.names]
    return table.select([*schema.names, *more]).cast(schema)


def next_free_row(old: pa.Table | None) -> int:
    """Return the first row of the shard after the last one of the parent's ledger."""
    last = None if old is None else pc.max(old["row"]).as_py()
    return 0 if last is None else pixels.shards_for(last + 1) * pixels.SHARD_ROWS


def give_rows(ledger: pa.Table, first_row: int) -> pa.Table:
    """Return the ledger with consecutive array rows for the stored rows without one, in order of id."""
    lacking = pc.and_(pc.equal(ledger["status"], STORED), pc.is_null(ledger["row"])).to_numpy()
    following = pa.array(first_row + np.cumsum(lacking) - 1, pa.int64())
    return with_columns(ledger, {"row": pc.if_else(pa.array(lacking), following, ledger["row"])})


def with_columns(table: pa.Table, columns: Mapping[str, pa.Array | pa.ChunkedArray | list[object]]) -> pa.Table:
    """Return `table` with columns replaced, their types kept."""
    for name, values in columns.items():
        position = table.schema.get_field_index(name)
        field = table.schema.field(position)
        column = pa.array(values, field.type) if isinstance(values, list) else values.cast(field.type)
        table = table.set_column(position, field, column)
    return table


def _placed(part: pa.Table, number: int) -> pa.Table:
    """Add `PLACE`: the pixels of a batch's stored rows are in the order of the rows."""
    stored = pc.equal(part["status"], STORED).to_numpy()
    absent = ~stored
    columns = (np.full(len(stored), number), np.cumsum(stored) - 1)
    for field, values in zip(PLACE, columns, strict=True):
        part = part.append_column(field, pa.array(values, field.type, mask=absent))
    return part


def _taken(table: pa.Table, order: np.ndarray) -> Iterator[pa.Table]:
    """Yield the rows of a table in the given order (n,), a block at a time, reading only the chunks that hold them."""
    batches = table.to_batches()
    ends = np.cumsum([batch.num_rows for batch in batches])
    for start in range(0, len(order), BLOCK_ROWS):
        rows = order[start : start + BLOCK_ROWS].astype(np.int64)
        batch_of = np.searchsorted(ends, rows, side="right")
        by_batch = np.argsort(batch_of, kind="stable")
        pieces = []
        for number in np.unique(batch_of):
            rows_of_batch = rows[by_batch][batch_of[by_batch] == number]
            batch = batches[number]
            positions = rows_of_batch - (ends[number] - batch.num_rows)
            pieces.append(pa.Table.from_batches([batch]).take(pa.array(positions)))
        yield pa.concat_tables(pieces).combine_chunks().take(pa.array(np.argsort(by_batch)))


def set_aside(table: pa.Table, staging: Staging, name: str) -> pa.Table:
    """Return a table mapped from a file in staging, so that its own memory can be freed."""
    return _mapped(staging.folder / f"{name}.arrow", table.schema, [table])


def _mapped(path: Path, schema: pa.Schema, parts: Iterable[pa.Table]) -> pa.Table:
    """Write tables into one file and return them mapped from it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # a table that is still mapped from it keeps its own
    with disk_full_named(path), pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for part in parts:
            writer.write_table(part)
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
