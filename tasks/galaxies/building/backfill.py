"""Backfill: labels of another scheme for the objects of a published dataset, and images that only that scheme needs.

It is a build of the recorded request under another scheme, planned, collected and published as every build is. What is
its own: the request comes from the manifest, the objects are those of the ledger besides the catalogue's, and the plan
is known before anything is done.

Order does not matter: each backfill labels the objects of the last *build*, whatever other backfills added, its ledger
rows stay as the build left them, and groups are linked over all objects that the ledger has a position of. (Two objects
with equal pixels are the exception: the one that was collected first stays.)
"""

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from tasks.galaxies.building.build_request import GalaxyBuildRequest
from tasks.galaxies.building.plan import PlanDraft, draft_plan
from tasks.galaxies.building.planned_objects import lacking_columns
from tasks.galaxies.building.sources import find_catalog, sky_tables
from tasks.http.rate_budget import is_loopback
from tasks.ingest.column_account import ACCOUNT_KEYS
from tasks.ingest.provenance import content_sha256
from tasks.runtime.workspace import Workspace
from tasks.store.columns import align_column, drop_ids
from tasks.store.dataset import Dataset
from tasks.store.errors import StoreError
from tasks.store.schema import GALAXY, STORED
from tasks.store.versions import stored_rows, value_counts

NOT_IN_CATALOGUE = "not_in_catalogue"
"""Why a stored object gets no label: the catalogue does not have it."""
UNLABELLED_BEFORE = "unlabelled_before"
"""The same: the dataset has the scheme already, published labels stay, and this object's is empty."""

IMAGES_PER_S = {"archive": 200.0, "simulated": 25.0, "loopback": 100.0}
"""Images of 424 px collected per second on two cores, by source: estimates of what no rate limit bounds."""
OBJECTS_PER_S = 15_000.0
START_S, SOURCE_START_S = 3.0, 3.0
"""Of validation; and of a source, where anything is to be fetched."""


class BackfillRequest(BaseModel):
    """The parameters of `backfill-class-scheme`, without ``plan_only``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    scheme: str
    catalog: str | None


@dataclass(frozen=True)
class Backfill:
    """A planned backfill.

    Attributes
    ----------
    build : Dataset
        The version whose objects are labelled: the last that a build published.
    parent : Dataset
        The published version.
    draft : PlanDraft
    started : float
        Unix time.
    """

    build: Dataset
    parent: Dataset
    draft: PlanDraft
    started: float

    @property
    def scheme(self) -> str:
        """Name of the scheme."""
        return str(self.draft.facts["scheme"]["name"])

    @property
    def is_done(self) -> bool:
        """Tell whether the published version has everything: images, a label row of every object, soft labels."""
        if self.draft.facts["ask"] or self.scheme not in self.parent.schemes:
            return False
        if lacking_columns(self.draft.rows, self.parent, self.scheme):
            return False
        return drop_ids(self.draft.rows.select(["id"]), self.parent.labels(self.scheme)["id"]).num_rows == 0


def recorded_build(dataset: Dataset) -> Dataset:
    """Return the version that a build published, the dataset's own or the one that its backfills label."""
    backfill = dataset.manifest.get("backfill")
    return dataset if backfill is None else dataset.sibling(backfill["version"])


def draft_backfill(workspace: Workspace, request: BackfillRequest) -> Backfill:
    """Plan a backfill; nothing is written but a catalogue that is not ingested yet.

    Raises
    ------
    DatasetNotFoundError, StoreError
        There is no such dataset, it is not of galaxies, or its catalogue is not what it was built from.
    CatalogueError, SchemeError
        See `draft_plan`.
    """
    started = time.time()
    parent = Dataset.open(workspace, request.dataset)
    if parent.manifest["problem"] != GALAXY:
        raise StoreError(f"dataset {parent.name!r} is of problem {parent.manifest['problem']!r}, not {GALAXY}")
    if request.scheme == "none":
        raise ValueError("scheme=none labels nothing: name a scheme or a TOML file")
    build = recorded_build(parent)
    built = build_request(workspace, build, request)
    catalog = find_catalog(workspace, built)
    if request.catalog is None:
        _require_unchanged(build, catalog)
    return Backfill(build, parent, draft_plan(workspace, built, catalog, build), started)


def build_request(workspace: Workspace, build: Dataset, request: BackfillRequest) -> GalaxyBuildRequest:
    """Return the request of a recorded build under the backfill's scheme and catalogue.

    Raises
    ------
    StoreError
        The manifest has no parameters, or names a catalogue that the workspace no longer has.
    """
    recorded = build.manifest.get("parameters", {})
    known = {name: value for name, value in recorded.items() if name in GalaxyBuildRequest.model_fields}
    if "source" not in known:
        raise StoreError(f"the manifest of {build.path} has no parameters of a build: use build-galaxy-dataset")
    known |= {"dataset": request.dataset, "scheme": request.scheme, "retry_rejected": False, "min_stored_fraction": 0.0}
    is_own_sky = known["source"] == "simulated" and build.truth() is not None
    own = None if is_own_sky else str(workspace.catalogs / Path(str(recorded["catalog"])).name)
    built = GalaxyBuildRequest.model_validate(known | {"catalog": own, "metadata": None, "columns": None})
    if request.catalog is not None:
        return built.model_copy(update={"catalog": request.catalog, "limit": built.most_objects})
    if own is not None and not Path(own).is_file():
        raise StoreError(
            f"catalogue {Path(own).name}, from which dataset {build.name!r} was built, is not in {workspace.catalogs}: "
            "give catalog=TABLE"
        )
    return built


