"""What two models decide differently on a night that was scored before; its scores stay as they are.

Each model scores every candidate alone, at its own threshold for a true-positive rate.
"""

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from realbogus.records import REAL
from tasks.learning import measures
from tasks.learning.models.inference import Engine
from tasks.learning.operating_points import upper_limit
from tasks.night.known_truth import KnownTruth, known_truth
from tasks.night.models import REGISTERED, NightError, NightModel, ScoringRule, open_model
from tasks.night.overlap import trained_on_any
from tasks.night.repetitions import unique_parts
from tasks.night.request import DEFAULT_TPR, NightRequest, choose_threshold
from tasks.night.score_files import find_night, scored_nights
from tasks.night.score_table import decide
from tasks.night.scoring import NightLock, score_into_parts
from tasks.night.scoring_record import ScoringRecord, digest_scored
from tasks.night.sources import NightSource, RecordNight, open_night
from tasks.runtime.progress import progress
from tasks.runtime.workspace import Workspace
from tasks.store.columns import to_bool, to_float

SIDES = ("model", "against")
"""The two models, as the request names them; columns and entries of each end in these words."""
REPEATS = 500
_OF_EACH = (
    *("logit", "probability_night", "decision", "threshold", "threshold_version"),
    *("model", "model_sha256", "preprocessing_version"),
)
_NOT_BY_BOTH = "scored by one model alone"


class DifferenceRequest(BaseModel):
    """The night and the two models that are compared on it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    night: str | None = None
    """Name of a night with scores; None: the one that was scored last."""
    model: str = "champion"
    against: str = "challenger"
    tpr: float = Field(default=DEFAULT_TPR, gt=0, lt=1)
    """Operating point of each model, by its own card."""
    engine: Engine = "auto"


@dataclass(frozen=True)
class Judged:
    """A night as one model decides it.

    Attributes
    ----------
    rule : ScoringRule
        Of the model alone.
    source : NightSource
        With stamps of the model's size.
    scores : Path
        `score_table.SCORES`.
    threshold_version : str
    logit : (n,) float64
        NaN where there is none.
    selected : (n,) bool
    block : (n,) int32
        Number of the source's block that holds each candidate.
    """

    rule: ScoringRule
    source: NightSource
    scores: Path
    threshold_version: str
    logit: NDArray[np.float64]
    selected: NDArray[np.bool_]
    block: NDArray[np.int32]

    @property
    def model(self) -> NightModel:
        """The model."""
        return self.rule.full

    @property
    def threshold(self) -> float:
        """Its least logit of a selected candidate."""
        assert self.rule.threshold is not None
        return self.rule.threshold

    @property
    def margin(self) -> NDArray[np.float64]:
        """Calibrated logits above the threshold, (n,): logit minus threshold, over the model's temperature."""
        return (self.logit - self.threshold) / float(self.model.card["temperature"] or 1)


@dataclass(frozen=True)
class Difference:
    """Two models' decisions on a night.

    Attributes
    ----------
    record : ScoringRecord
        Of the night.
    judged : tuple of Judged
        By `SIDES`.
    truth : KnownTruth or None
    seen : (n,) bool or None
        Candidates that one of the models was trained on; None where that is unknown.
    rows : Table
        The candidates that one model alone selects, the largest `disagreement` first: id, position, what each model
        gave (`_OF_EACH` and side), ``only`` (the side that selects it), ``disagreement``, ``truth``,
        ``in_training``, ``block``.
    """

    record: ScoringRecord
    judged: tuple[Judged, Judged]
    truth: KnownTruth | None
    seen: NDArray[np.bool_] | None
    rows: pa.Table

    @property
    def compared(self) -> NDArray[np.bool_]:
        """Candidates with a logit of each model, (n,)."""
        first, second = self.judged
        return np.isfinite(first.logit) & np.isfinite(second.logit)

    @property
    def source_changed(self) -> bool | None:
        """Whether the candidates are others than those of the night's scores; None where stamps have other sizes."""
        for judged in self.judged:
            if judged.model.stamp_px == self.record.source.stamp_px:
                return digest_scored(judged.scores) != self.record.source.stamps_digest
        return None

    def counts(self, among: NDArray[np.bool_] | None = None) -> dict[str, int]:
        """Return how many candidates, of those `among` (n,), both models select, one alone, or neither."""
        first, second = (judged.selected for judged in self.judged)
        rows = self.compared if among is None else self.compared & among
        return {
            "both": int((first & second & rows).sum()),
            "only_model": int((first & ~second & rows).sum()),
            "only_against": int((second & ~first & rows).sum()),
            "neither": int((~first & ~second & rows).sum()),
        }

    def not_compared(self) -> dict[str, int]:
        """Return the candidates without a logit of both models, by reason."""
        return dict(Counter(self._reasons()).most_common())

    def _reasons(self) -> list[str]:
        columns = [pq.read_table(judged.scores, columns=["not_scored"])["not_scored"] for judged in self.judged]
        rows = np.flatnonzero(~self.compared)
        pairs = zip(*(column.take(pa.array(rows)).to_pylist() for column in columns), strict=True)
        return [first if first == second else _NOT_BY_BOTH for first, second in pairs]


