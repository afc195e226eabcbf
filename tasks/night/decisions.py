"""From a night's raw scores to its table: the threshold, the decision, both probabilities, whose word each is."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.special import expit

from realbogus.records import BOGUS, REAL
from tasks.learning.operating_points import probability
from tasks.night.scoring import BY_FIRST, BY_FULL, NOT_SCORED, NightError, NightModel, ScoringRule
from tasks.store.columns import to_float
from tasks.store.files import whole_file

STAGES = {NOT_SCORED: None, BY_FIRST: "first", BY_FULL: "full"}
SCORES = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("logit", pa.float64()),
        pa.field("score", pa.float64()),
        pa.field("probability", pa.float64()),
        pa.field("probability_night", pa.float64()),
        pa.field("decision", pa.string()),
        pa.field("stage", pa.string()),
        pa.field("model", pa.string()),
        pa.field("model_sha256", pa.string()),
        pa.field("preprocessing_version", pa.string()),
        pa.field("threshold", pa.float64()),
        pa.field("threshold_version", pa.string()),
        pa.field("stamp_sha256", pa.string()),
        pa.field("ra_deg", pa.float64()),
        pa.field("dec_deg", pa.float64()),
        pa.field("not_scored", pa.string()),
    ]
)
"""``score`` is the sigmoid of the logit; ``probability`` is calibrated and at the training mix, ``probability_night``
at the night's prior. Of a candidate that the first model of a cascade discarded (``stage`` first), model, logit,
probabilities and threshold are the first one's, and the decision is bogus. ``stamp_sha256`` is of the stamp that the
model took, as the ledger of a dataset has it. Where ``not_scored`` names a reason, all that a model gives is null."""


@dataclass(frozen=True)
class Scored:
    """What came of a night.

    Attributes
    ----------
    path : Path
    count, scored, selected, discarded : int
        `discarded` are those that the first model was sure of.
    not_scored : counts by reason
    threshold : float
        Infinite where none can be selected.
    best : Table
        The selected candidates that scored highest, best first: `SCORES` and ``block``, the block each is in.
    """

    path: Path
    count: int
    scored: int
    selected: int
    discarded: int
    not_scored: dict[str, int]
    threshold: float
    best: pa.Table


def decide(parts: Sequence[Path], rule: ScoringRule, target: Path, shown: int) -> Scored:
    """Set the threshold, decide part by part, write the whole file, and keep the best `shown`."""
    threshold = rule.threshold if rule.most is None else threshold_of_best(parts, rule.most)
    if threshold is None:
        raise NightError("a night needs a threshold or a number of candidates")
    not_scored: Counter[str] = Counter()
    count = selected = discarded = 0
    best = pa.table([pa.array([], field.type) for field in _WITH_BLOCK], schema=_WITH_BLOCK)
    with whole_file(target) as beside, pq.ParquetWriter(beside, SCORES, compression="zstd") as writer:
        for path in parts:
            raw = pq.read_table(path)
            table = completed(raw, rule, threshold)
            writer.write_table(table)
            chosen = pc.fill_null(pc.equal(table["decision"], REAL), False)
            not_scored.update(table["not_scored"].drop_null().to_pylist())
            count, selected = count + table.num_rows, selected + int(pc.sum(chosen).as_py() or 0)
            discarded += int(pc.sum(pc.equal(raw["stage"], BY_FIRST)).as_py() or 0)
            found = table.append_column("block", raw["block"]).filter(chosen)
            best = pa.concat_tables([best, found]).sort_by([("logit", "descending"), ("id", "ascending")])[:shown]
    scored = count - sum(not_scored.values())
    return Scored(target, count, scored, selected, discarded, dict(not_scored.most_common()), threshold, best)


_WITH_BLOCK = SCORES.append(pa.field("block", pa.int32()))


def threshold_of_best(parts: Sequence[Path], most: int) -> float:
    """Return the logit of the last of the best `most` judged in full; of equal ones at the end none is taken.

    Infinite where none was judged in full.
    """
    best = np.empty(0)
    for path in parts:
        table = pq.read_table(path, columns=["logit", "stage"])
        best = np.concatenate([best, table.filter(pc.equal(table["stage"], BY_FULL))["logit"].to_numpy()])
        if len(best) > most + 1:
            best = np.partition(best, len(best) - most - 1)[len(best) - most - 1 :]
    ordered = np.sort(best)[::-1]
    if len(ordered) <= most:
        return float(ordered[-1]) if len(ordered) else np.inf
    return float(np.nextafter(ordered[most], np.inf))


def completed(raw: pa.Table, rule: ScoringRule, threshold: float) -> pa.Table:
    """Return all columns of `SCORES` for raw scores."""
    logit = to_float(raw["logit"])
    stage = raw["stage"].to_numpy()
    by_full = stage == BY_FULL
    judges = {BY_FULL: rule.full, **({BY_FIRST: rule.first} if rule.first is not None else {})}
    limits = {BY_FIRST: rule.discard_below, BY_FULL: threshold}
    versions = {BY_FIRST: f"{rule.threshold_version} (first)", BY_FULL: rule.threshold_version}
    decision = np.where(stage == NOT_SCORED, 0, np.where(by_full & (logit >= threshold), 2, 1))
    columns = {
        **{name: raw[name].combine_chunks() for name in raw.column_names},
        "score": _numbers(expit(logit)),
        "probability": _numbers(_probabilities(judges, logit, stage, None)),
        "probability_night": _numbers(_probabilities(judges, logit, stage, rule.night_prior)),
        "decision": _words(decision, [None, BOGUS, REAL]),
        "stage": _words(stage, list(STAGES.values())),
        "model": _words(stage, [None, *(_of(judges, by, "name") for by in (BY_FIRST, BY_FULL))]),
        "model_sha256": _words(stage, [None, *(_of(judges, by, "sha256") for by in (BY_FIRST, BY_FULL))]),
        "preprocessing_version": _words(
            stage, [None, *(_of(judges, by, "preprocessing_version") for by in (BY_FIRST, BY_FULL))]
        ),
        "threshold": _numbers(np.choose(stage, [np.nan, limits[BY_FIRST], limits[BY_FULL]])),
        "threshold_version": _words(stage, [None, versions[BY_FIRST], versions[BY_FULL]]),
    }
    return pa.table([columns[field.name] for field in SCORES], schema=SCORES)


def _of(judges: dict[int, NightModel], by: int, what: str) -> str | None:
    if by not in judges:
        return None
    return judges[by].name if what == "name" else str(judges[by].card[what])


def _numbers(values: NDArray) -> pa.Array:
    return pa.array(values, pa.float64(), from_pandas=True)


def _words(indices: NDArray, words: Sequence[str | None]) -> pa.Array:
    """Return words by their index, null for None, without making a Python object for each row."""
    return pa.array(words, pa.string()).take(pa.array(indices.astype(np.int32)))


def _probabilities(judges: dict[int, NightModel], logit: NDArray, stage: NDArray, prior: float | None) -> NDArray:
    """Return calibrated probabilities, each by its own model, at its training mix or at a prior; NaN where unscored."""
    values = np.full(len(logit), np.nan)
    for by, judge in judges.items():
        share = float(judge.card["training_real_share"])
        mine = stage == by
        temperature = float(judge.card["temperature"] or 1)
        values[mine] = probability(logit[mine], temperature, share, share if prior is None else prior)
    return values
