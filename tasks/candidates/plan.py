"""Planning a real/bogus dataset: which chip-visits or batches of triplets are asked for, and what is there already."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow.compute as pc
from prefect import task
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel, ConfigDict, Field, model_validator

from realbogus.injection.chip_visit import VisitSettings
from realbogus.injection.inject import InjectionSettings
from realbogus.records import BatchKey, RecordSource
from realbogus.simulation.survey import SurveySettings
from realbogus.sources.alerts import AlertSource
from realbogus.sources.frame_pairs import PairFiles, read_pairs
from realbogus.sources.known_objects import read_known
from realbogus.sources.triplets import TripletSource
from realbogus.sources.zenodo import ZenodoSource
from realbogus.subtraction.subtract import SubtractionSettings
from tasks.building.plan import Plan, published_parent
from tasks.candidates.collect import Observer, PairVisits, ReadyTriplets, SimulatedVisits, VisitKey
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.errors import StoreError
from tasks.store.sampling import hash_share
from tasks.store.schema import check_name

PROBLEM = "realbogus"
SourceName = Literal["simulated", "frames", "zenodo", "alerts", "triplets"]
SCHEME = "real-bogus"
CLASSES = ("bogus", "real")
VISITS_A_NIGHT = 1000
KNOWN_OF_SIMULATION = "simulated"
"""What other surveys would list of the simulated sky."""
# What every sample of a dataset has in common, so that a network cannot tell apart what is no difference of the sky.
COMMON = (
    *("source", "stamp_px", "engine", "threshold_sigma"),
    *("injections_per_visit", "galaxy_fraction", "balance", "revisits", "scene_transients", "diversity"),
    "seeing_arcsec",
)


class CandidateRequest(BaseModel):
    """What `build-realbogus-dataset` was asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    source: SourceName
    path: str | None
    night: int = Field(ge=0)
    stamp_px: int = Field(ge=11, le=127)
    label_column: str | None
    group_column: str | None
    galaxy_catalog: str | None
    known_objects: str | None
    galaxy_fraction: float = Field(ge=0, le=1)
    balance: Literal["asked", "stored"]
    injections_per_visit: int = Field(ge=0, le=10_000)
    chips: int = Field(ge=1)
    visits: int = Field(ge=1, le=VISITS_A_NIGHT)
    revisits: int = Field(ge=1)
    scene_transients: float = Field(ge=0)
    diversity: float = Field(ge=0)
    seeing_arcsec: float = Field(gt=0)
    engine: Literal["alard-lupton", "zogy", "sfft", "precomputed"]
    threshold_sigma: float = Field(gt=0)
    limit: int | None = Field(ge=1)
    seed: int = Field(ge=0)

    @model_validator(mode="after")
    def _goes_together(self) -> "CandidateRequest":
        check_name(self.dataset)
        if self.source != "simulated" and self.path is None:
            raise ValueError(f"source={self.source} needs path=FOLDER or path=FILE")
        if self.source == "simulated" and self.path is not None:
            raise ValueError(f"source=simulated takes no path, path={self.path} was given; did you mean source=frames?")
        if self.known_objects == KNOWN_OF_SIMULATION and self.source != "simulated":
            raise ValueError(f"known_objects={KNOWN_OF_SIMULATION} is for source=simulated, not source={self.source}")
        if self.engine == "precomputed" and self.source != "frames":
            raise ValueError(f"engine=precomputed is for source=frames, not source={self.source}")
        return self

    @property
    def survey(self) -> SurveySettings:
        """The survey that is simulated."""
        return SurveySettings(
            seed=self.seed,
            transients_per_visit=self.scene_transients,
            diversity=self.diversity,
            seeing_fwhm_arcsec=self.seeing_arcsec,
        )

    @property
    def work(self) -> VisitSettings:
        """How a chip-visit is worked on."""
        return VisitSettings(
            injection=InjectionSettings(per_visit=self.injections_per_visit, galaxy_fraction=self.galaxy_fraction),
            subtraction=SubtractionSettings(engine=self.engine),
            threshold_sigma=self.threshold_sigma,
            stamp_px=self.stamp_px,
        )


@dataclass(frozen=True)
class CandidateBatch:
    """One piece of work: a chip-visit or a stretch of records."""

    number: int
    name: str
    key: VisitKey | PairFiles | BatchKey
    known: frozenset[str] = frozenset()


@dataclass(frozen=True)
class CandidatePlan(Plan):
    """The plan of a real/bogus dataset, and what this process knows of its source.

    Attributes
    ----------
    observer : Observer
    batches : tuple of Batch
        Those that are not published yet.
    before : tuple of str
        Ids of the request that are published already.
    """

    observer: Observer
    batches: tuple[CandidateBatch, ...]
    before: tuple[str, ...]


@task(name="plan", description="List chip-visits or batches, and find what is stored already", cache_policy=NO_CACHE)
def plan_candidates(workspace: Workspace, request: CandidateRequest) -> CandidatePlan:
    """Write the plan of a build into the dataset's staging folder.

    Raises
    ------
    SourceError
        The source cannot be read as asked.
    StoreError
        The dataset holds something else.
    """
    parent = published_parent(workspace, request.dataset, PROBLEM)
    _check_common(request, parent)
    observer, batches = _list_batches(request)
    batches = list({batch.name: batch for batch in batches}.values())  # copies of a file count once
    left, before = _unpublished(batches, observer, parent)
    digest = _digest(request, batches)
    facts = {
        "request": request.model_dump(mode="json"),
        "digest": digest,
        "scheme": {"name": SCHEME, "digest": scheme_digest(), "classes": list(CLASSES)},
        "parent": None if parent is None else parent.version,
        "ask": len(left),
        "finished_before": parent is not None and digest in parent.manifest["builds"],
    }
    staged = hashlib.sha256("\n".join([digest, *(batch.name for batch in left)]).encode()).hexdigest()[:16]
    plan = Plan.begin(workspace.datasets / request.dataset, staged, facts)
    return CandidatePlan(plan.folder, observer, left, before)