@contextmanager
def compared_models(workspace: Workspace, request: DifferenceRequest) -> Iterator[Difference]:
    """Score a past night by two models and give what they decide; an interrupted comparison is resumed.

    The scores of both are removed when the block ends without an error.

    Raises
    ------
    NightError
        The night has no scores, its source is unknown or gone, or both addresses are one model.
    SourceError
        The source cannot be read, or its stamps are smaller than those of a model.
    """
    record = find_recorded(workspace, request.night)
    models = [open_model(workspace, getattr(request, side), REGISTERED, request.engine) for side in SIDES]
    if models[0].sha256 == models[1].sha256:
        raise NightError(
            f"model={request.model} ({models[0].name}) and against={request.against} ({models[1].name}) are the same "
            "file: give two models that differ"
        )
    with NightLock(workspace.root / "scoring", f"{record.night}.difference") as lock:
        first, second = (_judge(workspace, lock, record, model, request.tpr) for model in models)
        if len(first.logit) != len(second.logit):
            counts = f"{len(first.logit)} candidates, then {len(second.logit)}"
            raise NightError(f"the source of night {record.night} changed while it was scored: it had {counts}")
        seen = [trained_on_any([judged.model], judged.source, judged.scores) for judged in (first, second)]
        known = [rows for rows in seen if rows is not None]
        overlap = np.logical_or(*known) if len(known) == len(SIDES) else None
        truth = known_truth(first.source)
        rows = differing_rows(first, second, truth, overlap)
        yield Difference(record, (first, second), truth, overlap, rows)
        for judged in (first, second):
            lock.forget(judged.scores.parent)


def find_recorded(workspace: Workspace, night: str | None) -> ScoringRecord:
    """Return the record of a night whose source is there; None: of the night that was scored last.

    Raises
    ------
    NightError
        There is none.
    """
    if night is None:
        nights = [find_night(workspace, name) for name in scored_nights(workspace)]
        known = [file.record for file in nights if file.record is not None]
        if not known:
            raise NightError(f"no night in {workspace.scores} has a record: score one with `starloom run score-night`")
        record = max(known, key=lambda record: (record.scored_at, record.night))
    else:
        file = find_night(workspace, night)
        if file.record is None or not file.candidates_known:
            raise NightError(f"night {night}: {file.problem}, so the candidates are unknown; score it by score-night")
        record = file.record
    if not record.source.place(workspace).exists():
        raise NightError(f"night {record.night}: its source {record.source.place(workspace)} does not exist")
    return record


def _judge(workspace: Workspace, lock: NightLock, record: ScoringRecord, model: NightModel, tpr: float) -> Judged:
    """Score the source of a record by one model alone."""
    source = open_night(workspace, str(record.source.place(workspace)), model.stamp_px)
    threshold, _, name = choose_threshold(NightRequest(tpr=tpr), model)
    prior = NightRequest(**record.request).night_prior
    rule = ScoringRule(model, None, -math.inf, threshold, None, name, prior)
    state = lock.folder / "differences" / rule.identity(source)
    with progress(f"scoring by {model.name}", source.count) as advance:
        parts = score_into_parts(source, rule, state, advance)
    if isinstance(source, RecordNight):
        parts, _ = unique_parts(parts, source.places)
    scored = decide(parts, rule, state / "scores.parquet", 0)
    table = pq.read_table(scored.path, columns=["logit", "decision"])
    selected, logit = to_bool(pc.equal(table["decision"], REAL)), to_float(table["logit"])
    block = np.concatenate([pq.read_table(part, columns=["block"])["block"].to_numpy() for part in parts])
    return Judged(rule, source, scored.path, scored.threshold_version, logit, selected, block)


