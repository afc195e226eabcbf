"""Ingest: published Galaxy Zoo tables in, one catalogue Parquet out, with every rejected row accounted for.

A table passes once through the reader; its converted rows wait in an uncompressed file beside the catalogue while ids
and positions alone are held in memory, and are then written without those that were rejected. Several tables are
stacked. Columns are described in `galaxy.columns`; a column is left out where no table can know it.

The Parquet's schema metadata holds ``starloom``: JSON with the name, the sources (file, sha256, kind, rows), what the
metadata filled, the rules, and the count of rejected rows by reason. Each field holds ``unit`` and ``meaning``.
"""

import hashlib
import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from galaxy.columns import BY_NAME, COLUMNS, recognise
from galaxy.conversion import converted_batches, floats
from galaxy.duplicates import RULE, reject_duplicates, row_faults
from galaxy.joining import SideTable, read_mapping, read_side_table
from galaxy.positions import galactic_latitude
from galaxy.tables import TableError, open_table

__all__ = [
    "COLUMNS",
    "FORMAT_VERSION",
    "IngestReport",
    "TableError",
    "ingest",
    "is_catalogue",
    "read_mapping",
    "read_provenance",
]

PROVENANCE_KEY = b"starloom"
FORMAT_VERSION = 1
_ROWS_A_GROUP = 32_768


@dataclass(frozen=True)
class IngestReport:
    """What came of an ingest: ``rows_in == rows + sum(rejected.values())``."""

    path: Path
    kind: str
    """The tables' kinds, joined by ``+``."""
    rows_in: int
    rows: int
    rejected: dict[str, int]
    joined: dict[str, dict[str, int]]
    """Side table's file name -> rows that found their values by id, by position, or not at all."""
    missing: dict[str, int]
    """Column -> rows that stay and have no value there; physical columns only."""


@dataclass
class _Spool:
    """One table's converted rows, waiting on disk."""

    source: dict[str, Any]
    file: Path
    schema: pa.Schema


@dataclass
class _Keys:
    """What the choice of rows needs of all rows at once."""

    ids: list[pa.Array] = field(default_factory=list)
    ra_deg: list[np.ndarray] = field(default_factory=list)
    dec_deg: list[np.ndarray] = field(default_factory=list)
    voters: list[np.ndarray] = field(default_factory=list)
    fault: list[np.ndarray] = field(default_factory=list)

    def add(self, batch: pa.RecordBatch, *, needs_position: bool) -> None:
        """Take the keys of a batch and judge each of its rows by itself."""
        ra, dec = _position(batch)
        given = np.ones(batch.num_rows, bool)
        for name in ("ra_deg", "dec_deg"):
            given &= (
                pc.is_valid(batch.column(name)).to_numpy(zero_copy_only=False) if name in batch.schema.names else False
            )
        ids = batch.column("id")
        self.ids.append(ids)
        self.ra_deg.append(ra)
        self.dec_deg.append(dec)
        self.voters.append(_voters(batch))
        self.fault.append(row_faults(ids, ra, dec, given, needs_position))

    def choose(self) -> tuple[np.ndarray, np.ndarray]:
        """Return every row's fault (empty text where it stays) and the row that stayed in its place (else -1)."""
        columns = (np.concatenate(part) for part in (self.ra_deg, self.dec_deg, self.voters, self.fault))
        return reject_duplicates(pa.concat_arrays(self.ids), *columns)


