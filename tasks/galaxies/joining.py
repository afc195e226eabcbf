"""Metadata joined to catalogue rows: by object id, else by position within 2 arcsec (ids of another release)."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.spatial import cKDTree

from galaxy.catalogue.columns import Layout
from galaxy.catalogue.conversion import floats
from galaxy.catalogue.errors import CatalogueError
from galaxy.catalogue.positions import chord, unit_vectors
from tasks.galaxies.table_rows import open_rows

MATCH_RADIUS_ARCSEC = 2.0
JOINED: tuple[str, ...] = (
    *("ra_deg", "dec_deg", "redshift", "petro_r50_arcsec", "petro_r90_arcsec", "r_mag", "r_mag_corrected"),
    *("psf_fwhm_arcsec", "area_ratio", "asset_id"),
)


@dataclass
class JoinedTable:
    """A table whose values fill the missing values of catalogue rows; the rows' own values stay."""

    path: Path
    kind: str
    rows: pa.Table
    """Columns ``id`` and those of `JOINED` that the file has, one row for each id (the first of equal ids)."""
    joined: dict[str, int] = field(default_factory=lambda: {"by_id": 0, "by_position": 0, "neither": 0})
    """Catalogue rows so far, by how they were matched."""

    def __post_init__(self) -> None:
        self._ids = self.rows["id"].combine_chunks()
        self._tree: cKDTree | None = None
        if {"ra_deg", "dec_deg"} <= set(self.rows.column_names):
            ra, dec = floats(self.rows["ra_deg"]), floats(self.rows["dec_deg"])
            self._placed = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
            self._tree = cKDTree(unit_vectors(ra[self._placed], dec[self._placed])) if len(self._placed) else None

    def fill(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the batch with missing values filled and missing columns added."""
        match = pc.index_in(batch.column("id"), self._ids).fill_null(-1).to_numpy().astype(np.int64)
        by_id = match >= 0
        match[~by_id] = self._nearest(batch, np.flatnonzero(~by_id))
        self.joined["by_id"] += int(by_id.sum())
        self.joined["by_position"] += int((match[~by_id] >= 0).sum())
        self.joined["neither"] += int((match < 0).sum())
        where = pa.array(match, mask=match < 0)
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        for name in self.rows.column_names[1:]:
            values = self.rows[name].combine_chunks().take(where)
            columns[name] = pc.coalesce(columns[name], values) if name in columns else values
        return pa.record_batch(columns)

    def _nearest(self, batch: pa.RecordBatch, rows: np.ndarray) -> np.ndarray:
        """Return the row of this table within the radius of each of the batch's `rows`, else -1."""
        nearest = np.full(len(rows), -1, np.int64)
        if self._tree is None or not {"ra_deg", "dec_deg"} <= set(batch.schema.names):
            return nearest
        ra, dec = (floats(batch.column(name))[rows] for name in ("ra_deg", "dec_deg"))
        placed = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
        distance, index = self._tree.query(unit_vectors(ra[placed], dec[placed]))
        near = distance <= chord(MATCH_RADIUS_ARCSEC)
        nearest[placed[near]] = self._placed[index[near]]
        return nearest


def read_joined_table(path: Path) -> JoinedTable:
    """Read a metadata table or an archive's mapping of ids to asset ids.

    Raises
    ------
    CatalogueError
        The file has no column to join, or neither ids nor positions.
    """
    with open_rows(path) as rows:
        layout = rows.layout
        source = {
            name: column for name, column in layout.source.items() if name in (*JOINED, "id", "file", "extinction_r")
        }
        if not set(source) & set(JOINED) - {"ra_deg", "dec_deg"}:
            raise CatalogueError(
                f"metadata {path} has none of the columns redshift, petroR90_r, petroMag_r, ...: {rows.table.columns}"
            )
        batches = [b.select(_present(b)) for b in rows.batches(Layout(layout.kind, source, ()))]
    if not batches:
        raise CatalogueError(f"metadata {path} has no rows")
    return JoinedTable(path, layout.kind, _first_of_each_id(pa.Table.from_batches(batches)))


def _present(batch: pa.RecordBatch) -> list[str]:
    return ["id", *(name for name in JOINED if name in batch.schema.names)]


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