def scheme_digest() -> str:
    """Return what identifies the scheme of two classes."""
    return hashlib.sha256(":".join([SCHEME, *CLASSES]).encode()).hexdigest()


def _check_common(request: CandidateRequest, parent: Dataset | None) -> None:
    """Refuse to add samples of another kind to a dataset."""
    if parent is None:
        return
    asked = request.model_dump()
    for name in COMMON:
        held = parent.manifest["parameters"][name]
        if asked[name] != held:
            raise StoreError(
                f"dataset {parent.name!r} was built with {name}={held}, not {asked[name]}; use another dataset"
            )


def _list_batches(request: CandidateRequest) -> tuple[Observer, list[CandidateBatch]]:
    """Return who gets candidates and all pieces of work of a request."""
    if request.source == "simulated":
        visits = list(_simulated_visits(request))[: request.limit]
        simulated = SimulatedVisits(request.survey, request.work, request.known_objects == KNOWN_OF_SIMULATION)
        return simulated, [CandidateBatch(number, key.name, key) for number, key in enumerate(visits)]
    path = Path(str(request.path)).expanduser()
    if request.source == "frames":
        pairs = read_pairs(path)[: request.limit]
        galaxies = None if request.galaxy_catalog is None else Path(request.galaxy_catalog).expanduser()
        if galaxies is not None and not galaxies.is_file():
            raise FileNotFoundError(f"galaxy_catalog={galaxies} does not exist")
        found = PairVisits(request.work, request.seed, galaxies, known=_known_objects(request))
        return found, [CandidateBatch(number, pair.identity, pair) for number, pair in enumerate(pairs)]
    source = _open_records(request, path)
    keys = list(source.batches())
    below = 1.0 if request.limit is None else _hash_of_last(source, keys, request.limit, request.seed)
    ready = ReadyTriplets(source, request.seed, below, _known_objects(request))
    return ready, [CandidateBatch(number, key.name, key) for number, key in enumerate(keys)]


def _known_objects(request: CandidateRequest) -> Path | None:
    """Return the table of known objects, refused here rather than on a worker."""
    if request.known_objects is None:
        return None
    path = Path(request.known_objects).expanduser()
    read_known(path)
    return path


def _simulated_visits(request: CandidateRequest) -> Iterator[VisitKey]:
    """Yield chip-visits, visit by visit, so that a smaller number of visits is the beginning of a larger one."""
    for visit in range(request.visits):
        field = request.night * VISITS_A_NIGHT + visit // request.revisits
        for chip in range(request.chips):
            yield VisitKey(request.seed, request.night, chip, visit, field)


def _open_records(request: CandidateRequest, path: Path) -> RecordSource:
    if request.source == "zenodo":
        return ZenodoSource(path, request.stamp_px, request.group_column)
    if request.source == "alerts":
        return AlertSource(path, request.stamp_px)
    return TripletSource(path, request.stamp_px, request.label_column, request.group_column)


def _hash_of_last(source: RecordSource, keys: Sequence[BatchKey], limit: int, seed: int) -> float:
    """Return the bound of the hash below which `limit` records lie."""
    shares = sorted(hash_share(sample_id, seed) for key in keys for sample_id in source.ids(key))
    return shares[limit] if limit < len(shares) else 1.0


def _unpublished(
    batches: list[CandidateBatch], observer: Observer, parent: Dataset | None
) -> tuple[tuple[CandidateBatch, ...], tuple[str, ...]]:
    """Return the batches that have something new, and the ids of the request that are published."""
    if parent is None:
        return tuple(batches), ()
    ledger = parent.samples(["id", "batch"])
    if isinstance(observer, ReadyTriplets):
        return _unpublished_records(batches, observer, set(ledger["id"].to_pylist()))
    finished = set(ledger["batch"].to_pylist())
    names = [batch.name for batch in batches if batch.name in finished]
    before = ledger.filter(pc.is_in(ledger["batch"], pc.cast(names, "string")))["id"].to_pylist() if names else []
    return tuple(batch for batch in batches if batch.name not in finished), tuple(before)


def _unpublished_records(
    batches: list[CandidateBatch], ready: ReadyTriplets, published: set[str]
) -> tuple[tuple[CandidateBatch, ...], tuple[str, ...]]:
    left, before = [], []
    for batch in batches:
        wanted = [sample_id for sample_id in ready.source.ids(batch.key) if ready.takes(sample_id)]  # type: ignore[arg-type]
        known = [sample_id for sample_id in wanted if sample_id in published]
        before += known
        if len(known) < len(wanted):
            left.append(CandidateBatch(batch.number, batch.name, batch.key, frozenset(known)))
    return tuple(left), tuple(before)


def _digest(request: CandidateRequest, batches: list[CandidateBatch]) -> str:
    """Return what makes two requests the same: all but where the source lies."""
    same = request.model_dump(mode="json", exclude={"path"})
    total = hashlib.sha256(json.dumps(same, sort_keys=True).encode())
    for batch in batches:
        total.update(batch.name.encode() + b"\n")
    return total.hexdigest()