def ingest(tables: Sequence[Path], metadata: Path | None, out: Path, *, name: str | None = None) -> IngestReport:
    """Read tables into one catalogue.

    Parameters
    ----------
    tables
        Tables of a kind that `galaxy.columns.recognise` knows; a mapping of ids to asset ids among them is joined.
    metadata
        Table of redshifts, radii and magnitudes, joined on id, else on position.
    out
        The catalogue's path; it is replaced only when all is written. Rejected rows (table, row, id, reason, id of
        the row that stayed) lie beside it as ``STEM.rejected.parquet``.
    name
        The catalogue's name in its provenance, else the stem of `out`.

    Raises
    ------
    TableError
        A table that cannot be read, lacks a column, holds damaged ids, or has no rows; or no row is left.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.stem}-") as folder:
        sides, stacked = _sort_tables(tables, metadata)
        keys = _Keys()
        spools = [_spool(path, Path(folder) / str(number), sides, keys) for number, path in enumerate(stacked)]
        fault, kept = keys.choose()
        rejected = dict(sorted(Counter(fault[fault != ""].tolist()).items()))
        if not (fault == "").any():
            raise TableError(f"no row of {', '.join(p.name for p in stacked)} can be used: {rejected}")
        provenance = {
            "format_version": FORMAT_VERSION,
            "name": name or out.stem,
            "sources": [spool.source for spool in spools],
            "joined": [{**_identity(side.path), "kind": side.kind, **side.joined} for side in sides],
            "rules": {"duplicates": RULE, "gz2_class_derived": "plurality of debiased fractions, producers' ties"},
            "rejected": rejected,
        }
        finished = Path(folder) / "catalogue.parquet"
        missing = _write(finished, spools, fault == "", provenance)
        _publish(_rejections(spools, keys, fault, kept), out.with_suffix(".rejected.parquet"), Path(folder))
        finished.replace(out)
    kinds = "+".join(dict.fromkeys(spool.source["kind"] for spool in spools))
    joined = {side.path.name: side.joined for side in sides}
    return IngestReport(out, kinds, len(fault), int((fault == "").sum()), rejected, joined, missing)


def read_provenance(path: Path) -> dict[str, Any]:
    """Return the provenance that `ingest` wrote into a catalogue.

    Raises
    ------
    TableError
        The Parquet is not a catalogue.
    """
    if not is_catalogue(path):
        raise TableError(f"{path} is no catalogue: its Parquet metadata has no 'starloom'; ingest it first")
    provenance: dict[str, Any] = json.loads(pq.read_schema(path).metadata[PROVENANCE_KEY])
    return provenance


def is_catalogue(path: Path) -> bool:
    """Say whether a file is a Parquet that `ingest` wrote."""
    with path.open("rb") as stream:
        if stream.read(4) != b"PAR1":
            return False
    try:
        return PROVENANCE_KEY in (pq.read_schema(path).metadata or {})
    except pa.ArrowInvalid as error:
        raise TableError(f"table {path} cannot be read: {error}") from error


def _sort_tables(tables: Sequence[Path], metadata: Path | None) -> tuple[list[SideTable], list[Path]]:
    """Set the tables to be joined apart from those to be stacked."""
    sides = [read_side_table(metadata)] if metadata is not None else []
    stacked = []
    for path in tables:
        with open_table(path) as table:
            mapping = recognise(table).kind == "filename-mapping"
        if mapping:
            sides.append(read_side_table(path))
        else:
            stacked.append(path)
    if not stacked:
        raise TableError("no table to ingest: give at least one that has objects, not only metadata or a mapping")
    return sides, stacked


def _identity(path: Path) -> dict[str, Any]:
    with path.open("rb") as stream:
        return {"file": path.name, "sha256": hashlib.file_digest(stream, "sha256").hexdigest()}


def _spool(path: Path, file: Path, sides: list[SideTable], keys: _Keys) -> _Spool:
    """Convert a table, join what is to be joined, and put its rows aside."""
    rows, writer = 0, None
    with ExitStack() as stack:
        identity = stack.enter_context(ThreadPoolExecutor(1)).submit(_identity, path)
        table = stack.enter_context(open_table(path))
        layout = recognise(table)
        for batch in converted_batches(table, layout):
            for side in sides:
                batch = side.fill(batch)
            keys.add(batch, needs_position="ra_deg" in layout.source)
            batch = _complete(batch)
            if writer is None:
                writer = stack.enter_context(pa.ipc.new_file(str(file), batch.schema))
            writer.write_batch(batch)
            rows += batch.num_rows
    if writer is None:
        raise TableError(f"table {path} has columns but no rows")
    return _Spool({**identity.result(), "kind": layout.kind, "rows": rows}, file, batch.schema)


def _complete(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Add what follows from columns that may have been joined: galactic latitude and area ratio; ra below 360."""
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    ra, dec = _position(batch)
    if "ra_deg" in columns:
        columns["ra_deg"] = pa.array(ra % 360, from_pandas=True)
        columns["galactic_latitude_deg"] = pa.array(galactic_latitude(ra, dec), from_pandas=True)
    if {"petro_r90_arcsec", "psf_fwhm_arcsec"} <= set(columns):
        diameters = pc.divide(pc.multiply(columns["petro_r90_arcsec"], 2.0), columns["psf_fwhm_arcsec"])
        given = columns.get("area_ratio", pa.nulls(batch.num_rows, pa.float64()))
        columns["area_ratio"] = pc.coalesce(given, pc.multiply(diameters, diameters))
    return pa.record_batch(columns)


