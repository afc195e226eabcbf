"""The plan of a real/bogus dataset: which chip-visits or batches of triplets are requested, and which are published."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pyarrow.compute as pc

from realbogus.records import BatchKey
from realbogus.sources.pair_tables import PairFiles
from tasks.building.plan import Plan, begin_plan, published_parent
from tasks.candidates.building.batches import CandidateBatch, list_batches
from tasks.candidates.building.build_request import CandidateBuildRequest
from tasks.candidates.building.collect import BatchCollector, ReadyTriplets
from tasks.records.source_files import fingerprint_files, list_record_files
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.errors import StoreError
from tasks.store.places import dataset_objects
from tasks.store.schema import REALBOGUS

SCHEME = "real-bogus"
CLASSES = ("bogus", "real")
LATER: dict[str, object] = {
    **{"known_without_epoch": "refuse", "columns": None, "conditions": None},
    **{"variable_fraction": 0.0, "randomisation": 0.0, "injection_rounds": 1},
}
"""Parameters that requests may lack, with their defaults."""
# Equal for all samples of a dataset: otherwise a network could learn them instead of the sky.
COMMON = (
    *("source", "stamp_px", "engine", "threshold_sigma"),
    *("injections_per_visit", "injection_rounds", "galaxy_fraction", "balance", "revisits", "scene_transients"),
    *("diversity", "seeing_arcsec", "variable_fraction", "randomisation"),
)


@dataclass(frozen=True)
class CandidatePlan(Plan[CandidateBuildRequest]):
    """The plan of a real/bogus dataset with its opened source.

    Attributes
    ----------
    collector : BatchCollector
    batches : tuple of CandidateBatch
        Those that are not completely published.
    published_ids : tuple of str
        Ids of the request that are published already, each once.
    repeated_ids : tuple of str
        Published ids that come again in the request, and names of pairs that are listed again.
    """

    collector: BatchCollector
    batches: tuple[CandidateBatch, ...]
    published_ids: tuple[str, ...]
    repeated_ids: tuple[str, ...] = ()


def plan_candidates(workspace: Workspace, request: CandidateBuildRequest) -> CandidatePlan:
    """Write the plan of a build into the dataset's staging folder.

    Raises
    ------
    SourceError
        The source cannot be read as requested.
    StoreError
        The dataset was built with other settings, or chip-visits of this night under other conditions.
    """
    parent = published_parent(workspace, request.dataset, REALBOGUS)
    require_common(request, parent)
    collector, batches = list_batches(request)
    repeated_ids: list[str] = []
    if not isinstance(collector, ReadyTriplets):  # records are compared one by one when they are gathered
        batches, repeated_ids = _without_copies(batches)
    missing, published_ids = unpublished(batches, collector, parent)
    nights = published_conditions(parent)
    if request.source == "simulated":
        nights = _with_conditions(nights, request, is_published=len(missing) < len(batches))
    repeated_ids += [name for name, count in Counter(published_ids).items() for _ in range(count - 1)]
    digest = request_digest(request, [batch.name for batch in batches])
    facts = {
        "digest": digest,
        "scheme": {"name": SCHEME, "digest": scheme_digest(), "classes": list(CLASSES)},
        "parent": None if parent is None else parent.version,
        "ask": len(missing),
        "conditions": nights,
        "finished_before": parent is not None and digest in parent.manifest["builds"],
    }
    words = [digest, *(batch.name for batch in missing), fingerprint_inputs(request, collector, missing)]
    name = hashlib.sha256("\n".join(words).encode()).hexdigest()[:16]
    objects = dataset_objects(workspace, request.dataset)
    folder = begin_plan(workspace.datasets / request.dataset, name, request, facts, objects)
    return CandidatePlan(folder, request, collector, missing, tuple(dict.fromkeys(published_ids)), tuple(repeated_ids))


def _without_copies(batches: Sequence[CandidateBatch]) -> tuple[list[CandidateBatch], list[str]]:
    """Return the batches without copies of an earlier one, such as a pair that is listed twice, and their names."""
    first: dict[str, CandidateBatch] = {}
    copies = [batch.name for batch in batches if first.setdefault(batch.name, batch) is not batch]
    return list(first.values()), copies


def scheme_digest() -> str:
    """Return the digest of the scheme of two classes."""
    return hashlib.sha256(":".join([SCHEME, *CLASSES]).encode()).hexdigest()


def request_digest(request: CandidateBuildRequest, batches: Sequence[str]) -> str:
    """Return the digest of a request, from its parameters except ``path`` and the names of its batches.

    The path is left out because the names follow from the content of the source, wherever it is; parameters of `LATER`
    at their defaults, so that requests without them keep their digests.
    """
    parameters = request.model_dump(mode="json", exclude={"path"})
    parameters = {name: value for name, value in parameters.items() if LATER.get(name, ...) != value}
    total = hashlib.sha256(json.dumps(parameters, sort_keys=True).encode())
    for name in batches:
        total.update(name.encode() + b"\n")
    return total.hexdigest()


def fingerprint_inputs(
    request: CandidateBuildRequest, collector: BatchCollector, batches: Sequence[CandidateBatch]
) -> str:
    """Return a digest of what a batch's rows depend on beside its name and the parameters.

    These are tables, masks and the like. Where one was corrected, what was staged before is not taken up again.
    """
    files = [Path(name).expanduser() for name in (request.known_objects, request.galaxy_catalog) if name is not None]
    words = []
    if isinstance(collector, ReadyTriplets):
        files += list_record_files(collector.source)
    for pair in (batch.key for batch in batches if isinstance(batch.key, PairFiles)):
        files += [file for role, file in sorted(pair.files.items()) if role not in ("new", "reference")]
        words.append(f"{sorted(pair.columns.items())} {sorted(pair.files)} {pair.visit}")
    return "\n".join([fingerprint_files(files), *words])


def require_common(request: CandidateBuildRequest, parent: Dataset | None) -> None:
    """Refuse to add samples to a dataset that was built with other settings (`COMMON`).

    Raises
    ------
    StoreError
        Naming the first setting that differs.
    """
    if parent is None:
        return
    requested = request.model_dump()
    for name in COMMON:
        present = parent.manifest["parameters"].get(name, LATER.get(name))
        if requested[name] != present:
            raise StoreError(
                f"dataset {parent.name!r} was built with {name}={present}, not {requested[name]}; use another dataset"
            )


def published_conditions(dataset: Dataset | None) -> list[dict[str, Any]]:
    """Return seed, night and conditions of each simulated night of a dataset that was special, oldest build first."""
    return [] if dataset is None else list(dataset.manifest.get("conditions") or [])


def _with_conditions(
    nights: list[dict[str, Any]], request: CandidateBuildRequest, *, is_published: bool
) -> list[dict[str, Any]]:
    """Return the special nights of a dataset with that of a request.

    Raises
    ------
    StoreError
        Chip-visits of the request are published, under other conditions: the same names would mean other frames.
    """
    key = {"seed": request.seed, "night": request.night}
    asked = None if request.conditions is None else request.conditions.given
    before = [entry["conditions"] for entry in nights if {name: entry[name] for name in key} == key]
    if is_published and before != ([] if asked is None else [asked]):
        published = before[0] if before else None
        raise StoreError(
            f"night {request.night} of dataset {request.dataset!r} was built with conditions={json.dumps(published)}, "
            f"not {json.dumps(asked)}; use another dataset or night"
        )
    return nights if asked is None or before else [*nights, {**key, "conditions": asked}]


def unpublished(
    batches: Sequence[CandidateBatch], collector: BatchCollector, parent: Dataset | None
) -> tuple[tuple[CandidateBatch, ...], tuple[str, ...]]:
    """Return the batches with unpublished candidates, and the published ids of the request.

    A chip-visit is published as a whole; of a batch of records some may be published.
    """
    if parent is None:
        return tuple(batches), ()
    ledger = parent.samples(["id", "batch", "pixel_sha256"])
    if isinstance(collector, ReadyTriplets):
        pixels = dict(zip(ledger["id"].to_pylist(), ledger["pixel_sha256"].to_pylist(), strict=True))
        return _unpublished_records(batches, collector, pixels)
    finished = set(ledger["batch"].to_pylist())
    names = [batch.name for batch in batches if batch.name in finished]
    ids = ledger.filter(pc.is_in(ledger["batch"], pc.cast(names, "string")))["id"].to_pylist() if names else []
    return tuple(batch for batch in batches if batch.name not in finished), tuple(ids)


def _unpublished_records(
    batches: Sequence[CandidateBatch], ready: ReadyTriplets, pixels: Mapping[str, str | None]
) -> tuple[tuple[CandidateBatch, ...], tuple[str, ...]]:
    missing, published_ids = [], []
    for batch in batches:
        selected = [name for name in ready.source.ids(cast(BatchKey, batch.key)) if ready.selects(name)]
        published = [name for name in selected if name in pixels]
        published_ids += published
        if len(published) < len(selected):
            missing.append(replace(batch, published={name: pixels[name] for name in published}))
    return tuple(missing), tuple(published_ids)
