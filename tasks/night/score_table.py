"""From a night's raw scores to its table: threshold, decision, both probabilities, and the model behind each."""

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
from tasks.learning.calibration import Calibration
from tasks.night.models import NightError, NightModel, ScoringRule
from tasks.night.scoring import BY_FIRST, BY_FULL, NOT_SCORED, RAW
from tasks.store.columns import to_bool, to_float
from tasks.store.files import whole_file

STAGES = {NOT_SCORED: None, BY_FIRST: "first", BY_FULL: "full"}
"""Values of the column ``stage``, by the number in the part files."""
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
"""``score`` is the sigmoid of the logit. ``probability`` is calibrated and holds at the training mix,
``probability_night`` at the night's prior. For a candidate that the first model discarded (``stage`` first), model,
logit, probabilities and threshold are the first model's, and the decision is bogus. ``stamp_sha256`` is the digest of
the stamp given to the model, as in the ledger of a dataset. If ``not_scored`` holds a reason, all columns that a model
fills are null."""
_WITH_BLOCK = SCORES.append(pa.field("block", pa.int32()))


@dataclass(frozen=True)
class ScoredNight:
    """A scored night.

    Attributes
    ----------
    path : Path
        The scores file, see `SCORES`.
    count, scored, selected, discarded : int
        `discarded` counts the candidates that the first model discarded.
    not_scored : dict
        Counts by reason.
    threshold : float
        Infinite if no candidate can be selected.
    threshold_version : str
        See `ScoringRule.threshold_version`.
    best : Table
        The selected candidates with the highest logits, best first: `SCORES` and ``block``, the number of the block.
    """

    path: Path
    count: int
    scored: int
    selected: int
    discarded: int
    not_scored: dict[str, int]
    threshold: float
    threshold_version: str
    best: pa.Table


def decide(parts: Sequence[Path], rule: ScoringRule, target: Path, shown: int) -> ScoredNight:
    """Set the threshold, decide part by part, write the scores file, and keep the best `shown` candidates.

    Parameters
    ----------
    parts : sequence of Path
        Part files (`tasks.night.scoring.RAW`), in order.
    rule : ScoringRule
    target : Path
        The scores file (`SCORES`).
    shown : int

    Raises
    ------
    NightError
        The rule has neither a threshold nor a number of candidates.
    """
    threshold = decided_threshold(parts, rule)
    not_scored: Counter[str] = Counter()
    count = selected = discarded = 0
    best = pa.table([pa.array([], field.type) for field in _WITH_BLOCK], schema=_WITH_BLOCK)
    with whole_file(target) as unfinished, pq.ParquetWriter(unfinished, SCORES, compression="zstd") as writer:
        for path in parts:
            raw = pq.read_table(path)
            table = complete_scores(raw, rule, threshold)
            writer.write_table(table)
            is_selected = to_bool(pc.equal(table["decision"], REAL))
            not_scored.update(table["not_scored"].drop_null().to_pylist())
            count, selected = count + table.num_rows, selected + int(is_selected.sum())
            discarded += int(np.count_nonzero(raw["stage"].to_numpy() == BY_FIRST))
            candidates = table.append_column("block", raw["block"]).filter(pa.array(is_selected))
            best = pa.concat_tables([best, candidates]).sort_by([("logit", "descending"), ("id", "ascending")])[:shown]
    scored = count - sum(not_scored.values())
    reasons, version = dict(not_scored.most_common()), rule.threshold_version(threshold)
    return ScoredNight(target, count, scored, selected, discarded, reasons, threshold, version, best)


def decided_threshold(parts: Sequence[Path], rule: ScoringRule) -> float:
    """Return the threshold of a rule, or that of its number of candidates.

    Raises
    ------
    NightError
        The rule has neither.
    """
    threshold = rule.threshold if rule.max_candidates is None else threshold_of_best(parts, rule.max_candidates)
    if threshold is None:
        raise NightError("a night needs a threshold or a number of candidates")
    return threshold


