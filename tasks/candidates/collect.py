"""Getting candidates: from simulated or real frames, a chip-visit at a time, or from triplets that are ready.

What runs on the workers is here, apart from Prefect, so that a worker starts fast.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from realbogus.audits.origin_labels import find_origins, judge_truth
from realbogus.frames import FrameError
from realbogus.injection.chip_visit import CANDIDATES, VisitSettings, WorkedVisit, work_visit
from realbogus.injection.host_galaxies import GalaxyTable, hosts_of, no_hosts, read_galaxies
from realbogus.psf.measure import PsfError
from realbogus.records import DETECTION, MJD_EPOCH_JD, BatchKey, RecordSource, SourceError
from realbogus.simulation.survey import Survey, SurveySettings
from realbogus.sources.frame_pairs import FrameKeywords, PairFiles, read_difference, read_pair, read_psf
from realbogus.sources.known_objects import KNOWN_TRANSIENT, KnownTable, read_known, table_of
from realbogus.stamps import pixel_digests
from realbogus.subtraction.alignment import AlignmentError
from realbogus.subtraction.kernel_fit import MatchingError
from realbogus.subtraction.subtract import SubtractionError
from tasks.store.columns import to_bool, to_float
from tasks.store.sampling import hash_share
from tasks.store.schema import LEDGER, REJECTED, STORED
from tasks.store.staging import Staging

_OF_CANDIDATES = [item for item in CANDIDATES if item.name not in {"number", "label", *LEDGER.names}]
LEDGER_COLUMNS = pa.schema(
    [
        *LEDGER,
        pa.field("detector", pa.string()),
        pa.field("night", pa.string()),
        pa.field("visit", pa.int32()),
        pa.field("batch", pa.string()),
        pa.field("seeing_fwhm_arcsec", pa.float64(), metadata={b"unit": b"arcsec"}),
        *_OF_CANDIDATES,
    ]
)
STAGED_COLUMNS = pa.schema(
    [*LEDGER_COLUMNS, pa.field("label", pa.string()), pa.field("truth", pa.string()), pa.field("origin", pa.string())]
)
"""The ledger's columns, and what becomes the label and the hidden truth."""

VISIT_FAULTS: dict[type[ValueError], str] = {
    SourceError: "unreadable_frame",
    FrameError: "empty_frame",
    AlignmentError: "not_aligned",
    PsfError: "no_psf",
    MatchingError: "no_kernel",
    SubtractionError: "not_subtracted",
}
"""What can keep a whole chip-visit from being worked on, and the reason in its ledger row."""
KNOWN_GROUP = "known-"
"""What the group of a known transient begins with: all its detections are one, and only judged."""
FAULTY_VISIT = "visit"
"""Kind of the one ledger row of such a visit."""


@dataclass(frozen=True)
class Observed:
    """Candidates of one batch: `STAGED_COLUMNS` and the pixels of the stored ones, in their order."""

    table: pa.Table
    pixels: np.ndarray


class Observer(Protocol):
    """Gets the candidates of a batch; it can be pickled."""

    def observe(self, key: Any) -> Observed:
        """Return the batch's candidates."""


@dataclass(frozen=True)
class VisitKey:
    """A simulated chip-visit by its numbers."""

    seed: int
    night: int
    chip: int
    visit: int
    field: int

    @property
    def name(self) -> str:
        """What the ids of its candidates begin with."""
        return f"s{self.seed}-n{self.night}-c{self.chip}-v{self.visit}"


@dataclass(frozen=True)
class SimulatedVisits:
    """The simulated survey.

    Attributes
    ----------
    survey : SurveySettings
    work : VisitSettings
    with_known : bool
        Detections are compared with what other surveys would list of the simulated sky.
    """

    survey: SurveySettings
    work: VisitSettings
    with_known: bool = False

    def observe(self, key: VisitKey) -> Observed:
        """Simulate a chip-visit and work on it; the hidden truth is found by flux budget."""
        simulated = Survey(self.survey).chip_visit(key.night, key.chip, key.visit, key.field)
        rng = np.random.default_rng([self.survey.seed, key.night, key.chip, key.visit, 1])
        context = _Context(key.name, simulated.pair.night, simulated.pair.detector, key.visit)
        try:
            worked = work_visit(simulated.pair, hosts_of(simulated.galaxies), self.work, rng)
        except tuple(VISIT_FAULTS) as fault:
            return _faulty(context, simulated.pair.sky_cell, fault, self.work.stamp_px)
        where = worked.detections
        found = find_origins(worked.difference, simulated.origins, worked.injected, where.x, where.y)
        origins, truths = (np.full(worked.table.num_rows, None) for _ in range(2))
        origins[worked.rows], truths[worked.rows] = found, judge_truth(found)
        observed = _observed(context, simulated.pair.sky_cell, worked, truths.tolist(), origins.tolist())
        if not self.with_known:
            return observed
        listed = table_of(Survey(self.survey).known_objects(key.night, key.chip, key.visit, key.field))
        return mark_known(observed, listed, simulated.pair.epoch_mjd)


