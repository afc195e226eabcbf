"""The plan of a galaxy dataset: which objects are requested, their frames and labels, and which are published."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from galaxy.images import cutouts
from galaxy.labels.schemes import label_rows, load_scheme
from tasks.building.plan import Plan, begin_plan, published_parent
from tasks.galaxies.choices import SourceName
from tasks.galaxies.needs import frame_columns, require_columns
from tasks.http.faults import is_retried_later
from tasks.ingest.column_account import ACCOUNT_KEYS, read_account
from tasks.ingest.provenance import content_sha256
from tasks.runtime.workspace import Workspace
from tasks.store.columns import to_float
from tasks.store.dataset import Dataset
from tasks.store.errors import StoreError
from tasks.store.files import write_table
from tasks.store.sampling import hash_order
from tasks.store.schema import GALAXY, STORED, check_name

SIMULATED_LIMIT = 600
"""Objects of the simulated sky without a limit: the whole sky would take an hour to render."""
LARGEST_BATCH = 256
SMALLEST_BATCH = 16
DEFAULT_RELEASES = {"sdss": "dr17", "simulated": "dr17", "legacy": "ls-dr10", "archive": None}
CATALOG_COLUMNS = (
    "id",
    "ra_deg",
    "dec_deg",
    "redshift",
    "r_mag",
    "petro_r90_arcsec",
    "file",
    "asset_id",
)


class GalaxyBuildRequest(BaseModel):
    """The parameters of `build-galaxy-dataset`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    catalog: str | None
    metadata: str | None
    columns: dict[str, str] | None = None
    source: SourceName
    images: str | None
    mapping: str | None
    scheme: str
    size_px: int = Field(ge=16, le=1024)
    request_px: int = Field(ge=64, le=2048)
    crop_fraction: float = Field(gt=0, le=1)
    field: cutouts.Field
    scale_arcsec_per_px: float | None
    limit: int | None = Field(ge=1)
    service_url: str | None
    release: str | None
    max_rate_per_s: float | None
    max_connections: int = Field(ge=1, le=256)
    min_stored_fraction: float = Field(ge=0, le=1)
    allow_mixed: bool
    retry_rejected: bool
    verify_existing: bool = Field(default=False, exclude=True)  # no part of what is built, nor of its digest
    seed: int = Field(ge=0)

    @model_validator(mode="after")
    def _goes_together(self) -> "GalaxyBuildRequest":
        check_name(self.dataset)
        if self.source == "archive" and self.images is None:
            raise ValueError("source=archive needs images=FOLDER or images=ZIP")
        if self.catalog is None and self.source != "simulated":
            raise ValueError(f"source={self.source} needs catalog=TABLE (a file, an address, or an ingested name)")
        if self.catalog is None and self.columns:
            raise ValueError(f"columns={self.columns} names columns of a table: give catalog=TABLE too")
        if self.field == "fixed" and self.scale_arcsec_per_px is None and self.source != "archive":
            raise ValueError("field=fixed needs scale_arcsec_per_px")
        return self

    @property
    def most_objects(self) -> int | None:
        """Number of objects at most; None takes the whole catalogue."""
        return SIMULATED_LIMIT if self.limit is None and self.catalog is None else self.limit

    @property
    def release_name(self) -> str | None:
        """The data release to request images of, by default the source's."""
        return self.release or DEFAULT_RELEASES[self.source]


# Equal for all samples of a dataset; another value is refused unless `allow_mixed`.
COMMON = ("source", "release", "field", "request_px", "crop_fraction")


