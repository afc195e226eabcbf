"""The plan of a galaxy dataset: which objects are requested, their frames and labels, and which are published."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from galaxy.images import cutouts
from galaxy.labels.labelling import label_rows
from galaxy.labels.schemes import Scheme, load_scheme
from galaxy.labels.soft_labels import FRACTION
from tasks.building.plan import Plan, begin_plan, published_parent
from tasks.galaxies.building.build_request import GalaxyBuildRequest
from tasks.galaxies.building.ledger_objects import complete_catalogue, require_shared_ids
from tasks.galaxies.building.scheme_fit import require_classes, require_labels, require_same_scheme
from tasks.http.faults import is_retried_later
from tasks.ingest.column_account import ACCOUNT_KEYS, read_account
from tasks.ingest.needs import frame_columns, require_columns
from tasks.ingest.provenance import content_sha256
from tasks.runtime.workspace import Workspace
from tasks.store.columns import to_float
from tasks.store.dataset import Dataset
from tasks.store.errors import StoreError
from tasks.store.files import write_table
from tasks.store.places import dataset_objects
from tasks.store.sampling import hash_order
from tasks.store.schema import GALAXY, STORED

LARGEST_BATCH = 256
SMALLEST_BATCH = 16
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
LABEL_COLUMNS = ("id", "label", "vote_fraction", "votes_at_node")
"""Columns of every label table; where the catalogue has the votes it also has the soft labels."""

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
    def is_backfill(self) -> bool:
        """Whether objects of a published version get labels of another scheme."""
        return "backfill" in self.facts

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
        finished = self.staging.finished()
        return [span for span in self.spans() if span[0] not in finished]


@dataclass(frozen=True)
class PlanDraft:
    """A plan that is not on disk yet.

    Attributes
    ----------
    request : GalaxyBuildRequest
    facts : dict
        Of ``plan.json``, see `Plan.facts`; of a backfill also ``backfill``, the number of the version that it labels.
    rows : Table
        One row per object, the columns of `planned_rows`.
    """

    request: GalaxyBuildRequest
    facts: dict[str, Any]
    rows: pa.Table


def plan_galaxies(workspace: Workspace, request: GalaxyBuildRequest, catalog: Path) -> GalaxyPlan:
    """Write the plan of a build into the dataset's staging folder; it raises what `draft_plan` raises."""
    return write_plan(workspace, draft_plan(workspace, request, catalog))


def write_plan(workspace: Workspace, draft: PlanDraft) -> GalaxyPlan:
    """Write a plan into the dataset's staging folder, in place of the plans of other requests."""
    name = _plan_digest(draft.facts, draft.rows)
    dataset = draft.request.dataset
    objects = dataset_objects(workspace, dataset)
    folder = begin_plan(workspace.datasets / dataset, name, draft.request, draft.facts, objects)
    write_table(folder / "plan.parquet", draft.rows)
    return GalaxyPlan(folder, draft.request)


def draft_plan(
    workspace: Workspace, request: GalaxyBuildRequest, catalog: Path, labelled: Dataset | None = None
) -> PlanDraft:
    """Return the plan of a build, or of a backfill, of a catalogue.

    Parameters
    ----------
    workspace : Workspace
    request : GalaxyBuildRequest
    catalog : Path
    labelled : Dataset, optional
        The version whose objects a backfill labels: what its ledger knows of them completes the catalogue, the limit
        counts them first, and every class of the scheme must occur.

    Raises
    ------
    StoreError
        The dataset is of another problem, was built with other settings (see `require_common`), or has another scheme
        of that name.
    CatalogueError
        The catalogue lacks a column that the scheme or the frame needs, or has none of the objects to be labelled.
    SchemeError
        The scheme labels no object, or a backfill's catalogue has no object of a class.
    """
    parent = published_parent(workspace, request.dataset, GALAXY)
    require_common(request, parent)
    scheme = None if request.scheme == "none" else load_scheme(request.scheme)
    require_same_scheme(scheme, parent)
    account, table = read_account(catalog), read_catalog(catalog)
    ledger = None if labelled is None else labelled.samples()
    if ledger is not None:
        require_shared_ids(table, ledger, catalog.name, request.dataset)
        table = complete_catalogue(table, ledger)
    frame = frame_columns(request.source, request.field)
    require_columns(table.column_names, scheme, frame, account, catalog.name)
    chosen = limit_objects(table, request.most_objects, request.seed, None if ledger is None else ledger["id"])
    rows = planned_rows(chosen, request, parent)
    if scheme is not None:
        require_labels(scheme, rows, table, catalog.name)
        if labelled is not None:
            require_classes(scheme, rows, table, catalog.name)
    facts = _facts(request, catalog, account, scheme, rows)
    facts["parent"] = None if parent is None else parent.version
    if labelled is not None:
        facts["backfill"] = labelled.version
    facts["digest"] = request_digest(request, facts)
    is_recorded = parent is not None and facts["digest"] in parent.manifest["builds"]
    completes = labelled is not None and bool(lacking_columns(rows, parent, scheme))
    facts["finished_before"] = is_recorded and not completes
    return PlanDraft(request, facts, rows)


