"""Ingest: published Galaxy Zoo tables in, one catalogue Parquet out, with every rejected row accounted for.

Tables are stacked in the order given. Rows pass once: read, converted, joined with metadata, checked, written; only ids
and positions are held for all rows. `galaxy.catalogue.columns` describes the columns; others are kept as text.

The Parquet's metadata holds ``starloom``: JSON with the name, the sources (file, sha256, kind, rows), what the metadata
filled, the rules, the count of rejected rows by reason, and the account of the tables' columns
(`tasks.ingest.column_account`). Each field holds ``unit`` and ``meaning``.
"""

import hashlib
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from galaxy.catalogue.conversion import empty_batch, floats
from galaxy.catalogue.duplicates import RULE, DuplicateFilter
from galaxy.catalogue.errors import CatalogueError
from galaxy.catalogue.identifiers import LONGEST_ID
from galaxy.catalogue.layouts import MAPPING, Layout
from galaxy.catalogue.positions import galactic_latitude
from galaxy.catalogue.writing import CatalogueWriter, united_schema
from tasks.ingest.column_account import ColumnAccount, MissingRows, account_of, merge_accounts
from tasks.ingest.joining import SHOWN_IDS, JoinedTable, read_joined_table
from tasks.ingest.table_rows import named_columns, open_rows, require_named
from tasks.tables.table_files import TableFile, open_table

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
    columns: dict[str, Any] = field(default_factory=dict)
    """The account of the columns: `tasks.ingest.column_account.ACCOUNT_KEYS`."""

    @property
    def missing(self) -> dict[str, int]:
        """Rows without a value by role and by physical column."""
        missing: dict[str, int] = self.columns["missing"]
        return missing


def rejected_rows(catalog: Path) -> Path:
    """Return where the rejected rows of a catalogue are."""
    return catalog.parent / "rejected" / catalog.name