def _require_unchanged(build: Dataset, catalog: Path) -> None:
    """Refuse to take another catalogue of the same name for the one that the build had."""
    recorded = build.manifest["parameters"].get("catalog_sha256")
    if recorded not in (None, content_sha256(catalog, ACCOUNT_KEYS)):
        raise StoreError(
            f"catalogue {catalog.name} is not what dataset {build.name!r} was built from (it was ingested again): "
            f"give catalog={catalog.stem} to label by it as it is now"
        )


def truth_of_sky(workspace: Workspace, backfill: Backfill) -> Path | None:
    """Return the table of truth if the dataset is of the simulated sky's own catalogue, else None."""
    return None if backfill.build.truth() is None else sky_tables(workspace, backfill.draft.request.seed)[2]


def label_account(rows: pa.Table, version: Dataset, scheme: str, *, pending: bool) -> tuple[Counter[str], Counter[str]]:
    """Count the objects that a scheme labels in a version by class, and the others by reason.

    Every object of the plan and every stored object of the version counts once.

    Parameters
    ----------
    rows : Table
        The plan's rows.
    version : Dataset
        A version before or after the backfill: labels that it has go before the plan's.
    scheme : str
    pending : bool
        Images that the plan asks for count as if they were stored.
    """
    ledger = version.samples(["id", "status", "reason"])
    left_out, ids = rows["left_out"], rows["id"]
    label = pc.if_else(pc.is_null(left_out), rows["label"], None)
    if scheme in version.schemes:
        published = version.labels(scheme)
        has_label_row = pc.is_in(ids, published["id"].combine_chunks())
        label = pc.if_else(has_label_row, align_column(published, "label", ids), label)
    has_pixels = pc.fill_null(pc.equal(align_column(ledger, "status", ids), STORED), False)
    if pending:
        has_pixels = pc.or_(has_pixels, pc.equal(rows["state"], "ask"))
    counts = pc.and_(has_pixels, pc.is_valid(label))
    reason = pc.coalesce(left_out, align_column(ledger, "reason", ids), pa.scalar(UNLABELLED_BEFORE))
    dropped = value_counts(reason.filter(pc.invert(counts)))
    outside = drop_ids(stored_rows(ledger, ["id"]), ids).num_rows
    if outside:
        dropped[NOT_IN_CATALOGUE] = outside
    return value_counts(label.filter(counts)), dropped


def outline_backfill(backfill: Backfill) -> dict[str, Any]:
    """Return what a backfill will do.

    Returns
    -------
    dict
        ``objects, to_fetch, to_label`` (those to fetch among them), ``to_drop {reason: count}``, ``classes {class:
        count}`` and ``estimated_seconds``. ``objects`` is ``to_label`` and the sum of ``to_drop``.
    """
    draft = backfill.draft
    labelled, dropped = label_account(draft.rows, backfill.parent, backfill.scheme, pending=True)
    objects, to_fetch = labelled.total() + dropped.total(), int(draft.facts["ask"])
    return {
        "objects": objects,
        "to_fetch": to_fetch,
        "to_label": labelled.total(),
        "to_drop": dict(dropped.most_common()),
        "classes": {name: labelled[name] for name in draft.facts["scheme"]["classes"]},
        "estimated_seconds": round(estimate_seconds(draft.request, objects, to_fetch), 1),
    }


def estimate_seconds(request: GalaxyBuildRequest, objects: int, to_fetch: int) -> float:
    """Return about how long a backfill takes: a service by its rate limit, all else by what two cores do."""
    if request.source == "archive" or (request.source == "simulated" and request.service_url is None):
        per_s = IMAGES_PER_S[request.source]
    elif request.max_rate_per_s is None or is_loopback(urlsplit(request.service_url or "").hostname or ""):
        per_s = IMAGES_PER_S["loopback"]
    else:
        per_s = request.max_rate_per_s
    return to_fetch / per_s + SOURCE_START_S * bool(to_fetch) + objects / OBJECTS_PER_S + START_S


def summarise_backfill(backfill: Backfill, version: Dataset, outline: dict[str, Any]) -> dict[str, Any]:
    """Return the summary of a finished backfill.

    Parameters
    ----------
    backfill : Backfill
    version : Dataset
        The version that has the labels.
    outline : dict
        The plan, of `outline_backfill`.
    """
    labelled, dropped = label_account(backfill.draft.rows, version, backfill.scheme, pending=False)
    return _summary(backfill, version, outline) | {
        "objects": labelled.total() + dropped.total(),
        "fetched": version.manifest["stored"] - backfill.parent.manifest["stored"],
        "labelled": labelled.total(),
        "dropped": dict(dropped.most_common()),
        "classes": {name: labelled[name] for name in version.classes(backfill.scheme)},
        "seconds": round(time.time() - backfill.started, 1),
    }


def summarise_plan(backfill: Backfill, outline: dict[str, Any]) -> dict[str, Any]:
    """Return the summary of a backfill of which only the plan was wanted: nothing was done."""
    nothing = {"fetched": 0, "labelled": 0, "dropped": {}, "seconds": round(time.time() - backfill.started, 1)}
    return _summary(backfill, backfill.parent, outline) | nothing


def _summary(backfill: Backfill, version: Dataset, outline: dict[str, Any]) -> dict[str, Any]:
    return {
        "dataset": version.name,
        "version": version.version,
        "path": str(version.path),
        "scheme": backfill.scheme,
        "plan": outline,
    }
