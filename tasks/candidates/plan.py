"""The plan of a real/bogus dataset: which chip-visits or batches of triplets are requested, and which are published."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from realbogus.injection.chip_visit import VisitSettings
from realbogus.injection.inject import InjectionSettings
from realbogus.records import BatchKey, RecordSource
from realbogus.simulation.night_conditions import NightConditions
from realbogus.simulation.survey import SurveySettings
from realbogus.sources.alerts import AlertSource
from realbogus.sources.pair_tables import PairFiles, read_pairs
from realbogus.sources.triplets import TripletSource
from realbogus.sources.zenodo import ZenodoSource
from realbogus.subtraction.engine_names import SubtractionEngine
from realbogus.subtraction.subtract import SubtractionSettings
from tasks.building.plan import Plan, begin_plan, published_parent
from tasks.candidates.choices import Balance, SourceName, WithoutEpoch
from tasks.candidates.collect import BatchCollector, PairVisits, ReadyTriplets, SimulatedVisits, VisitKey
from tasks.candidates.known_objects import KNOWN_PREFIX, KnownObjects
from tasks.records.record_tables import RecordTables
from tasks.records.source_files import fingerprint_files, list_record_files
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.errors import StoreError
from tasks.store.places import dataset_objects
from tasks.store.sampling import hash_shares
from tasks.store.schema import REALBOGUS, check_name
from tasks.tables.roles import ROLES

SCHEME = "real-bogus"
CLASSES = ("bogus", "real")
VISITS_A_NIGHT = 1000
KNOWN_OF_SIMULATION = "simulated"
"""Value of known_objects: the objects that other surveys would list of the simulated sky."""
MOST_ROUNDS = 12
"""How often at most transients are injected into a chip-visit with balance=stored."""
TABLE_SOURCES = ("triplets", "zenodo")
"""Sources whose rows stand in a table of their own."""
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


class CandidateRequest(BaseModel):
    """The parameters of `build-realbogus-dataset`."""

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
    known_without_epoch: WithoutEpoch = "refuse"
    columns: dict[str, str] | None = None
    conditions: NightConditions | None = None
    galaxy_fraction: float = Field(ge=0, le=1)
    balance: Balance
    variable_fraction: float = Field(default=0.0, ge=0, le=0.4)
    randomisation: float = Field(default=0.0, ge=0, le=1)
    injections_per_visit: int = Field(ge=0, le=10_000)
    injection_rounds: int = Field(default=1, ge=1, le=20)
    chips: int = Field(ge=1)
    visits: int = Field(ge=1, le=VISITS_A_NIGHT)
    revisits: int = Field(ge=1)
    scene_transients: float = Field(ge=0)
    diversity: float = Field(ge=0)
    seeing_arcsec: float = Field(gt=0)
    engine: SubtractionEngine
    threshold_sigma: float = Field(gt=0)
    limit: int | None = Field(ge=1)
    verify_existing: bool = Field(default=False, exclude=True)  # no part of what is built, nor of its digest
    seed: int = Field(ge=0)

    @field_validator("conditions")
    @classmethod
    def _ordinary_ones_are_none(cls, conditions: NightConditions | None) -> NightConditions | None:
        return None if conditions is None or conditions.is_ordinary else conditions

    @model_validator(mode="after")
    def _names_a_path_where_needed(self) -> "CandidateRequest":
        check_name(self.dataset)
        if self.source != "simulated" and self.path is None:
            raise ValueError(f"source={self.source} needs path=FOLDER or path=FILE")
        if self.source == "simulated" and self.path is not None:
            raise ValueError(f"source=simulated takes no path, path={self.path} was given; did you mean source=frames?")
        return self

    @model_validator(mode="after")
    def _fits_its_source(self) -> "CandidateRequest":
        if self.known_objects == KNOWN_OF_SIMULATION and self.source != "simulated":
            raise ValueError(f"known_objects={KNOWN_OF_SIMULATION} is for source=simulated, not source={self.source}")
        if self.conditions is not None:
            if self.source != "simulated":
                raise ValueError(
                    f"conditions={self.conditions.given} are for source=simulated, not source={self.source}"
                )
            self.conditions.require_chip(self.chips)
        if self.source not in ("simulated", "frames"):
            for name, is_given in (
                ("balance=stored", self.balance == "stored"),
                (f"injection_rounds={self.injection_rounds}", self.injection_rounds > 1),
            ):
                if is_given:
                    raise ValueError(f"{name} injects into frames, but source={self.source} has ready triplets")
        if self.engine == "precomputed" and self.source != "frames":
            raise ValueError(f"engine=precomputed is for source=frames, not source={self.source}")
        if self.columns and self.source not in TABLE_SOURCES and not self.known_columns:
            raise ValueError(f"columns={self.columns} names columns, but source={self.source} reads no table of rows")
        return self

    @property
    def record_columns(self) -> tuple[tuple[str, str], ...]:
        """Columns named for the source's own table, (role, column)."""
        if self.source not in TABLE_SOURCES:
            return ()
        return tuple(
            (role, name) for role, name in (self.columns or {}).items() if not role.startswith(f"{KNOWN_PREFIX}.")
        )

    @property
    def known_columns(self) -> tuple[tuple[str, str], ...]:
        """Columns named for the table of known objects, (role, column).

        Their roles begin with ``known_objects.``, or are all where the source has no table of rows itself.
        """
        if self.known_objects in (None, KNOWN_OF_SIMULATION):
            return ()
        prefix, takes_all = f"{KNOWN_PREFIX}.", self.source not in TABLE_SOURCES
        named = (self.columns or {}).items()
        return tuple((role.removeprefix(prefix), name) for role, name in named if takes_all or role.startswith(prefix))

    @property
    def survey(self) -> SurveySettings:
        """The survey to simulate."""
        return SurveySettings(
            seed=self.seed,
            transients_per_visit=self.scene_transients,
            diversity=self.diversity,
            seeing_fwhm_arcsec=self.seeing_arcsec,
            variable_share=self.variable_fraction,
            randomisation=self.randomisation,
        )

    @property
    def work(self) -> VisitSettings:
        """The settings of a chip-visit."""
        return VisitSettings(
            injection=InjectionSettings(
                per_visit=self.injections_per_visit,
                galaxy_fraction=self.galaxy_fraction,
                variable_fraction=self.variable_fraction,
                repeats=self.injection_rounds,
                rounds=MOST_ROUNDS if self.balance == "stored" else 1,
            ),
            subtraction=SubtractionSettings(engine=self.engine),
            threshold_sigma=self.threshold_sigma,
            stamp_px=self.stamp_px,
        )


