"""Planning a galaxy dataset: which objects are asked for, with which frame and label, and what is there already."""

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
from prefect import task
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel, ConfigDict, Field, model_validator

from galaxy.images import cutouts
from galaxy.labels.schemes import label_rows, load_scheme
from tasks.building.plan import Plan, begin_plan, published_parent
from tasks.galaxies.choices import SourceName
from tasks.http.faults import is_retried_later
from tasks.runtime.workspace import Workspace
from tasks.store.columns import to_float
from tasks.store.dataset import Dataset
from tasks.store.errors import StoreError
from tasks.store.files import sha256_of_file, write_table
from tasks.store.sampling import hash_order
from tasks.store.schema import GALAXY, STORED, check_name

SIMULATED_LIMIT = 600
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


class BuildRequest(BaseModel):
    """What `build-galaxy-dataset` was asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    catalog: str | None
    metadata: str | None
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
    seed: int = Field(ge=0)

    @model_validator(mode="after")
    def _goes_together(self) -> "BuildRequest":
        check_name(self.dataset)
        if self.source == "archive" and self.images is None:
            raise ValueError("source=archive needs images=FOLDER or images=ZIP")
        if self.catalog is None and self.source != "simulated":
            raise ValueError(f"source={self.source} needs catalog=TABLE (a file, an address, or an ingested name)")
        if self.field == "fixed" and self.scale_arcsec_per_px is None and self.source != "archive":
            raise ValueError("field=fixed needs scale_arcsec_per_px")
        return self

    @property
    def most_objects(self) -> int | None:
        """How many objects are taken; the whole simulated sky would take an hour to render."""
        return SIMULATED_LIMIT if self.limit is None and self.catalog is None else self.limit

    @property
    def release_name(self) -> str | None:
        """The release that is asked, with the source's default."""
        return self.release or DEFAULT_RELEASES[self.source]


# What every sample of a dataset has in common; another value is refused unless `allow_mixed`.
COMMON = ("source", "release", "field", "request_px", "crop_fraction")