def threshold_of_best(parts: Sequence[Path], max_candidates: int) -> float:
    """Return the threshold that selects the `max_candidates` highest logits of the full model.

    It is the lowest of them; equal logits at the limit are all left out. Infinite if the full model scored none.
    """
    best = np.empty(0)
    for path in parts:
        table = pq.read_table(path, columns=["logit", "stage"])
        best = np.concatenate([best, table.filter(pc.equal(table["stage"], BY_FULL))["logit"].to_numpy()])
        if len(best) > max_candidates + 1:
            excess = len(best) - max_candidates - 1
            best = np.partition(best, excess)[excess:]
    ordered = np.sort(best)[::-1]
    if len(ordered) <= max_candidates:
        return float(ordered[-1]) if len(ordered) else np.inf
    return float(np.nextafter(ordered[max_candidates], np.inf))


def complete_scores(raw: pa.Table, rule: ScoringRule, threshold: float) -> pa.Table:
    """Return all columns of `SCORES` for raw scores (`tasks.night.scoring.RAW`)."""
    logit, stage = to_float(raw["logit"]), raw["stage"].to_numpy()
    models = {BY_FULL: rule.full, **({BY_FIRST: rule.first} if rule.first is not None else {})}
    version = rule.threshold_version(threshold)
    is_real = (stage == BY_FULL) & (logit >= threshold)
    decision = np.where(stage == NOT_SCORED, 0, np.where(is_real, 2, 1))
    columns = {
        **{name: raw[name].combine_chunks() for name in raw.column_names},
        "score": _or_null(expit(logit)),
        "probability": _or_null(_probabilities(models, logit, stage, None)),
        "probability_night": _or_null(_probabilities(models, logit, stage, rule.night_prior)),
        "decision": _words(decision, [None, BOGUS, REAL]),
        "stage": _words(stage, list(STAGES.values())),
        **{
            name: _words(stage, [None, *(_fact(models.get(number), name) for number in (BY_FIRST, BY_FULL))])
            for name in ("model", "model_sha256", "preprocessing_version")
        },
        "threshold": _or_null(np.choose(stage, [np.nan, rule.discard_below, threshold])),
        "threshold_version": _words(stage, [None, f"{version} (first)", version]),
    }
    return pa.table([columns[field.name] for field in SCORES], schema=SCORES)


def raw_scores(table: pa.Table, blocks: NDArray[np.int32]) -> pa.Table:
    """Return the raw scores (`tasks.night.scoring.RAW`) behind decided ones (`SCORES`) with their blocks, (n,)."""
    stage = pc.index_in(table["stage"], pa.array(list(STAGES.values())[1:])).cast(pa.int8())
    columns = {
        **{name: table[name] for name in RAW.names if name in table.column_names},
        "stage": pc.fill_null(pc.add(stage, pa.scalar(1, pa.int8())), NOT_SCORED),
        "block": pa.array(blocks, pa.int32()),
    }
    return pa.table([columns[field.name] for field in RAW], schema=RAW)


def _fact(model: NightModel | None, column: str) -> str | None:
    """Return a model's entry of a column of `SCORES`."""
    if model is None:
        return None
    facts = {
        "model": model.name,
        "model_sha256": model.sha256,
        "preprocessing_version": str(model.card["preprocessing_version"]),
    }
    return facts[column]


def _or_null(values: NDArray) -> pa.Array:
    """Return numbers (n,) as a column, null for NaN."""
    return pa.array(values, pa.float64(), from_pandas=True)


def _words(indices: NDArray, words: Sequence[str | None]) -> pa.Array:
    """Return words by index (n,), null for None, without a Python object per row."""
    return pa.array(words, pa.string()).take(pa.array(indices.astype(np.int32)))


def _probabilities(models: dict[int, NightModel], logit: NDArray, stage: NDArray, prior: float | None) -> NDArray:
    """Return calibrated probabilities (n,) by the model of each row, NaN where not scored.

    They hold at `prior`, or at each model's training mix if it is None.
    """
    values = np.full(len(logit), np.nan)
    for number, model in models.items():
        is_of_model = stage == number
        values[is_of_model] = Calibration.of_card(model.card).probability(logit[is_of_model], prior)
    return values