def ingest(
    tables: Sequence[Path],
    metadata: Path | None,
    out: Path,
    *,
    name: str | None = None,
    columns: Mapping[str, str] | None = None,
) -> IngestReport:
    """Read tables into one catalogue.

    Parameters
    ----------
    tables
        Tables of a kind that `galaxy.catalogue.layouts` knows; a file-name mapping among them is joined.
    metadata
        Table of redshifts, radii and magnitudes, joined on id, else on position.
    out
        The catalogue's path, replaced only when everything is written. Rejected rows (table, row, id, reason, id of
        the accepted duplicate) go to a file of the same name in the folder ``rejected`` beside it.
    name
        The catalogue's name in its provenance, else the stem of `out`.
    columns
        Role or catalogue column -> column of the tables, used in those that have it.

    Raises
    ------
    CatalogueError
        A table lacks what its rows are known by, holds damaged ids, or has no rows; or no row is left.
    TableError
        A table cannot be read.
    ColumnRoleError
        Two columns for one role, or `columns` names none.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    named = named_columns(columns)
    sides, stacked = _sort_tables(tables, metadata, named)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.stem}-") as folder:
        finished = Path(folder) / "catalogue.parquet"
        stack = _Stack(sides, named)
        with CatalogueWriter(finished, stack.schema(stacked)) as writer:
            sources = [stack.write(path, writer) for path in stacked]
            rejected = stack.rejections.counts()
            if writer.rows == 0:
                why = "; ".join([str(rejected), *stack.rejections.notes()])
                raise CatalogueError(f"no row of {', '.join(path.name for path in stacked)} can be used: {why}")
            account = stack.account()
            report = account.summary(stack.missing.count(account.understood, writer.nulls, writer.rows))
            told = (note for side in sides for note in side.notes())
            report["notes"] = [*report["notes"], *told, *stack.rejections.notes()]
            provenance = {
                "format_version": FORMAT_VERSION,
                "name": name or out.stem,
                "sources": sources,
                "joined": [{**_identity(side.path), "kind": side.kind, **side.joined} for side in sides],
                "rules": _RULES,
                "rejected": rejected,
            }
            writer.finish(provenance | report)
        stack.rejections.publish(rejected_rows(out), Path(folder))
        finished.replace(out)
    kinds = "+".join(dict.fromkeys(source["kind"] for source in sources))
    rows_in = sum(source["rows"] for source in sources)
    joined = {side.path.name: side.joined for side in sides}
    return IngestReport(out, kinds, rows_in, writer.rows, rejected, joined, report)


class _Rejections:
    """Rejected rows: table, row in it (from 0), id, reason, id of the accepted duplicate."""

    def __init__(self) -> None:
        self._duplicates = DuplicateFilter()
        self._listed: list[dict[str, Any]] = []
        self.unread: list[str] = []
        """Angles that cannot be read, the first of each table, with their columns."""

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

    def notes(self) -> list[str]:
        """Return a line on the unsafe ids and one on the unreadable positions, with the first; none without any."""
        return [*self._note_ids(), *self._note_positions()]

    def _note_positions(self) -> list[str]:
        count = self.counts().get("position_unreadable", 0)
        if not count:
            return []
        shown = f", such as {', '.join(self.unread)}" if self.unread else ""  # not those of a joined table
        return [
            f"{count} rows rejected, their positions cannot be read{shown}: "
            "give decimal degrees, or hh:mm:ss and dd:mm:ss"
        ]

    def _note_ids(self) -> list[str]:
        unsafe = [item for item in self._listed if item["reason"] == "id_unsafe"]
        if not unsafe:
            return []
        shown = ", ".join(
            f"{item['id'][: LONGEST_ID // 2]!r} (row {item['row']} of {item['table']}, from 0)"
            for item in unsafe[:SHOWN_IDS]
        )
        return [
            f"{len(unsafe)} rows rejected, their ids cannot name files: {shown}{', ...' * (len(unsafe) > SHOWN_IDS)}; "
            f"an id has letters, digits, '_', '+', '-' and single dots inside, at most {LONGEST_ID} of them"
        ]

    def publish(self, path: Path, folder: Path) -> None:
        """Write the list in one step, or remove an earlier one where no row is rejected."""
        if not self._listed:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(exist_ok=True)
        pq.write_table(pa.Table.from_pylist(self._listed, _REJECTION), folder / path.name)
        (folder / path.name).replace(path)


class _Stack:
    """The steps that each table's rows pass on their way into the catalogue, and what they leave to report."""

    def __init__(self, sides: Sequence[JoinedTable], named: Mapping[str, str]) -> None:
        self.rejections = _Rejections()
        self.missing = MissingRows()
        self._sides, self._named = sides, named
        self._accounts: list[tuple[Path, ColumnAccount]] = []

    def schema(self, tables: Sequence[Path]) -> pa.Schema:
        """Return the catalogue's schema, found by passing empty batches through all steps."""
        schemas = []
        for path in tables:
            with open_rows(path, self._named) as rows:
                schemas.append(_complete(self._filled(empty_batch(rows.layout))).schema)
                self._accounts.append((path, account_of(rows)))
        return united_schema(schemas)

    def account(self) -> ColumnAccount:
        """Return the account of the columns of all tables, the joined ones last."""
        return merge_accounts([*self._accounts, *((side.path, side.account) for side in self._sides)])

    def write(self, path: Path, writer: CatalogueWriter) -> dict[str, Any]:
        """Write a table's rows into the catalogue; return the table's entry of the provenance."""
        count = 0
        with ThreadPoolExecutor(1) as thread, open_rows(path, self._named) as rows:
            identity = thread.submit(_identity, path)
            for batch in rows.batches():
                batch = self._filled(batch)
                self.missing.see(batch)
                placed = "ra_deg" in rows.layout.source
                accepted = self.rejections.filter(batch, path.name, count, needs_position=placed)
                writer.write(_complete(accepted))
                count += batch.num_rows
        self.rejections.unread += rows.unread.shown
        if count == 0:
            raise CatalogueError(f"table {path} has columns but no rows")
        return {**identity.result(), "kind": rows.layout.kind, "rows": count}

    def _filled(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        for side in self._sides:
            batch = side.fill(batch)
        return batch


def _sort_tables(
    tables: Sequence[Path], metadata: Path | None, named: Mapping[str, str]
) -> tuple[list[JoinedTable], list[Path]]:
    """Separate the tables to be joined from those to be stacked.

    A table of ids and files alone is joined to others as a mapping is. A mapping with columns of its own is stacked
    where it is the only table: its columns are labels then.
    """
    opened: list[TableFile] = []
    layouts: list[tuple[Path, Layout]] = []
    for path in tables:
        with open_rows(path, named) as rows:
            opened.append(rows.table)
            layouts.append((path, rows.layout))
    if metadata is not None:
        with open_table(metadata) as table:
            opened.append(table)
    objects = [(path, layout) for path, layout in layouts if layout.kind != MAPPING]
    stacked = [path for path, layout in objects if not _names_files_alone(layout)] or [path for path, _ in objects]
    stacked = stacked or [path for path, layout in layouts if layout.extra]
    sides = [metadata] if metadata is not None else []
    sides += [path for path, _ in layouts if path not in stacked]
    require_named(named, opened)
    joined = [read_joined_table(path, named) for path in sides]
    if not stacked:
        raise CatalogueError("no table to ingest: give at least one that has objects, not only metadata or a mapping")
    return joined, stacked


def _names_files_alone(layout: Layout) -> bool:
    return set(layout.source) == {"id", "file"} and not layout.extra


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
