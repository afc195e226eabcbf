"""Collecting candidates batch by batch: from simulated or real frames, one chip-visit each, or from ready triplets.

Workers run this module; it does not import Prefect, so they start fast.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from realbogus.audits.origin_labels import classify_origins, find_origins
from realbogus.epochs import TIME_KEYWORDS
from realbogus.frames import Frame
from realbogus.injection.chip_visit import SurveyProducts, VisitSettings, WorkedVisit, work_rounds
from realbogus.injection.host_galaxies import GalaxyTable, hosts_of, no_hosts, read_galaxies
from realbogus.readings import Reading
from realbogus.records import BatchKey, RecordSource, find_places
from realbogus.simulation.light_by_origin import LightByOrigin
from realbogus.simulation.night_conditions import NightConditions
from realbogus.simulation.survey import SimulatedVisit, Survey, SurveySettings
from realbogus.sources.frame_keywords import FrameKeywords
from realbogus.sources.frame_pairs import read_difference, read_pair, read_psf
from realbogus.sources.known_objects import table_of
from realbogus.sources.pair_tables import PairFiles
from tasks.candidates.building.known_objects import KnownObjects, mark_known_objects
from tasks.candidates.building.staged_rows import (
    VISIT_FAULTS,
    StagedBatch,
    VisitFacts,
    complete_rows,
    join_rounds,
    stage_fault,
    stage_visit,
)
from tasks.candidates.building.wrong_labels import flip_labels
from tasks.records.kept_readings import keep_reading, kept_reading
from tasks.records.repetitions import different_error
from tasks.store.columns import to_bool
from tasks.store.merging import with_columns
from tasks.store.sampling import hash_share
from tasks.store.schema import STORED
from tasks.store.staging import Staging


class BatchCollector(Protocol):
    """Collects the candidates of a batch; it can be pickled."""

    def collect(self, key: Any) -> StagedBatch:
        """Return the candidates of the batch that `key` identifies."""


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
        """Prefix of the ids of its candidates."""
        return f"s{self.seed}-n{self.night}-c{self.chip}-v{self.visit}"


@dataclass(frozen=True)
class SimulatedVisits:
    """Chip-visits of the simulated survey.

    Attributes
    ----------
    survey : SurveySettings
    work : VisitSettings
    with_known : bool
        Whether detections are matched with what other surveys would list of the simulated sky.
    special : NightConditions
        What is special about the night.
    """

    survey: SurveySettings
    work: VisitSettings
    with_known: bool = False
    special: NightConditions = field(default_factory=NightConditions)

    def collect(self, key: VisitKey) -> StagedBatch:
        """Simulate a chip-visit and process it; the hidden truth follows from the flux of each origin."""
        batch = self._work(key)
        return replace(batch, table=flip_labels(batch.table, self.special.wrong_labels, self.survey.seed))

    def name_of(self, key: VisitKey) -> str:
        """Return the name of a batch."""
        return key.name

    def new_frame(self, key: VisitKey) -> Frame:
        """Return the new frame of a chip-visit, without injections."""
        return self._simulate(key).pair.new

    def _simulate(self, key: VisitKey) -> SimulatedVisit:
        return Survey(self.survey, self.special).chip_visit(key.night, key.chip, key.visit, key.field)

    def _work(self, key: VisitKey) -> StagedBatch:
        simulated = self._simulate(key)
        pair = simulated.pair
        rng = np.random.default_rng([self.survey.seed, key.night, key.chip, key.visit, 1])
        facts = VisitFacts(key.name, pair.sky_cell, pair.night, pair.detector, key.visit)
        try:
            worked = work_rounds(pair, hosts_of(simulated.galaxies), self.work, rng)
            rounds = [_stage_simulated(facts, number, one, simulated.light) for number, one in enumerate(worked, 1)]
        except tuple(VISIT_FAULTS) as fault:
            return stage_fault(facts, fault, self.work.stamp_px)
        batch = join_rounds(facts, rounds, rng)
        if not self.with_known:
            return batch
        known = table_of(Survey(self.survey).known_objects(key.night, key.chip, key.visit, key.field))
        return mark_known_objects(batch, known, np.array([pair.epoch_mjd], np.float64))


def _stage_simulated(facts: VisitFacts, number: int, worked: WorkedVisit, light: LightByOrigin) -> StagedBatch:
    """Return the staged rows of a round of injections, by its number, with the true origin of each detection."""
    detections = worked.detections
    of_detections = find_origins(worked.difference, light, worked.injected, detections.x, detections.y)
    origins, truths = (np.full(worked.table.num_rows, None) for _ in range(2))
    origins[worked.rows], truths[worked.rows] = of_detections, classify_origins(of_detections)
    return stage_visit(replace(facts, injection_round=number), worked, truths.tolist(), origins.tolist())


@dataclass(frozen=True)
class PairVisits:
    """Pairs of frames in files.

    Attributes
    ----------
    work : VisitSettings
    seed : int
    galaxies : Path or None
        Table of galaxies, for pairs without a catalogue of their own.
    keywords : FrameKeywords
    known : KnownObjects, optional
    """

    work: VisitSettings
    seed: int
    galaxies: Path | None
    keywords: FrameKeywords = field(default_factory=FrameKeywords)
    known: KnownObjects | None = None

    def name_of(self, key: PairFiles) -> str:
        """Return the name of a batch."""
        return key.identity

    def new_frame(self, key: PairFiles) -> Frame:
        """Return the new frame of a pair, without injections."""
        return read_pair(key, self.keywords).new

    def collect(self, key: PairFiles) -> StagedBatch:
        """Read a pair and process it."""
        name = key.identity
        facts, reading = VisitFacts(name, name, "unknown", "0", key.visit), Reading()
        try:
            pair = read_pair(key, self.keywords)
            reading = pair.reading
            # A rejected visit has its own name as its group: frames that failed share no sky with others.
            facts = VisitFacts(name, name, pair.night, pair.detector, pair.visit)
            if self.known is not None:
                looked_for = (*self.keywords.epoch_mjd, *TIME_KEYWORDS)
                self.known.require_epoch(pair.epoch_mjd, str(key.files["new"]), looked_for, pair.reading.notes)
            catalogue = key.files.get("catalog", self.galaxies)
            hosts = no_hosts()
            if catalogue is not None and pair.new.wcs is not None:
                hosts = _open_galaxies(catalogue).on_frame(pair.new.wcs, pair.new.shape)
            is_precomputed = self.work.subtraction.engine == "precomputed"
            difference = read_difference(key, pair.new.shape) if is_precomputed else None
            psfs = (read_psf(key, frame, pair.new.shape) for frame in ("new", "reference"))
            rng = np.random.default_rng([self.seed, *name.encode()])
            padded = (pair.new.padded_fraction, pair.reference.padded_fraction)
            worked_facts = VisitFacts(name, pair.sky_cell, pair.night, pair.detector, pair.visit, padded)
            rounds = []
            for number, worked in enumerate(
                work_rounds(pair, hosts, self.work, rng, SurveyProducts(difference, *psfs)), 1
            ):
                unknown: list[str | None] = [None] * worked.table.num_rows
                rounds.append(stage_visit(replace(worked_facts, injection_round=number), worked, unknown, unknown))
        except tuple(VISIT_FAULTS) as fault:
            failed = stage_fault(facts, fault, self.work.stamp_px, None if key.is_named_in(str(fault)) else key.name)
            return replace(failed, reading=reading)
        batch = replace(join_rounds(worked_facts, rounds, rng), reading=reading, epoch_mjd=pair.epoch_mjd)
        if self.known is None:
            return batch
        epoch_mjd = np.array([np.nan if pair.epoch_mjd is None else pair.epoch_mjd])
        return mark_known_objects(batch, self.known.open(), epoch_mjd, self.known)


@dataclass(frozen=True)
class ReadyTriplets:
    """Triplets cut elsewhere.

    Attributes
    ----------
    source : RecordSource
    seed : int
    below : float
        Only records whose hash of id and seed is below this are collected: the selection by a limit.
    known : KnownObjects, optional
    """

    source: RecordSource
    seed: int
    below: float = 1.0
    known: KnownObjects | None = None

    def collect(self, key: BatchKey) -> StagedBatch:
        """Read a batch of records."""
        records = self.source.read(key)
        ids = records.table["id"].to_pylist()
        selected = np.array([self.selects(sample_id) for sample_id in ids], bool)
        table = records.table.filter(pa.array(selected))
        has_pixels = selected.copy()
        has_pixels[selected] = to_bool(pc.is_null(table["reason"]))
        pixels = records.pixels if has_pixels.all() else records.pixels[has_pixels]
        rows = complete_rows(table, {"batch": [key.name] * table.num_rows}, pixels)
        batch = StagedBatch(rows, pixels, records.reading)
        if self.known is None:
            return batch
        return mark_known_objects(batch, self.known.open(), records.epochs_mjd[selected], self.known)

    def selects(self, sample_id: str) -> bool:
        """Return whether a record is within the limit."""
        return self.below >= 1 or hash_share(sample_id, self.seed) < self.below


@dataclass(frozen=True)
class CollectJob:
    """The collection of one batch.

    Attributes
    ----------
    number : int
        Of the batch, in staging.
    key : VisitKey, PairFiles or BatchKey
    collector : BatchCollector
    source_name : str
        The column ``source``.
    staging : Staging
    published : mapping of str to str or None
        Ids that are published already, with the sha256 of their pixels; they are left out.
    """

    number: int
    key: Any
    collector: BatchCollector
    source_name: str
    staging: Staging
    published: Mapping[str, str | None] = field(default_factory=dict)


def collect_batch(job: CollectJob) -> dict[str, int]:
    """Collect a batch's candidates, write them to staging, and return the counts.

    Returns
    -------
    dict
        ``stored`` and ``rejected`` candidates.

    Raises
    ------
    SourceError
        A candidate is published with other pixels.
    """
    collected = job.collector.collect(job.key)
    _refuse_other_pixels(job, collected.table)
    batch = without_ids(collected, frozenset(job.published))
    table = with_columns(batch.table, {"source": [job.source_name] * batch.table.num_rows})
    job.staging.write(job.number, keep_reading(table, batch.reading), batch.pixels)
    stored = int(to_bool(pc.equal(table["status"], STORED)).sum())
    return {"stored": stored, "rejected": table.num_rows - stored}


def _refuse_other_pixels(job: CollectJob, table: pa.Table) -> None:
    for sample_id, pixels in zip(table["id"].to_pylist(), table["pixel_sha256"].to_pylist(), strict=True):
        published = job.published.get(sample_id)
        if published is not None and pixels is not None and pixels != published:
            source = job.collector.source if isinstance(job.collector, ReadyTriplets) else None
            places = [] if source is None else find_places(source, [job.key], sample_id)
            raise different_error(sample_id, "pixels", [*places, "the published version of the dataset"])


def read_reading(staging: Staging, number: int) -> Reading:
    """Return the reading of a finished batch."""
    return kept_reading(staging.ledger_schema(number))


def without_ids(batch: StagedBatch, ids: frozenset[str]) -> StagedBatch:
    """Return a batch without the rows of some ids, and without their pixels."""
    if not ids:
        return batch
    is_new = ~to_bool(pc.is_in(batch.table["id"], pa.array(sorted(ids))))
    is_stored = to_bool(pc.equal(batch.table["status"], STORED))
    return replace(batch, table=batch.table.filter(pa.array(is_new)), pixels=batch.pixels[is_new[is_stored]])


def _open_galaxies(path: Path) -> GalaxyTable:
    """Read a table of galaxies, once per process until the file changes."""
    return _read_galaxies(path, path.stat().st_mtime_ns if path.is_file() else 0)


@lru_cache(maxsize=2)
def _read_galaxies(path: Path, modified_ns: int) -> GalaxyTable:
    return read_galaxies(path)