@dataclass(frozen=True)
class CandidateBatch:
    """One work item: a chip-visit or a batch of records.

    Attributes
    ----------
    number : int
        Of the batch among all of the request.
    name : str
    key : VisitKey, PairFiles or BatchKey
    published : mapping of str to str or None
        Ids of the batch that are published already, with the sha256 of their pixels where these are stored.
    """

    number: int
    name: str
    key: VisitKey | PairFiles | BatchKey
    published: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class CandidatePlan(Plan[CandidateRequest]):
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


def plan_candidates(workspace: Workspace, request: CandidateRequest) -> CandidatePlan:
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


def request_digest(request: CandidateRequest, batches: Sequence[str]) -> str:
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


def fingerprint_inputs(request: CandidateRequest, collector: BatchCollector, batches: Sequence[CandidateBatch]) -> str:
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


def require_common(request: CandidateRequest, parent: Dataset | None) -> None:
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
    nights: list[dict[str, Any]], request: CandidateRequest, *, is_published: bool
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


def list_batches(request: CandidateRequest) -> tuple[BatchCollector, list[CandidateBatch]]:
    """Return the collector of a request's source and all of its batches, published or not.

    Raises
    ------
    SourceError
        The source cannot be read as requested.
    FileNotFoundError
        The table of galaxies does not exist.
    """
    if request.source == "simulated":
        visits = list(simulated_visits(request))[: request.limit]
        with_known, special = request.known_objects == KNOWN_OF_SIMULATION, request.conditions or NightConditions()
        simulated = SimulatedVisits(request.survey, request.work, with_known, special)
        return simulated, [CandidateBatch(number, key.name, key) for number, key in enumerate(visits)]
    path = Path(str(request.path)).expanduser()
    return _list_pairs(request, path) if request.source == "frames" else _list_records(request, path)


