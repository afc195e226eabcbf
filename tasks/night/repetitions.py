"""Candidates of a night that come more than once: with the same stamp they are scored and written once."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tasks.records.repetitions import PlaceOf, different_error
from tasks.store.files import whole_file


def unique_parts(parts: Sequence[Path], places_of: PlaceOf) -> tuple[list[Path], list[str]]:
    """Return part files without further rows of an id, beside the given ones, and the ids of the rows left out.

    The ids of a night are held in memory, some 20 bytes for each candidate.

    Parameters
    ----------
    parts : sequence of Path
        Part files (`tasks.night.scoring.RAW`), in order.
    places_of : PlaceOf
        Finds where two rows stand, for the error.

    Raises
    ------
    SourceError
        Two rows of one id have different stamps.
    """
    tables = [pq.read_table(path, columns=["id"])["id"].combine_chunks() for path in parts]
    ids = pa.concat_arrays(tables) if tables else pa.array([], pa.string())
    if pc.count_distinct(ids).as_py() == len(ids):
        return list(parts), []
    codes = ids.dictionary_encode().indices.to_numpy()
    _, first = np.unique(codes, return_index=True)
    keep = np.zeros(len(ids), bool)
    keep[first] = True
    _require_same(parts, ids, codes, keep, places_of)
    ends = np.cumsum([len(table) for table in tables])
    kept = [keep[end - len(table) : end] for table, end in zip(tables, ends, strict=True)]
    repeated_ids = ids.filter(pa.array(~keep)).to_pylist()
    return [_without(path, rows) for path, rows in zip(parts, kept, strict=True)], repeated_ids


def _require_same(
    parts: Sequence[Path], ids: pa.Array, codes: NDArray[np.int64], keep: NDArray[np.bool_], places_of: PlaceOf
) -> None:
    """Refuse the first two rows of one id whose stamps differ."""
    facts = pa.concat_tables(pq.read_table(path, columns=["stamp_sha256", "block"]) for path in parts)
    repeated = np.isin(codes, codes[~keep])
    rows = np.flatnonzero(repeated)
    shown = facts.take(pa.array(rows)).to_pydict()
    first: dict[int, tuple[str, int]] = {}
    for row, stamp, block in zip(rows, shown["stamp_sha256"], shown["block"], strict=True):
        earlier = first.setdefault(int(codes[row]), (stamp, block))
        if earlier[0] != stamp:
            name = ids[int(row)].as_py()
            raise different_error(name, "pixels", places_of(name, [earlier[1], block]))


def _without(path: Path, keep: NDArray[np.bool_]) -> Path:
    if keep.all():
        return path
    target = path.with_name(f"unique-{path.name}")
    with whole_file(target) as unfinished:
        pq.write_table(pq.read_table(path).filter(pa.array(keep)), unfinished, compression="zstd")
    return target