def _facts(
    request: GalaxyBuildRequest, catalog: Path, account: dict[str, Any], scheme: Scheme | None, rows: pa.Table
) -> dict[str, Any]:
    """Return the facts of a plan that follow from its request, catalogue and rows."""
    mirror = {} if scheme is None or not scheme.mirror else {"mirror": [list(pair) for pair in scheme.mirror]}
    return {
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
            **mirror,
        },
        "objects": rows.num_rows,
        "ask": Counter(rows["state"].to_pylist())["ask"],
    }


def request_digest(request: GalaxyBuildRequest, facts: dict[str, Any]) -> str:
    """Return a digest that is equal for requests with equal results.

    Rates, connections and retries do not count; catalogue and scheme count by their content: ``catalog_sha256`` and
    ``scheme`` of `facts`. A backfill counts with the version that it labels.
    """
    excluded = {"max_rate_per_s", "max_connections", "retry_rejected", "catalog", "metadata", "columns", "service_url"}
    identity = request.model_dump(mode="json", exclude=excluded) | {"catalog_sha256": facts["catalog_sha256"]}
    identity |= {name: facts[name] for name in ("scheme", "backfill") if name in facts}
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


def limit_objects(
    table: pa.Table, limit: int | None, seed: int, counted_first: pa.ChunkedArray | None = None
) -> pa.Table:
    """Return the first `limit` rows (None: all) by a hash of id and seed, in order of id.

    A larger limit with the same seed holds the rows of the smaller. Rows whose id is among `counted_first` come before
    the others, and all of them are returned whatever the limit.
    """
    ids = table["id"].to_pylist()
    order = hash_order(ids, seed)
    if counted_first is not None and limit is not None:
        is_first = pc.is_in(table["id"], counted_first.combine_chunks()).to_numpy()
        order = order[np.argsort(~is_first[order], kind="stable")]
        limit = max(limit, int(is_first.sum()))
    chosen = sorted(order[:limit].tolist(), key=lambda position: ids[position])
    return table.take(pa.array(chosen, pa.int64()))


def planned_rows(table: pa.Table, request: GalaxyBuildRequest, parent: Dataset | None) -> pa.Table:
    """Return the plan's rows, one per row of the catalogue `table`.

    Columns: `CATALOG_COLUMNS`; with a scheme those of `label_rows` (``label`` to ``fraction_CLASS``); the frame's
    ``scale_arcsec_per_px, width_arcsec, clipped``; ``left_out``, the reason why an object is not requested, or null;
    and ``state`` of `object_state`.
    """
    table = table.combine_chunks()
    columns: dict[str, Any] = {name: _column(table, name) for name in CATALOG_COLUMNS}
    excluded: list[str | None] = [None] * table.num_rows
    if request.scheme != "none":
        labelled = label_rows(load_scheme(request.scheme), table)
        columns |= {name: labelled[name] for name in label_columns(labelled) if name != "id"}
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


def lacking_columns(rows: pa.Table, version: Dataset | None, scheme: Scheme | str | None) -> set[str]:
    """Return the columns of soft labels that a plan's rows have and the version's labels by the scheme lack."""
    name = scheme.name if isinstance(scheme, Scheme) else scheme
    if version is None or name not in version.schemes:
        return set()
    return set(label_columns(rows)) - set(version.labels(name).column_names)


def label_columns(table: pa.Table) -> list[str]:
    """Return the names of a table's columns that a label table has."""
    return [name for name in table.column_names if name in LABEL_COLUMNS or name.startswith(FRACTION)]


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
