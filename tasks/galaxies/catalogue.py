"""Ingest: published Galaxy Zoo tables in, one catalogue Parquet out, with every rejected row accounted for.

Tables are stacked in the order given. Rows pass once: read, converted, joined with metadata, checked, written; only ids
and positions are held for all rows. `galaxy.catalogue.columns` describes the columns; unknown ones are left out.

The Parquet's metadata holds ``starloom``: JSON with the name, the sources (file, sha256, kind, rows), what the metadata
filled, the rules, and the count of rejected rows by reason. Each field holds ``unit`` and ``meaning``.
"""

import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from galaxy.catalogue.columns import COLUMNS
from galaxy.catalogue.conversion import empty_batch, floats
from galaxy.catalogue.duplicates import RULE, DuplicateFilter
from galaxy.catalogue.errors import CatalogueError
from galaxy.catalogue.positions import galactic_latitude
from galaxy.catalogue.writing import PROVENANCE_KEY, CatalogueWriter, united_schema
from tasks.galaxies.joining import JoinedTable, read_joined_table, read_mapping
from tasks.galaxies.table_rows import open_rows

__all__ = [
    "COLUMNS",
    "FORMAT_VERSION",
    "CatalogueError",
    "IngestReport",
    "ingest",
    "is_catalogue",
    "read_mapping",
    "read_provenance",
]

FORMAT_VERSION = 1
_RULES = {"duplicates": RULE, "gz2_class_derived": "plurality of debiased fractions, the producers' ties"}
_REJECTION = pa.schema(
    [("table", pa.string()), ("row", pa.int64()), ("id", pa.string()), ("reason", pa.string()), ("kept", pa.string())]
)


@dataclass(frozen=True)
class IngestReport:
    """The account of an ingest: ``rows_in == rows + sum(rejected.values())``."""

    path: Path
    kind: str
    """The tables' kinds, joined by ``+``."""
    rows_in: int
    rows: int
    rejected: dict[str, int]
    joined: dict[str, dict[str, int]]
    """File name of a joined table -> catalogue rows matched by id, by position, or not at all."""
    missing: dict[str, int]
    """Physical column -> accepted rows without a value there."""


