"""Metadata joined to catalogue rows: by object id, else by position within 2 arcsec (ids of another release)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.spatial import cKDTree

from galaxy.catalogue.columns import EXTINCTION
from galaxy.catalogue.conversion import floats
from galaxy.catalogue.errors import CatalogueError
from galaxy.catalogue.identifiers import ROW_NUMBER
from galaxy.catalogue.positions import chord, unit_vectors
from tasks.ingest.column_account import ColumnAccount, account_of
from tasks.ingest.table_rows import open_rows

MATCH_RADIUS_ARCSEC = 2.0
ANOTHER_OBJECT_ARCSEC = 60.0
"""Rows of one id that lie further apart are of two objects, where the id may be a row's number; the long ids of surveys
go before a position whatever it is."""

SHOWN_IDS = 3
"""Ids in a note on some of a table's rows."""

NOT_JOINED: Mapping[str, str] = {"sample": "the name of a table's sample is not joined to another table's rows"}
"""Column that stays with its table -> why."""


@dataclass
class JoinedTable:
    """A table whose values fill the missing values of catalogue rows; the rows' own values stay."""

    path: Path
    kind: str
    rows: pa.Table
    """Column ``id``, null where the table has none, and those that are joined; one row for each id (the first)."""
    account: ColumnAccount = field(default_factory=ColumnAccount)
    joined: dict[str, int] = field(default_factory=lambda: {"by_id": 0, "by_position": 0, "neither": 0})
    """Catalogue rows so far, by how they were matched."""
    faults: tuple[str, ...] = ()
    """What is wrong with some of its rows."""

    def notes(self) -> tuple[str, ...]:
        """Say what is wrong with some of its rows, and once rows were filled whether it matched none of them."""
        matched = self.joined["by_id"] + self.joined["by_position"]
        unused = ("it fills no row: no object has an id or a position of its rows",) if not matched else ()
        return tuple(f"{self.path.name}: {note}" for note in (*self.faults, *unused))

    def __post_init__(self) -> None:
        self._ids = self.rows["id"].combine_chunks()
        self._vectors: np.ndarray | None = None
        self._tree: cKDTree | None = None
        if {"ra_deg", "dec_deg"} <= set(self.rows.column_names):
            self._vectors = unit_vectors(floats(self.rows["ra_deg"]), floats(self.rows["dec_deg"]))
            self._placed = np.flatnonzero(np.isfinite(self._vectors).all(axis=1))
            self._tree = cKDTree(self._vectors[self._placed]) if len(self._placed) else None

    def fill(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the batch with missing values filled and missing columns added."""
        match = pc.index_in(batch.column("id"), self._ids, skip_nulls=True).fill_null(-1).to_numpy().astype(np.int64)
        if self._tree is not None and {"ra_deg", "dec_deg"} <= set(batch.schema.names):
            vectors = unit_vectors(floats(batch.column("ra_deg")), floats(batch.column("dec_deg")))
            match[self._is_another(batch.column("id"), match, vectors)] = -1
            by_id = match >= 0
            match[~by_id] = self._nearest(vectors[~by_id])
        else:
            by_id = match >= 0
        self.joined["by_id"] += int(by_id.sum())
        self.joined["by_position"] += int((match[~by_id] >= 0).sum())
        self.joined["neither"] += int((match < 0).sum())
        where = pa.array(match, mask=match < 0)
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        for name in self.rows.column_names[1:]:
            values = self.rows[name].combine_chunks().take(where)
            columns[name] = pc.coalesce(columns[name], values) if name in columns else values
        return pa.record_batch(columns)

    def _is_another(self, ids: pa.Array, match: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        """Return which rows have a row's number for an id and lie far from the row with it here; bool (rows,)."""
        assert self._vectors is not None
        number = pc.fill_null(pc.match_substring_regex(ids, ROW_NUMBER), False).to_numpy(zero_copy_only=False)
        apart = np.linalg.norm(vectors - self._vectors[match], axis=1)  # NaN where a position is missing
        return number & (match >= 0) & (apart > chord(ANOTHER_OBJECT_ARCSEC))

    def _nearest(self, vectors: np.ndarray) -> np.ndarray:
        """Return the row of this table within the radius of each position (n, 3), else -1."""
        nearest = np.full(len(vectors), -1, np.int64)
        placed = np.flatnonzero(np.isfinite(vectors).all(axis=1))
        if self._tree is not None and len(placed):
            distance, index = self._tree.query(vectors[placed])
            near = distance <= chord(MATCH_RADIUS_ARCSEC)
            nearest[placed[near]] = self._placed[index[near]]
        return nearest


def read_joined_table(path: Path, named: Mapping[str, str] | None = None) -> JoinedTable:
    """Read a metadata table or an archive's mapping of ids to asset ids.

    Parameters
    ----------
    path : Path
    named : mapping of str to str, optional
        See `tasks.ingest.table_rows.open_rows`.

    Raises
    ------
    CatalogueError
        The file has no column to join, or neither ids nor positions.
    """
    with open_rows(path, named) as rows:
        layout = rows.layout
        joined = [name for name in layout.source if name not in (*NOT_JOINED, EXTINCTION)]
        keys = {"id", "ra_deg", "dec_deg"} | (set() if "id" in joined else {"file"})
        if not layout.extra and set(joined) <= keys:
            raise CatalogueError(
                f"metadata {path} has none of the columns redshift, petroR90_r, petroMag_r, ... and no other to join; "
                f"it has {', '.join(rows.table.columns)}"
            )
        batches = list(rows.batches())
        account = account_of(rows, NOT_JOINED)
        unread = rows.unread.shown
    if not batches:
        raise CatalogueError(f"metadata {path} has no rows")
    table = pa.Table.from_batches(batches).drop_columns(
        [name for name in NOT_JOINED if name in batches[0].schema.names]
    )
    if not {"id", "file"} & set(layout.source):
        table = table.set_column(0, "id", pa.nulls(table.num_rows, pa.string()))  # made of positions: no id to join by
    faults = [f"some positions cannot be read, such as {', '.join(unread)}"] if unread else []
    return JoinedTable(path, layout.kind, _first_of_each_id(table), account, faults=(*faults, *_contradictions(table)))


def _contradictions(table: pa.Table) -> list[str]:
    """Say which ids of a table come again with other values; empty where none does."""
    counts = table["id"].value_counts()
    repeated = pc.filter(counts.field("values"), pc.greater(counts.field("counts"), 1)).drop_null()
    if not len(repeated):
        return []
    rows = table.filter(pc.is_in(table["id"], repeated))
    distinct = rows.group_by(rows.column_names).aggregate([])["id"].value_counts()
    ids = distinct.field("values").filter(pc.greater(distinct.field("counts"), 1)).to_pylist()
    if not ids:
        return []
    shown = ", ".join(ids[:SHOWN_IDS]) + ", ..." * (len(ids) > SHOWN_IDS)
    return [f"{len(ids)} ids come again with other values, the first row of each counts: {shown}"]


def _first_of_each_id(rows: pa.Table) -> pa.Table:
    codes = rows["id"].combine_chunks().dictionary_encode().indices.fill_null(-1).to_numpy()
    _, first = np.unique(codes, return_index=True)
    return rows.take(pa.array(np.sort(np.r_[first[codes[first] >= 0], np.flatnonzero(codes < 0)]))).combine_chunks()


def read_mapping(path: Path) -> pa.Table:
    """Read an archive's mapping (``objid, sample, asset_id``) as ``id`` and ``asset_id``, the first row of each id.

    The published file lists coadd galaxies twice with the same image.
    """
    mapping = read_joined_table(path)
    if "asset_id" not in mapping.rows.column_names:
        raise CatalogueError(f"mapping {path} has no column 'asset_id'")
    return mapping.rows.select(["id", "asset_id"]).filter(pc.is_valid(mapping.rows["asset_id"]))