class GalaxyPlan(Plan[GalaxyBuildRequest]):
    """The plan of a galaxy dataset; beside ``plan.json``, ``plan.parquet`` has one row per object of the request."""

    @cached_property
    def rows(self) -> pa.Table:
        """One row per object, in order of id: the columns of `planned_rows`."""
        return pq.read_table(self.folder / "plan.parquet")

    @property
    def size_px(self) -> int:
        """Width and height of a sample."""
        return self.request.size_px

    @property
    def crop_fraction(self) -> float:
        """Share of an image's width that is kept, about its centre."""
        return self.request.crop_fraction

    @property
    def columns(self) -> dict[str, Any]:
        """What was understood of the columns of the catalogue's tables, under `ACCOUNT_KEYS`."""
        columns: dict[str, Any] = self.facts.get("columns", {})
        return columns

    @property
    def batch_size(self) -> int:
        """Objects per batch; depends on their number, never on the workers."""
        return int(min(LARGEST_BATCH, max(SMALLEST_BATCH, -(-self.work_items // 16))))

    @property
    def asked(self) -> pa.Table:
        """The rows that need an image, in order of id."""
        return self.rows.filter(pc.equal(self.rows["state"], "ask")).combine_chunks()

    def spans(self) -> Iterator[tuple[int, int, int]]:
        """Yield number, first row and end row of every batch of `asked`."""
        for number, start in enumerate(range(0, self.work_items, self.batch_size)):
            yield number, start, min(start + self.batch_size, self.work_items)

    def unfinished_spans(self) -> list[tuple[int, int, int]]:
        """Return the spans of the batches that staging does not hold yet."""
        return [span for span in self.spans() if not self.staging.is_finished(span[0])]


def plan_galaxies(workspace: Workspace, request: GalaxyBuildRequest, catalog: Path) -> GalaxyPlan:
    """Write the plan of a build into the dataset's staging folder.

    Raises
    ------
    StoreError
        The dataset is of another problem, or was built with other settings; see `require_common`.
    CatalogueError
        The catalogue lacks a column that the scheme or the frame needs.
    """
    parent = published_parent(workspace, request.dataset, GALAXY)
    require_common(request, parent)
    scheme = None if request.scheme == "none" else load_scheme(request.scheme)
    account, table = read_account(catalog), read_catalog(catalog)
    frame = frame_columns(request.source, request.field)
    require_columns(table.column_names, scheme, frame, account, catalog.name)
    table = limit_objects(table, request.most_objects, request.seed)
    rows = planned_rows(table, request, parent)
    facts: dict[str, Any] = {
        "release": request.release_name,
        "catalog": catalog.name,
        "catalog_sha256": content_sha256(catalog, ACCOUNT_KEYS),
        "columns": account,
        "scheme": None
        if scheme is None
        else {
            "name": scheme.name,
            "digest": scheme.digest,
            "classes": list(scheme.classes),
            "deck_images": (scheme.deck_counts or {}).get("images"),
        },
        "parent": None if parent is None else parent.version,
        "objects": rows.num_rows,
        "ask": Counter(rows["state"].to_pylist())["ask"],
    }
    facts["digest"] = request_digest(request, facts)
    facts["finished_before"] = parent is not None and facts["digest"] in parent.manifest["builds"]
    folder = begin_plan(workspace.datasets / request.dataset, _plan_digest(facts, rows), request, facts)
    plan = GalaxyPlan(folder, request)
    write_table(plan.folder / "plan.parquet", rows)
    return plan


def request_digest(request: GalaxyBuildRequest, facts: dict[str, Any]) -> str:
    """Return a digest that is equal for requests with equal results.

    Rates, connections and retries do not count; catalogue and scheme count by their content: ``catalog_sha256`` and
    ``scheme`` of `facts`.
    """
    excluded = {"max_rate_per_s", "max_connections", "retry_rejected", "catalog", "metadata", "columns", "service_url"}
    identity = request.model_dump(mode="json", exclude=excluded) | {"catalog_sha256": facts["catalog_sha256"]}
    identity |= {"scheme": facts["scheme"]}
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def read_catalog(path: Path) -> pa.Table:
    """Read a catalogue.

    Raises
    ------
    ValueError
        It has no rows.
    """
    table = pq.read_table(path)
    if table.num_rows == 0:
        raise ValueError(f"catalogue {path.name} has no rows")
    return table


def require_common(request: GalaxyBuildRequest, parent: Dataset | None) -> None:
    """Check that a request adds samples of the dataset's kind.

    Raises
    ------
    StoreError
        ``size_px`` differs, or one of `COMMON` without ``allow_mixed``.
    """
    if parent is None:
        return
    if parent.manifest["size_px"] != request.size_px:
        raise StoreError(
            f"dataset {parent.name!r} holds {parent.manifest['size_px']}-px samples, size_px={request.size_px} "
            "needs a dataset of its own (received bytes are kept, nothing is fetched again)"
        )
    requested = request.model_dump() | {"release": request.release_name}
    if request.source == "archive":
        requested |= {"field": None, "request_px": None}
    for name in COMMON:
        if requested[name] != parent.manifest[name] and not request.allow_mixed:
            raise StoreError(
                f"dataset {parent.name!r} was built with {name}={parent.manifest[name]}, not {requested[name]}; "
                "use another dataset, or allow_mixed=true to mix"
            )


def limit_objects(table: pa.Table, limit: int | None, seed: int) -> pa.Table:
    """Return the first `limit` rows (None: all) by a hash of id and seed, in order of id.

    A larger limit with the same seed holds the rows of the smaller.
    """
    ids = table["id"].to_pylist()
    chosen = sorted(hash_order(ids, seed)[:limit].tolist(), key=lambda position: ids[position])
    return table.take(pa.array(chosen, pa.int64()))


def planned_rows(table: pa.Table, request: GalaxyBuildRequest, parent: Dataset | None) -> pa.Table:
    """Return the plan's rows, one per row of the catalogue `table`.

    Columns: `CATALOG_COLUMNS`; with a scheme ``label, vote_fraction, votes_at_node``; the frame's
    ``scale_arcsec_per_px, width_arcsec, clipped``; ``left_out``, the reason why an object is not requested, or null;
    and ``state`` of `object_state`.
    """
    table = table.combine_chunks()
    columns: dict[str, Any] = {name: _column(table, name) for name in CATALOG_COLUMNS}
    excluded: list[str | None] = [None] * table.num_rows
    if request.scheme != "none":
        labelled = label_rows(load_scheme(request.scheme), table)
        columns |= {name: labelled[name] for name in ("label", "vote_fraction", "votes_at_node")}
        excluded = [reason and f"scheme:{reason}" for reason in labelled["excluded"].to_pylist()]
    scale, clipped, frameless = object_frames(table, request)
    columns |= {
        "scale_arcsec_per_px": pa.array(scale, from_pandas=True),
        "width_arcsec": pa.array(scale * request.request_px, from_pandas=True),
        "clipped": pa.array(clipped),
        "left_out": pa.array([why or no_frame for why, no_frame in zip(excluded, frameless, strict=True)], pa.string()),
    }
    columns["state"] = pa.array(_object_states(columns["id"], columns["left_out"], request, parent))
    return pa.table(columns)


def object_frames(
    table: pa.Table, request: GalaxyBuildRequest
) -> tuple[NDArray[np.float64], NDArray[np.bool_], list[str | None]]:
    """Return the scale in arcsec/px, whether it was clipped, and why there is no frame (else None), (n,) each.

    An archive's images have frames of their own: no scale, and never a reason.
    """
    count = table.num_rows
    if request.source == "archive":
        return np.full(count, np.nan), np.zeros(count, bool), [None] * count
    scale, clipped, reasons = cutouts.frame_scales(
        request.field,
        request.request_px,
        _numbers(table, "petro_r90_arcsec"),
        _numbers(table, "redshift"),
        request.scale_arcsec_per_px,
    )
    has_position = np.isfinite(_numbers(table, "ra_deg")) & np.isfinite(_numbers(table, "dec_deg"))
    reasons = [why if placed else "no_position" for why, placed in zip(reasons, has_position, strict=True)]
    return scale, clipped, reasons


def _object_states(
    ids: pa.ChunkedArray | pa.Array, left_out: pa.Array, request: GalaxyBuildRequest, parent: Dataset | None
) -> list[str]:
    """Return the state of every object; `parent` is the version that the build adds to."""
    published: dict[str, tuple[str, str | None]] = {}
    if parent is not None:
        ledger = parent.samples(["id", "status", "reason"])
        outcomes = zip(ledger["status"].to_pylist(), ledger["reason"].to_pylist(), strict=True)
        published = dict(zip(ledger["id"].to_pylist(), outcomes, strict=True))
    return [
        object_state(published.get(sample_id), why, retry_rejected=request.retry_rejected)
        for sample_id, why in zip(ids.to_pylist(), left_out.to_pylist(), strict=True)
    ]


def object_state(published: tuple[str, str | None] | None, left_out: str | None, *, retry_rejected: bool) -> str:
    """Return ``ask`` (request an image), ``stored``, or ``rejected``.

    Parameters
    ----------
    published : (str, str or None), optional
        Status and reason in the published ledger; None for a new object.
    left_out : str, optional
        Why the scheme or the frame leaves the object out.
    retry_rejected : bool
        Requests also what was rejected for good; see `tasks.http.faults`.
    """
    if left_out is not None:
        return "rejected"
    if published is None:
        return "ask"
    status, reason = published
    if reason is None:
        return "stored" if status == STORED else "ask"
    return "ask" if retry_rejected or is_retried_later(reason) else "rejected"


def _column(table: pa.Table, name: str) -> pa.ChunkedArray | pa.Array:
    """Return a column, or nulls where the catalogue lacks it."""
    types = {"id": pa.string(), "file": pa.string(), "asset_id": pa.int64()}
    if name in table.column_names:
        return table[name].cast(types.get(name, pa.float64()))
    return pa.nulls(table.num_rows, types.get(name, pa.float64()))


def _numbers(table: pa.Table, name: str) -> NDArray[np.float64]:
    """Return a column as numbers (n,), NaN for null or an absent column."""
    return to_float(_column(table, name))


def _plan_digest(facts: dict[str, Any], rows: pa.Table) -> str:
    """Return the name of the plan's staging folder, a digest of the request and of the objects still to request."""
    total = hashlib.sha256(facts["digest"].encode())
    requested = rows.filter(pc.equal(rows["state"], "ask"))
    for name in ("id", "scale_arcsec_per_px", "ra_deg", "dec_deg"):
        total.update(json.dumps(requested[name].to_pylist()).encode())
    return total.hexdigest()[:16]