def ingest(tables: Sequence[Path], metadata: Path | None, out: Path, *, name: str | None = None) -> IngestReport:
    """Read tables into one catalogue.

    Parameters
    ----------
    tables
        Tables of a kind that `columns.recognise` knows; a file-name mapping among them is joined.
    metadata
        Table of redshifts, radii and magnitudes, joined on id, else on position.
    out
        The catalogue's path, replaced only when everything is written. Rejected rows (table, row, id, reason, id of
        the accepted duplicate) go to a file of the same name in the folder ``rejected`` beside it.
    name
        The catalogue's name in its provenance, else the stem of `out`.

    Raises
    ------
    CatalogueError
        A table that cannot be read, lacks a column, holds damaged ids, or has no rows; or no row is left.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    sides, stacked = _sort_tables(tables, metadata)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.stem}-") as folder:
        finished = Path(folder) / "catalogue.parquet"
        rejections = _Rejections()
        with CatalogueWriter(finished, _schema(stacked, sides)) as writer:
            sources = [_stack(path, sides, rejections, writer) for path in stacked]
            if writer.rows == 0:
                raise CatalogueError(
                    f"no row of {', '.join(path.name for path in stacked)} can be used: {rejections.counts()}"
                )
            provenance = {
                "format_version": FORMAT_VERSION,
                "name": name or out.stem,
                "sources": sources,
                "joined": [{**_identity(side.path), "kind": side.kind, **side.joined} for side in sides],
                "rules": _RULES,
                "rejected": rejections.counts(),
            }
            missing = writer.finish(provenance)
        rejections.publish(out.parent / "rejected" / out.name, Path(folder))
        finished.replace(out)
    kinds = "+".join(dict.fromkeys(source["kind"] for source in sources))
    rows_in = sum(source["rows"] for source in sources)
    joined = {side.path.name: side.joined for side in sides}
    return IngestReport(out, kinds, rows_in, writer.rows, rejections.counts(), joined, missing)


def read_provenance(path: Path) -> dict[str, Any]:
    """Return the provenance that `ingest` wrote into a catalogue.

    Raises
    ------
    CatalogueError
        The Parquet is not a catalogue.
    """
    if not is_catalogue(path):
        raise CatalogueError(f"{path} is no catalogue: its Parquet metadata has no 'starloom'; ingest it first")
    provenance: dict[str, Any] = json.loads(pq.read_metadata(path).metadata[PROVENANCE_KEY.encode()])
    return provenance


def is_catalogue(path: Path) -> bool:
    """Say whether a file is a Parquet that `ingest` wrote."""
    with path.open("rb") as stream:
        if stream.read(4) != b"PAR1":
            return False
    try:
        return PROVENANCE_KEY.encode() in (pq.read_metadata(path).metadata or {})
    except pa.ArrowInvalid as error:
        raise CatalogueError(f"table {path} cannot be read: {error}") from error


class _Rejections:
    """Rejected rows: table, row in it (from 0), id, reason, id of the accepted duplicate."""

    def __init__(self) -> None:
        self._duplicates = DuplicateFilter()
        self._listed: list[dict[str, Any]] = []

    def filter(self, batch: pa.RecordBatch, table: str, start: int, *, needs_position: bool) -> pa.RecordBatch:
        """Return the accepted rows of a batch and list the others."""
        ra, dec = _position(batch)
        has_position = np.ones(batch.num_rows, bool)
        for name in ("ra_deg", "dec_deg"):
            has_position &= (
                pc.is_valid(batch.column(name)).to_numpy(zero_copy_only=False) if name in batch.schema.names else False
            )
        ids = batch.column("id")
        fault, accepted_id = self._duplicates.check(ids, ra, dec, has_position, position_required=needs_position)
        rejected = np.flatnonzero(fault != "")
        for row in rejected.tolist():
            entry = {
                "table": table,
                "row": start + row,
                "id": ids[row].as_py(),
                "reason": fault[row],
                "kept": accepted_id[row],
            }
            self._listed.append(entry)
        return batch.filter(pa.array(fault == "")) if len(rejected) else batch

    def counts(self) -> dict[str, int]:
        """Count the rejected rows by reason."""
        return dict(sorted(Counter(item["reason"] for item in self._listed).items()))

    def publish(self, path: Path, folder: Path) -> None:
        """Write the list in one step, or remove an earlier one where no row is rejected."""
        if not self._listed:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(exist_ok=True)
        pq.write_table(pa.Table.from_pylist(self._listed, _REJECTION), folder / path.name)
        (folder / path.name).replace(path)


def _sort_tables(tables: Sequence[Path], metadata: Path | None) -> tuple[list[JoinedTable], list[Path]]:
    """Separate the tables to be joined from those to be stacked."""
    joined = [read_joined_table(metadata)] if metadata is not None else []
    stacked = []
    for path in tables:
        with open_rows(path) as rows:
            mapping = rows.layout.kind == "filename-mapping"
        if mapping:
            joined.append(read_joined_table(path))
        else:
            stacked.append(path)
    if not stacked:
        raise CatalogueError("no table to ingest: give at least one that has objects, not only metadata or a mapping")
    return joined, stacked


def _schema(tables: Sequence[Path], sides: Sequence[JoinedTable]) -> pa.Schema:
    """Return the catalogue's schema, found by passing empty batches through all steps."""
    schemas = []
    for path in tables:
        with open_rows(path) as rows:
            batch = empty_batch(rows.layout)
        for side in sides:
            batch = side.fill(batch)
        schemas.append(_complete(batch).schema)
    return united_schema(schemas)


def _stack(path: Path, sides: list[JoinedTable], rejections: _Rejections, writer: CatalogueWriter) -> dict[str, Any]:
    """Write a table's rows into the catalogue; return the table's entry of the provenance."""
    count = 0
    with ThreadPoolExecutor(1) as thread, open_rows(path) as rows:
        identity = thread.submit(_identity, path)
        for batch in rows.batches():
            for side in sides:
                batch = side.fill(batch)
            accepted = rejections.filter(batch, path.name, count, needs_position="ra_deg" in rows.layout.source)
            writer.write(_complete(accepted))
            count += batch.num_rows
    if count == 0:
        raise CatalogueError(f"table {path} has columns but no rows")
    return {**identity.result(), "kind": rows.layout.kind, "rows": count}


def _identity(path: Path) -> dict[str, Any]:
    with path.open("rb") as stream:
        return {"file": path.name, "sha256": hashlib.file_digest(stream, "sha256").hexdigest()}


def _complete(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Add galactic latitude and area ratio, which may follow from joined columns; bring ra below 360."""
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    ra, dec = _position(batch)
    if "ra_deg" in columns:
        columns["ra_deg"] = pa.array(ra % 360, from_pandas=True)
        columns["galactic_latitude_deg"] = pa.array(galactic_latitude(ra, dec), from_pandas=True)
    if {"petro_r90_arcsec", "psf_fwhm_arcsec"} <= set(columns):
        diameters = pc.divide(pc.multiply(columns["petro_r90_arcsec"], 2.0), columns["psf_fwhm_arcsec"])
        measured = columns.get("area_ratio", pa.nulls(batch.num_rows, pa.float64()))
        columns["area_ratio"] = pc.coalesce(measured, pc.multiply(diameters, diameters))
    return pa.record_batch(columns)


def _position(batch: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray]:
    """Return right ascension and declination in degrees, float64 (rows,), NaN where missing."""
    names = set(batch.schema.names)
    ra, dec = (
        floats(batch.column(n)) if n in names else np.full(batch.num_rows, np.nan) for n in ("ra_deg", "dec_deg")
    )
    return ra, dec