def _position(batch: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray]:
    """Return right ascension and declination, float64 (rows,), NaN where the table has none."""
    names = set(batch.schema.names)
    ra, dec = (
        floats(batch.column(n)) if n in names else np.full(batch.num_rows, np.nan) for n in ("ra_deg", "dec_deg")
    )
    return ra, dec


def _voters(batch: pa.RecordBatch) -> np.ndarray:
    """Return the number of voters, float64 (rows,), -1 where unknown."""
    names = ("total_classifications", "total_votes", "gz1_votes")
    known = [batch.column(name) for name in names if name in batch.schema.names]
    return floats(pc.fill_null(pc.coalesce(*known), -1)) if known else np.full(batch.num_rows, -1.0)


def _schema(spools: list[_Spool], provenance: dict[str, Any]) -> pa.Schema:
    """Unite the spools' columns, the catalogue's own first and in their order, with units and provenance."""
    present = {item.name: item.type for spool in spools for item in spool.schema}
    names = [name for name in BY_NAME if name in present] + [name for name in present if name not in BY_NAME]
    fields = []
    for name in names:
        column = BY_NAME.get(name)
        about = (
            {"unit": column.unit, "meaning": column.meaning} if column else {"unit": "", "meaning": "the table's own"}
        )
        fields.append(pa.field(name, present[name], metadata=about))
    return pa.schema(fields, metadata={PROVENANCE_KEY: json.dumps(provenance)})


def _write(path: Path, spools: list[_Spool], stays: np.ndarray, provenance: dict[str, Any]) -> dict[str, int]:
    """Write the rows that stay; return the number of missing values by physical column."""
    schema = _schema(spools, provenance)
    physical = [item.name for item in schema if pa.types.is_float64(item.type)]
    missing = dict.fromkeys(physical, 0)
    with pq.ParquetWriter(path, schema, compression="snappy") as writer:
        for group in _groups(_kept_batches(spools, stays, schema), schema):
            writer.write_table(group, row_group_size=_ROWS_A_GROUP)
            for name in physical:
                missing[name] += group[name].null_count
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())
    return {name: count for name, count in missing.items() if count}


def _kept_batches(spools: list[_Spool], stays: np.ndarray, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yield the spooled batches without rejected rows, each with all columns of the catalogue."""
    start = 0
    for spool in spools:
        with pa.OSFile(str(spool.file)) as stream, pa.ipc.open_file(stream) as reader:
            for number in range(reader.num_record_batches):
                batch = reader.get_batch(number)
                mask = stays[start : start + batch.num_rows]
                start += batch.num_rows
                batch = batch if mask.all() else batch.filter(pa.array(mask))
                nulls = {f.name: pa.nulls(batch.num_rows, f.type) for f in schema if f.name not in batch.schema.names}
                columns = [nulls[f.name] if f.name in nulls else batch.column(f.name) for f in schema]
                yield pa.record_batch(columns, schema=schema)


def _groups(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """Gather batches until they fill a row group."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(item.num_rows for item in waiting) >= _ROWS_A_GROUP:
            yield pa.Table.from_batches(waiting, schema)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting, schema)


def _rejections(spools: list[_Spool], keys: _Keys, fault: np.ndarray, kept: np.ndarray) -> pa.Table:
    """List the rejected rows: table, row in that table (from 0), id, reason, id of the row that stayed."""
    rows = np.flatnonzero(fault != "")
    starts = np.cumsum([0, *(spool.source["rows"] for spool in spools)])
    table = np.searchsorted(starts, rows, side="right") - 1
    ids = pa.concat_arrays(keys.ids)
    return pa.table(
        {
            "table": pa.array([spools[number].source["file"] for number in table], pa.string()),
            "row": pa.array(rows - starts[table], pa.int64()),
            "id": ids.take(pa.array(rows)),
            "reason": pa.array(fault[rows], pa.string()),
            "kept": ids.take(pa.array(kept[rows], mask=kept[rows] < 0)),
        }
    )


def _publish(table: pa.Table, path: Path, folder: Path) -> None:
    """Put a table in place whole, or take an earlier one away where there is nothing to say."""
    if table.num_rows == 0:
        path.unlink(missing_ok=True)
        return
    pq.write_table(table, folder / path.name)
    (folder / path.name).replace(path)