def differing_rows(first: Judged, second: Judged, truth: KnownTruth | None, seen: NDArray[np.bool_] | None) -> pa.Table:
    """Return the candidates that one model alone selects, see `Difference.rows`."""
    compared = np.isfinite(first.logit) & np.isfinite(second.logit)
    rows = compared & (first.selected != second.selected)
    one, other = (_filtered(judged.scores, rows) for judged in (first, second))
    count = one.num_rows
    disagreement = np.abs(first.margin - second.margin)[rows]
    columns: dict[str, Any] = {name: one[name] for name in ("id", "ra_deg", "dec_deg")}
    columns["only"] = np.where(first.selected[rows], *SIDES)
    columns["disagreement"] = disagreement
    for name in _OF_EACH:
        columns |= {f"{name}_{side}": table[name] for side, table in zip(SIDES, (one, other), strict=True)}
    columns["truth"] = [word or None for word in truth.words()[rows]] if truth else pa.nulls(count, pa.string())
    columns["in_training"] = pa.nulls(count, pa.bool_()) if seen is None else seen[rows]
    columns["stamp_sha256"], columns["block"] = one["stamp_sha256"], first.block[rows]
    return pa.table(columns).sort_by([("disagreement", "descending"), ("id", "ascending")])


def _filtered(scores: Path, rows: NDArray[np.bool_]) -> pa.Table:
    """Return some rows, (n,) bool, of a scores file, which is read in pieces."""
    pieces, start = [], 0
    with pq.ParquetFile(scores) as file:
        for batch in file.iter_batches():
            pieces.append(pa.Table.from_batches([batch.filter(pa.array(rows[start : start + batch.num_rows]))]))
            start += batch.num_rows
    return pa.concat_tables(pieces)


def rates(difference: Difference) -> dict[str, Any] | None:
    """Return recall and false-positive rate of each model by the known truth, and how they differ; None without truth.

    Candidates that a model was trained on are left out. ``recall`` is of true transients, ``injected_recall`` of
    injections; each rate has ``selected, of, rate, low, high`` for each model, and ``difference, difference_low,
    difference_high``, that of `against` minus that of `model` on the same resampled groups.
    """
    truth = difference.truth
    if truth is None:
        return None
    counted = difference.compared if difference.seen is None else difference.compared & ~difference.seen
    kinds = {"recall": truth.transient, "injected_recall": truth.injected, "fpr": truth.bogus}
    return {"origin": truth.origin, **{name: _rate(difference, kind & counted) for name, kind in kinds.items()}}


def _rate(difference: Difference, rows: NDArray[np.bool_]) -> dict[str, Any] | None:
    """Return a rate among some candidates, (n,) bool; None without any."""
    assert difference.truth is not None
    if not rows.any():
        return None
    groups, entry = difference.truth.group[rows], dict[str, Any]()
    selected = [judged.selected[rows].astype(float) for judged in difference.judged]
    for side, chosen in zip(SIDES, selected, strict=True):
        share = measures.group_bootstrap(groups, partial(_share, chosen), np.random.default_rng(0), REPEATS)
        count, total = int(chosen.sum()), len(chosen)
        limit = upper_limit(count, total)
        entry[side] = {"selected": count, "of": total, **share.to_summary("rate"), "limit": limit}
    second, first = reversed(selected)
    change = measures.paired_difference(second, first, groups, np.random.default_rng(0), repeats=REPEATS)
    return entry | change.to_summary("difference")


def _share(chosen: NDArray[np.float64], rows: NDArray[np.int64]) -> float:
    return float(chosen[rows].mean())
