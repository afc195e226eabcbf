"""The detections of a delivered visit, scored: from frames, alert packets or triplets to one table and the stamps."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from realbogus.injection.chip_visit import VisitSettings
from realbogus.injection.inject import InjectionSettings
from realbogus.readings import Reading, merge_readings
from realbogus.records import SourceError
from realbogus.sources.pair_tables import PairFiles, read_pairs
from realbogus.subtraction.subtract import SubtractionSettings
from tasks.candidates.building.collect import PairVisits
from tasks.candidates.building.staged_rows import StagedBatch, visit_faults
from tasks.inbox.deliveries import Delivery
from tasks.night.blocks import CandidateBlock, unscorable_reasons
from tasks.night.models import NightModel, ScoringRule
from tasks.night.score_table import SCORES, complete_scores
from tasks.night.scoring import NOT_SCORED, RAW, score_block
from tasks.night.sources import ArrayNight, RecordNight, ZarrNight, open_night
from tasks.runtime.run_log import run_logger
from tasks.runtime.workspace import Workspace
from tasks.store.columns import to_bool, to_float
from tasks.store.dataset import Dataset
from tasks.store.errors import StoreError
from tasks.store.schema import STORED

UNREADABLE = "unreadable"
"""Reason of a visit that cannot be opened at all."""
VISIT_DETECTIONS = pa.schema(
    [
        *SCORES,
        pa.field("visit", pa.string()),
        pa.field("revision", pa.int32()),
        pa.field("detector", pa.string()),
        pa.field("unknown_detector", pa.bool_()),
        pa.field("epoch_mjd", pa.float64()),
        pa.field("snr", pa.float64()),
        pa.field("mag", pa.float64()),
    ]
)
"""The columns of a night's scores, and of the visit: ``unknown_detector`` is whether the model's dataset has none of
the detector, null where one of them is unknown."""
_NAMED_BY_ROW = (ArrayNight, ZarrNight)


@dataclass(frozen=True)
class Scorer:
    """What scores visits.

    Attributes
    ----------
    workspace : Workspace
    rule : ScoringRule
    work : VisitSettings
        How frames are subtracted and searched: as those of the model's dataset, without injections.
    detectors : frozenset of str or None
        Of the model's dataset; None where they are unknown.
    """

    workspace: Workspace
    rule: ScoringRule
    work: VisitSettings
    detectors: frozenset[str] | None

    @property
    def threshold(self) -> float:
        """Least logit of a detection that is decided to be real."""
        return np.inf if self.rule.threshold is None else self.rule.threshold

    @property
    def collector(self) -> PairVisits:
        """What finds the detections of a pair of frames."""
        return PairVisits(self.work, 0, None)


@dataclass(frozen=True)
class FoundDetections:
    """Scored detections of a visit.

    Attributes
    ----------
    table : Table of `VISIT_DETECTIONS`
        ``revision`` is null.
    stamps : ndarray of shape (n, y, x, 3) float32
        Of the rows with a ``stamp_sha256``, in their order.
    reading : Reading
    faults : tuple of str
        Errors for which pairs of frames were rejected.
    """

    table: pa.Table
    stamps: NDArray[np.float32]
    reading: Reading = field(default_factory=Reading)
    faults: tuple[str, ...] = ()


def settings_of(workspace: Workspace, model: NightModel) -> tuple[VisitSettings, frozenset[str] | None]:
    """Return how frames are processed for a model, and the detectors that it knows: those of its dataset.

    Where the dataset is gone or is not of frames, the settings are the defaults.
    """
    work = VisitSettings(injection=InjectionSettings(per_visit=0), stamp_px=model.stamp_px)
    name = f"{model.card.get('dataset')}@{model.card.get('dataset_version')}"
    try:
        dataset = Dataset.open(workspace, name)
    except (StoreError, ValueError) as error:
        run_logger().warning("the detectors that %s knows are unknown: %s", model.name, error)
        return work, None
    detectors = pc.unique(dataset.samples(["detector"])["detector"]).drop_null().to_pylist()
    parameters = dataset.manifest.get("parameters") or {}
    if parameters.get("source") in ("simulated", "frames"):
        work = work.model_copy(
            update={
                "subtraction": SubtractionSettings(engine=parameters["engine"]),
                "threshold_sigma": parameters["threshold_sigma"],
            }
        )
    return work, frozenset(detectors) or None


def pairs_of(visit: Delivery) -> list[PairFiles]:
    """Return the pairs of a visit of frames; of any other none.

    Raises
    ------
    SourceError
        The table of pairs cannot be read.
    """
    return read_pairs(visit.path) if visit.kind == "frames" else []


def score_pairs(scorer: Scorer, visit: Delivery, batches: Sequence[StagedBatch]) -> FoundDetections:
    """Score the detections of the pairs of a visit."""
    parts, stamps, faults = [], [], []
    for batch in batches:
        is_stored = to_bool(pc.equal(batch.table["status"], STORED))
        stored, rejected = (batch.table.filter(pa.array(chosen)) for chosen in (is_stored, ~is_stored))
        block = _block(stored, batch.pixels)
        raw = pa.concat_tables([_score(block, scorer.rule), _without_score(rejected)])
        rows = pa.concat_tables([stored, rejected])
        epoch_mjd = np.full(rows.num_rows, np.nan if batch.epoch_mjd is None else batch.epoch_mjd)
        facts = {name: rows[name] for name in ("detector", "snr", "mag")}
        parts.append(_complete(scorer, visit, raw, {**facts, "epoch_mjd": epoch_mjd}))
        stamps.append(block.stamps)
        faults += visit_faults(rows)
    return FoundDetections(
        _join(parts), _stack(stamps, scorer), merge_readings(batch.reading for batch in batches), tuple(faults)
    )


def score_records(scorer: Scorer, visit: Delivery) -> FoundDetections:
    """Score the detections of a visit of alert packets or triplets.

    Raises
    ------
    SourceError
        The files cannot be read.
    """
    parts, stamps, readings = [], [], []
    for block, facts in _blocks(scorer, visit):
        raw = _score(block, scorer.rule)
        parts.append(_complete(scorer, visit, raw, facts))
        stamps.append(block.stamps)
        readings.append(block.reading)
    if not parts:
        raise SourceError(f"{visit.path} holds no detection")
    return FoundDetections(_join(parts), _stack(stamps, scorer), merge_readings(readings))


def fault_row(scorer: Scorer, visit: Delivery, reason: str) -> FoundDetections:
    """Return the one row of a visit that cannot be opened."""
    row = pa.table({"id": [f"{visit.digest}"[:32] + "-visit"], "reason": [reason]})
    raw = _without_score(row)
    return FoundDetections(_complete(scorer, visit, raw, {}), _stack([], scorer))


def _blocks(scorer: Scorer, visit: Delivery) -> Iterator[tuple[CandidateBlock, dict[str, object]]]:
    """Yield the detections of a visit without frames, with their detectors and epochs."""
    source = open_night(scorer.workspace, str(visit.path), scorer.rule.full.stamp_px)
    if not isinstance(source, RecordNight):
        for block in source.blocks():
            ids = block.ids
            if isinstance(source, _NAMED_BY_ROW):  # numbers that every array has
                ids = [f"{str(visit.digest)[:32]}-{name}" for name in ids]
            yield CandidateBlock(ids, block.stamps, block.ra_deg, block.dec_deg, block.reasons, block.reading), {}
        return
    for key in source.source.batches():
        records = source.source.read(key)
        rows = records.table
        reasons = unscorable_reasons(records.pixels, rows["reason"].to_pylist())
        places = to_float(rows["ra_deg"]), to_float(rows["dec_deg"])
        block = CandidateBlock(rows["id"].to_pylist(), records.pixels, *places, reasons, records.reading)
        yield block, {"detector": rows["detector"], "epoch_mjd": records.epochs_mjd}


def _block(rows: pa.Table, pixels: NDArray[np.float32]) -> CandidateBlock:
    reasons = unscorable_reasons(pixels, [None] * rows.num_rows)
    return CandidateBlock(rows["id"].to_pylist(), pixels, to_float(rows["ra_deg"]), to_float(rows["dec_deg"]), reasons)


def _score(block: CandidateBlock, rule: ScoringRule) -> pa.Table:
    """Return raw scores (`RAW`) of a block."""
    if not block.ids:
        return RAW.empty_table()
    return score_block((0, block), rule).replace_schema_metadata(None)


def _without_score(rows: pa.Table) -> pa.Table:
    """Return raw scores of rows that have a ``reason`` in place of one."""
    count = rows.num_rows
    columns = {
        "id": rows["id"],
        "stage": pa.array([NOT_SCORED] * count, pa.int8()),
        "not_scored": rows["reason"],
        "block": pa.array([0] * count, pa.int32()),
        **{name: rows[name] for name in ("ra_deg", "dec_deg") if name in rows.column_names},
    }
    return pa.table([columns.get(item.name, pa.nulls(count, item.type)) for item in RAW], schema=RAW)


def _complete(scorer: Scorer, visit: Delivery, raw: pa.Table, facts: dict[str, object]) -> pa.Table:
    """Return `VISIT_DETECTIONS` of raw scores and further columns."""
    count = raw.num_rows
    scores = complete_scores(raw, scorer.rule, scorer.threshold)
    columns = {name: scores[name] for name in scores.column_names}
    columns |= {name: _column(values, VISIT_DETECTIONS.field(name).type) for name, values in facts.items()}
    columns["visit"] = pa.array([visit.name] * count)
    if "detector" in columns and scorer.detectors is not None:
        named = columns["detector"]
        is_known = pc.is_in(named, pa.array(sorted(scorer.detectors)))
        columns["unknown_detector"] = pc.if_else(pc.is_valid(named), pc.invert(is_known), pa.scalar(None, pa.bool_()))
    arrays = [columns.get(item.name, pa.nulls(count, item.type)) for item in VISIT_DETECTIONS]
    return pa.table(arrays, schema=VISIT_DETECTIONS)


def _column(values: object, kind: pa.DataType) -> pa.Array | pa.ChunkedArray:
    if isinstance(values, pa.ChunkedArray):
        return values.cast(kind)
    return pa.array(values, kind, from_pandas=True)


def _join(parts: Sequence[pa.Table]) -> pa.Table:
    return pa.concat_tables(parts).combine_chunks()


def _stack(stamps: Sequence[NDArray[np.float32]], scorer: Scorer) -> NDArray[np.float32]:
    side = scorer.rule.full.stamp_px
    return np.concatenate([np.zeros((0, side, side, 3), np.float32), *stamps])


def describe(path: Path, error: Exception) -> str:
    """Return an error as one line that names a path."""
    text = " ".join(str(error).split())
    return text if str(path) in text else f"{path}: {text}"