class BuildPlan(Plan[BuildRequest]):
    """The plan of a galaxy dataset: beside the facts, ``plan.parquet`` has a row an object of the request."""

    @cached_property
    def rows(self) -> pa.Table:
        """One row an object: position, frame, label, and ``state`` (ask, stored, or rejected)."""
        return pq.read_table(self.folder / "plan.parquet")

    @property
    def size_px(self) -> int:
        """Side of a sample."""
        return self.request.size_px

    @property
    def crop_fraction(self) -> float:
        """Share of an image that is kept, about its centre."""
        return self.request.crop_fraction

    @property
    def batch_size(self) -> int:
        """Objects a batch: depends on how many are asked for, never on the workers."""
        return int(min(LARGEST_BATCH, max(SMALLEST_BATCH, -(-self.work_items // 16))))

    @property
    def asked(self) -> pa.Table:
        """The rows that need an image, in order of id."""
        return self.rows.filter(pc.equal(self.rows["state"], "ask")).combine_chunks()

    def spans(self) -> Iterator[tuple[int, int, int]]:
        """Yield number, first row and end of every batch of `asked`."""
        for number, start in enumerate(range(0, self.work_items, self.batch_size)):
            yield number, start, min(start + self.batch_size, self.work_items)


@task(name="plan", description="Choose objects, frames and labels; find what is stored already", cache_policy=NO_CACHE)
def plan_build(workspace: Workspace, request: BuildRequest, catalog: Path) -> BuildPlan:
    """Write the plan of a build into the dataset's staging folder, or find it there."""
    parent = published_parent(workspace, request.dataset, GALAXY)
    _check_common(request, parent)
    table = _limited(read_catalog(catalog), request.most_objects, request.seed)
    rows = _planned_rows(table, request, parent)
    scheme = None if request.scheme == "none" else load_scheme(request.scheme)
    facts: dict[str, Any] = {
        "release": request.release_name,
        "catalog": catalog.name,
        "catalog_sha256": sha256_of_file(catalog),
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
    plan = BuildPlan(folder, request)
    write_table(plan.folder / "plan.parquet", rows)
    return plan


def request_digest(request: BuildRequest, facts: dict[str, Any]) -> str:
    """Return what makes two requests the same: all but how fast and how often they ask."""
    manner = {"max_rate_per_s", "max_connections", "retry_rejected", "catalog", "metadata", "service_url"}
    same = request.model_dump(mode="json", exclude=manner) | {"catalog_sha256": facts["catalog_sha256"]}
    same |= {"scheme": facts["scheme"]}
    return hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()


def read_catalog(path: Path) -> pa.Table:
    """Read a catalogue's columns that builds and schemes use."""
    table = pq.read_table(path)
    if table.num_rows == 0:
        raise ValueError(f"catalogue {path.name} has no rows")
    return table


def _check_common(request: BuildRequest, parent: Dataset | None) -> None:
    """Refuse to add samples of another kind to a dataset."""
    if parent is None:
        return
    asked = request.model_dump() | {"release": request.release_name}
    if request.source == "archive":
        asked |= {"field": None, "request_px": None}
    if parent.manifest["size_px"] != request.size_px:
        raise StoreError(
            f"dataset {parent.name!r} holds {parent.manifest['size_px']}-px samples, size_px={request.size_px} "
            "needs a dataset of its own (received bytes are kept, nothing is fetched again)"
        )
    for name in COMMON:
        if asked[name] != parent.manifest[name] and not request.allow_mixed:
            raise StoreError(
                f"dataset {parent.name!r} was built with {name}={parent.manifest[name]}, not {asked[name]}; "
                "use another dataset, or allow_mixed=true to mix"
            )


def _limited(table: pa.Table, limit: int | None, seed: int) -> pa.Table:
    """Return the first `limit` rows by a hash of id and seed, in order of id."""
    ids = table["id"].to_pylist()
    chosen = sorted(hash_order(ids, seed)[:limit].tolist(), key=lambda position: ids[position])
    return table.take(pa.array(chosen, pa.int64()))


def _planned_rows(table: pa.Table, request: BuildRequest, parent: Dataset | None) -> pa.Table:
    """Return the plan's rows: identity, frame, label, and what is to be done."""
    table = table.combine_chunks()
    count = table.num_rows
    columns: dict[str, Any] = {name: _column(table, name) for name in CATALOG_COLUMNS}
    left_out: list[str | None] = [None] * count
    if request.scheme != "none":
        labelled = label_rows(load_scheme(request.scheme), table)
        columns |= {name: labelled[name] for name in ("label", "vote_fraction", "votes_at_node")}
        left_out = [reason and f"scheme:{reason}" for reason in labelled["excluded"].to_pylist()]
    scale, clipped, frameless = _frames(table, request)
    columns |= {
        "scale_arcsec_per_px": pa.array(scale, from_pandas=True),
        "width_arcsec": pa.array(scale * request.request_px, from_pandas=True),
        "clipped": pa.array(clipped),
        "left_out": pa.array([out or none for out, none in zip(left_out, frameless, strict=True)], pa.string()),
    }
    columns["state"] = pa.array(_states(columns["id"].to_pylist(), columns["left_out"].to_pylist(), request, parent))
    return pa.table(columns)


def _frames(table: pa.Table, request: BuildRequest) -> tuple[np.ndarray, np.ndarray, list[str | None]]:
    """Return scale, clipping and the reason why an object has no frame."""
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
    placed = np.isfinite(_numbers(table, "ra_deg")) & np.isfinite(_numbers(table, "dec_deg"))
    return scale, clipped, [reason if here else "no_position" for reason, here in zip(reasons, placed, strict=True)]


def _states(ids: list[str], left_out: list[str | None], request: BuildRequest, parent: Dataset | None) -> list[str]:
    """Return for every object ``stored``, ``ask``, or ``rejected``."""
    before: dict[str, tuple[str, str | None]] = {}
    if parent is not None:
        ledger = parent.samples(["id", "status", "reason"])
        before = dict(
            zip(
                ledger["id"].to_pylist(),
                zip(ledger["status"].to_pylist(), ledger["reason"].to_pylist(), strict=True),
                strict=True,
            )
        )
    return [
        _state(before.get(sample_id), out, request.retry_rejected) for sample_id, out in zip(ids, left_out, strict=True)
    ]


def _state(before: tuple[str, str | None] | None, left_out: str | None, retry_rejected: bool) -> str:
    """Return what is to be done with an object."""
    if left_out is not None:
        return "rejected"
    if before is None or before[1] is None:
        return "ask" if before is None or before[0] != STORED else "stored"
    return "ask" if is_retried_later(before[1]) or retry_rejected else "rejected"


def _column(table: pa.Table, name: str) -> pa.ChunkedArray | pa.Array:
    """Return a column, or nulls where the catalogue lacks it."""
    types = {"id": pa.string(), "file": pa.string(), "asset_id": pa.int64()}
    if name in table.column_names:
        return table[name].cast(types.get(name, pa.float64()))
    return pa.nulls(table.num_rows, types.get(name, pa.float64()))


def _numbers(table: pa.Table, name: str) -> np.ndarray:
    """Return a column as float64 with NaN for null."""
    return to_float(_column(table, name))


def _plan_digest(facts: dict[str, Any], rows: pa.Table) -> str:
    """Return a name for the plan's staging folder: the same request on the same state gives the same."""
    total = hashlib.sha256(facts["digest"].encode())
    asked = rows.filter(pc.equal(rows["state"], "ask"))
    for name in ("id", "scale_arcsec_per_px", "ra_deg", "dec_deg"):
        total.update(json.dumps(asked[name].to_pylist()).encode())
    return total.hexdigest()[:16]
