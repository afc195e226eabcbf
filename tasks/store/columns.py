"""Columns of tables as NumPy arrays, and columns and rows in the order of given ids."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Column: TypeAlias = pa.Array | pa.ChunkedArray
Ids: TypeAlias = Sequence[str] | pa.Array | pa.ChunkedArray


def to_float(column: Column) -> NDArray[np.float64]:
    """Return a column of numbers or booleans, (n,); NaN where it is null."""
    return np.asarray(pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False), np.float64)


def to_bool(column: Column) -> NDArray[np.bool_]:
    """Return a column of booleans, (n,); False where it is null."""
    return np.asarray(pc.fill_null(column, False).to_numpy(zero_copy_only=False), np.bool_)


def to_text(column: Column) -> NDArray[np.str_]:
    """Return a column of text, (n,); empty where it is null."""
    return np.array(pc.fill_null(column, "").to_pylist(), np.str_)


def align_column(table: pa.Table, name: str, ids: Ids, key: str = "id") -> pa.ChunkedArray:
    """Return a column of `table` in the order of `ids`, null where no row has the id.

    Parameters
    ----------
    table : Table
        Columns `key` (text) and `name`; of rows with the same key the first counts.
    name : str
    ids : (n,) text
        An id may be repeated.
    key : str
        Column that holds the ids.
    """
    return table[name].take(_index(ids, table[key]))


def align_rows(table: pa.Table, ids: Ids) -> pa.Table:
    """Return the rows of `table` (column ``id``, each once) in the order of `ids`; all null where no row has the id."""
    return table.take(_index(ids, table["id"]))


def select_ids(table: pa.Table, ids: Ids) -> pa.Table:
    """Return the rows of `table` (column ``id``) whose id is among `ids`, in their order."""
    return table.filter(pc.is_in(table["id"], _combined(_text(ids))))


def drop_ids(table: pa.Table, ids: Ids) -> pa.Table:
    """Return the rows of `table` (column ``id``) whose id is not among `ids`, in their order."""
    return table.filter(pc.invert(pc.is_in(table["id"], _combined(_text(ids)))))


def positions_of(values: Ids, ids: Ids) -> NDArray[np.int64]:
    """Return the position of each of `values` in `ids`, (n,); -1 where it is absent."""
    return np.asarray(pc.fill_null(_index(values, ids), -1).to_numpy(zero_copy_only=False), np.int64)


def _index(values: Ids, among: Ids) -> pa.Array | pa.ChunkedArray:
    return pc.index_in(_text(values), _combined(_text(among)))


def _text(values: Ids) -> pa.Array | pa.ChunkedArray:
    return values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, pa.string())


def _combined(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
