"""The plan of a galaxy dataset: which objects are requested, their frames and labels, and which are published."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from galaxy.labels.schemes import Scheme, load_scheme
from tasks.building.plan import Plan, begin_plan, published_parent
from tasks.galaxies.building.build_request import GalaxyBuildRequest
from tasks.galaxies.building.ledger_objects import complete_catalogue, require_shared_ids
from tasks.galaxies.building.planned_objects import lacking_columns, limit_objects, planned_rows
from tasks.galaxies.building.scheme_fit import require_classes, require_labels, require_same_scheme
from tasks.ingest.column_account import ACCOUNT_KEYS, read_account
from tasks.ingest.needs import frame_columns, require_columns
from tasks.ingest.provenance import content_sha256
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.errors import StoreError
from tasks.store.files import write_table
from tasks.store.places import dataset_objects
from tasks.store.schema import GALAXY

LARGEST_BATCH = 256
SMALLEST_BATCH = 16

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
    if labelled is not None:
        facts["backfill"] = labelled.version
    completes = labelled is not None and bool(lacking_columns(rows, parent, scheme))
    return PlanDraft(request, facts | _place_among_builds(request, facts, parent, completes=completes), rows)


def _place_among_builds(
    request: GalaxyBuildRequest, facts: dict[str, Any], parent: Dataset | None, *, completes: bool
) -> dict[str, Any]:
    """Return the facts on earlier builds; one that `completes` the labels of a version is not finished before."""
    digest = request_digest(request, facts)
    is_recorded = parent is not None and digest in parent.manifest["builds"]
    return {
        "parent": None if parent is None else parent.version,
        "digest": digest,
        "finished_before": is_recorded and not completes,
    }


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


def _plan_digest(facts: dict[str, Any], rows: pa.Table) -> str:
    """Return the name of the plan's staging folder, a digest of the request and of the objects still to request."""
    total = hashlib.sha256(facts["digest"].encode())
    requested = rows.filter(pc.equal(rows["state"], "ask"))
    for name in ("id", "scale_arcsec_per_px", "ra_deg", "dec_deg"):
        total.update(json.dumps(requested[name].to_pylist()).encode())
    return total.hexdigest()[:16]