def _list_pairs(request: CandidateRequest, path: Path) -> tuple[PairVisits, list[CandidateBatch]]:
    pairs = read_pairs(path)[: request.limit]
    galaxies = None if request.galaxy_catalog is None else Path(request.galaxy_catalog).expanduser()
    if galaxies is not None and not galaxies.is_file():
        raise FileNotFoundError(f"galaxy_catalog={galaxies} does not exist")
    visits = PairVisits(request.work, request.seed, galaxies, known=_known_objects(request))
    return visits, [CandidateBatch(number, pair.identity, pair) for number, pair in enumerate(pairs)]


def _list_records(request: CandidateRequest, path: Path) -> tuple[ReadyTriplets, list[CandidateBatch]]:
    source = _open_records(request, path)
    known = _known_objects(request)
    if known is not None and isinstance(source, TripletSource):
        require_time(source, known)
    keys = list(source.batches())
    below = 1.0 if request.limit is None else hash_bound(source, keys, request.limit, request.seed)
    ready = ReadyTriplets(source, request.seed, below, known)
    return ready, [CandidateBatch(number, key.name, key) for number, key in enumerate(keys)]


def require_time(source: TripletSource, known: KnownObjects) -> None:
    """Refuse triplets of which no row has an epoch, unless detections may match by position alone.

    Raises
    ------
    NoEpochError
        Names the table and the columns that were looked for.
    """
    table = source.table
    has_epoch = bool(np.isfinite(table.epochs_mjd).any())
    notes = [f"its columns are {', '.join(table.names) or 'none'}"]
    if "time" in table.roles:
        notes = [f"column {table.roles['time']!r} holds none", *table.reading(0, len(table)).notes]
    known.require_epoch(0.0 if has_epoch else None, str(table.path), ROLES["time"].names, notes)


def _known_objects(request: CandidateRequest) -> KnownObjects | None:
    """Return the known objects; the table is read so that a bad one is refused before any work."""
    if request.known_objects is None:
        return None
    path = Path(request.known_objects).expanduser()
    known = KnownObjects(path, request.known_without_epoch, request.known_columns)
    known.open()
    return known


def simulated_visits(request: CandidateRequest) -> Iterator[VisitKey]:
    """Yield chip-visits, visit by visit, so that fewer visits are a prefix of more."""
    for visit in range(request.visits):
        field = request.night * VISITS_A_NIGHT + visit // request.revisits
        for chip in range(request.chips):
            yield VisitKey(request.seed, request.night, chip, visit, field)


def _open_records(request: CandidateRequest, path: Path) -> RecordSource:
    if request.source == "alerts":
        return AlertSource(path, request.stamp_px)
    tables = RecordTables(request.record_columns)
    if request.source == "zenodo":
        return ZenodoSource(path, request.stamp_px, request.group_column, tables)
    return TripletSource(path, request.stamp_px, request.label_column, request.group_column, tables.conventions())


def hash_bound(source: RecordSource, keys: Sequence[BatchKey], limit: int, seed: int) -> float:
    """Return the bound below which the hashes of exactly `limit` records are; 1 if there are no more records."""
    ids = dict.fromkeys(sample_id for key in keys for sample_id in source.ids(key))
    shares = sorted(hash_shares(ids, seed).tolist())
    return float(shares[limit]) if limit < len(shares) else 1.0


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