@dataclass(frozen=True)
class PairVisits:
    """Pairs of frames in files; `known` is a table of known objects."""

    work: VisitSettings
    seed: int
    galaxies: Path | None
    keywords: FrameKeywords = field(default_factory=FrameKeywords)
    known: Path | None = None

    def observe(self, key: PairFiles) -> Observed:
        """Read a pair and work on it."""
        name = key.identity
        context = _Context(name, "unknown", "0", key.visit)
        try:
            pair = read_pair(key, self.keywords)
            context = _Context(name, pair.night, pair.detector, pair.visit)
            catalogue = key.files.get("catalog", self.galaxies)
            hosts = no_hosts()
            if catalogue is not None and pair.new.wcs is not None:
                hosts = _galaxies(catalogue).on_frame(pair.new.wcs, pair.new.shape)
            given = self.work.subtraction.engine == "precomputed"
            difference = read_difference(key, pair.new.shape) if given else None
            psfs = (read_psf(key, side, pair.new.shape) for side in ("new", "reference"))
            rng = np.random.default_rng([self.seed, *name.encode()])
            worked = work_visit(pair, hosts, self.work, rng, difference, *psfs)
        except tuple(VISIT_FAULTS) as fault:
            return _faulty(context, name, fault, self.work.stamp_px, str(key.files["new"]))
        nothing: list[str | None] = [None] * worked.table.num_rows
        observed = _observed(context, pair.sky_cell, worked, nothing, nothing)
        return observed if self.known is None else mark_known(observed, _known(self.known), pair.epoch_mjd)


@dataclass(frozen=True)
class ReadyTriplets:
    """Triplets that someone else has cut.

    Attributes
    ----------
    source : RecordSource
    seed : int
    below : float
        Only records whose hash of id and seed is below are taken: how a limit chooses.
    known : Path, optional
        A table of known objects.
    """

    source: RecordSource
    seed: int
    below: float = 1.0
    known: Path | None = None

    def observe(self, key: BatchKey) -> Observed:
        """Read a batch of records."""
        records = self.source.read(key)
        ids = records.table["id"].to_pylist()
        taken = np.array([self.takes(sample_id) for sample_id in ids], bool)
        table = records.table.filter(pa.array(taken))
        taken[taken] = to_bool(pc.is_null(table["reason"]))
        pixels = records.pixels if taken.all() else records.pixels[taken]
        observed = Observed(_complete(table, {"batch": [key.name] * table.num_rows}, pixels), pixels)
        return observed if self.known is None else mark_known(observed, _known(self.known))

    def takes(self, sample_id: str) -> bool:
        """Tell whether a record is among those asked for."""
        return self.below >= 1 or hash_share(sample_id, self.seed) < self.below


@dataclass(frozen=True)
class ObserveJob:
    """One batch for one task.

    Attributes
    ----------
    known : frozenset of str
        Ids that are published already; they are left out.
    """

    number: int
    key: Any
    observer: Observer
    source_name: str
    staging: Staging
    known: frozenset[str] = frozenset()


def observe_batch(job: ObserveJob) -> None:
    """Get a batch's candidates and leave them in staging."""
    observed = job.observer.observe(job.key)
    table, pixels = observed.table, observed.pixels
    if job.known:
        fresh = ~to_bool(pc.is_in(table["id"], pa.array(sorted(job.known))))
        stored = to_bool(pc.equal(table["status"], STORED))
        pixels, table = pixels[fresh[stored]], table.filter(pa.array(fresh))
    source = pa.array([job.source_name] * table.num_rows, pa.string())
    table = table.set_column(table.schema.get_field_index("source"), "source", source)
    job.staging.write(job.number, table, pixels)


def mark_known(observed: Observed, known: KnownTable, epoch_mjd: float | None = None) -> Observed:
    """Give detections that are known objects their own kind and take their label.

    A known transient joins the group of its name. Name and separation stand in `parameters`. Where no epoch is given,
    each row's own is taken from its parameters (``jd`` or ``mjd``).
    """
    table = observed.table
    columns = {name: table[name].to_pylist() for name in ("kind", "label", "group", "parameters")}
    ra_deg, dec_deg = (to_float(table[name]) for name in ("ra_deg", "dec_deg"))
    epochs = [epoch_mjd if epoch_mjd is not None else _epoch_of(text) for text in columns["parameters"]]
    matched = known.match(ra_deg, dec_deg, np.array([np.nan if epoch is None else epoch for epoch in epochs]))
    for row in np.flatnonzero((matched >= 0) & (np.array(columns["kind"]) == DETECTION)):
        name, kind = str(known.names[matched[row]]), str(known.kinds[matched[row]])
        columns["kind"][row], columns["label"][row] = kind, None
        if kind == KNOWN_TRANSIENT:
            columns["group"][row] = KNOWN_GROUP + name
        told = {**json.loads(columns["parameters"][row]), "known_object": name}
        columns["parameters"][row] = json.dumps(told, sort_keys=True)
    for name, values in columns.items():
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(at), pa.array(values, table.schema.field(at).type))
    return Observed(table, observed.pixels)


def _epoch_of(parameters: str) -> float | None:
    told = json.loads(parameters)
    if isinstance(told.get("jd"), int | float):
        return float(told["jd"]) - MJD_EPOCH_JD
    return next((float(told[name]) for name in ("mjd", "midpointMjdTai", "midPointTai") if told.get(name)), None)


def _known(path: Path) -> KnownTable:
    """Read a table of known objects, once a process as long as it is not changed."""
    return _read_known(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=2)
def _read_known(path: Path, modified: int) -> KnownTable:
    return read_known(path)


def faults_of(staged: pa.Table) -> list[str]:
    """Return what kept chip-visits from being worked on, as reason and fault."""
    rows = staged.filter(pc.equal(staged["kind"], FAULTY_VISIT)).select(["reason", "parameters"]).to_pylist()
    return [f"{row['reason']}: {json.loads(row['parameters'])['fault']}" for row in rows]


def _galaxies(path: Path) -> GalaxyTable:
    """Read a table of galaxies, once a process as long as it is not changed."""
    return _read_galaxies(path, path.stat().st_mtime_ns if path.is_file() else 0)


@lru_cache(maxsize=2)
def _read_galaxies(path: Path, modified: int) -> GalaxyTable:
    return read_galaxies(path)


@dataclass(frozen=True)
class _Context:
    """What all candidates of a chip-visit share."""

    name: str
    night: str
    detector: str
    visit: int


def _observed(
    context: _Context,
    sky_cell: str,
    worked: WorkedVisit,
    truths: Sequence[str | None],
    origins: Sequence[str | None],
) -> Observed:
    """Return the staged rows of a worked chip-visit."""
    table, count = worked.table, worked.table.num_rows
    seeing = worked.psf.fwhm_px * worked.difference.pair.new.pixel_arcsec
    given: dict[str, Sequence[Any]] = {
        "id": [f"{context.name}-{number:04d}" for number in table["number"].to_pylist()],
        "group": [sky_cell] * count,
        "detector": [context.detector] * count,
        "night": [context.night] * count,
        "visit": [context.visit] * count,
        "batch": [context.name] * count,
        "seeing_fwhm_arcsec": [seeing] * count,
        "parameters": ["{}"] * count,
        "truth": truths,
        "origin": origins,
    }
    return Observed(_complete(table, given, worked.pixels), worked.pixels)


def _faulty(context: _Context, sky_cell: str, fault: Exception, stamp_px: int, file: str | None = None) -> Observed:
    """Return the one row of a chip-visit that could not be worked on."""
    reason = next(reason for kind, reason in VISIT_FAULTS.items() if isinstance(fault, kind))
    told = str(fault) if file is None or file in str(fault) else f"{file}: {fault}"
    row: dict[str, Any] = {
        "id": f"{context.name}-visit",
        "group": sky_cell,
        "detector": context.detector,
        "night": context.night,
        "visit": context.visit,
        "batch": context.name,
        "kind": FAULTY_VISIT,
        "reason": reason,
        "parameters": json.dumps({"fault": told}),
    }
    pixels = np.zeros((0, stamp_px, stamp_px, 3), np.float32)
    given = {name: [value] for name, value in row.items()}
    return Observed(_complete(pa.table({"kind": [FAULTY_VISIT]}), given, pixels), pixels)


def _complete(table: pa.Table, given: Mapping[str, Sequence[Any]], pixels: np.ndarray) -> pa.Table:
    """Return `STAGED_COLUMNS`: given values, else the table's own, else null; status and pixel digests follow."""
    count = table.num_rows
    columns: dict[str, Any] = {}
    for item in STAGED_COLUMNS:
        if item.name in given:
            columns[item.name] = pa.array(given[item.name], item.type)
        elif item.name in table.column_names:
            columns[item.name] = table[item.name].combine_chunks().cast(item.type)
        else:
            columns[item.name] = pa.nulls(count, item.type)
    reasons = columns["reason"].to_pylist()
    digests = iter(pixel_digests(pixels))
    columns["status"] = pa.array([STORED if reason is None else REJECTED for reason in reasons])
    columns["pixel_sha256"] = pa.array([next(digests) if reason is None else None for reason in reasons], pa.string())
    columns["attempts"] = pa.array([1] * count, pa.int32())
    columns["finished_at"] = pa.array([datetime.now(UTC)] * count, STAGED_COLUMNS.field("finished_at").type)
    return pa.table(columns, schema=STAGED_COLUMNS)
