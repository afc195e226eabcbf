"""Scoring a night: blocks of candidates through one or two models, one Parquet row per candidate, in the input's order.

`tasks.learning.block_scoring` reads ahead, runs several blocks at once, and resumes. Decisions follow when all
candidates have a logit, because selecting the best n needs the whole night.
"""

import shutil
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from realbogus.readings import Reading, merge_readings
from realbogus.stamps import pixel_digests
from tasks.learning.block_scoring import BLOCKS_A_PART, PartFiles, processors, score_blocks
from tasks.night.blocks import CandidateBlock
from tasks.night.models import NightError, ScoringRule
from tasks.night.sources import NightSource
from tasks.records.kept_readings import keep_reading, kept_reading

NOT_FINITE = "not_finite"
"""Reason of a candidate for which a model returns no finite number."""
MIN_FAILED_BLOCK = 64
"""If a block of at least this many candidates yields no finite logit, the model is taken to be broken."""
NOT_SCORED, BY_FIRST, BY_FULL = 0, 1, 2
"""Values of the column ``stage``: the model that gave the logit."""
RAW = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("logit", pa.float64()),
        pa.field("stage", pa.int8()),
        pa.field("stamp_sha256", pa.string()),
        pa.field("ra_deg", pa.float64()),
        pa.field("dec_deg", pa.float64()),
        pa.field("not_scored", pa.string()),
        pa.field("block", pa.int32()),
    ]
)
"""Columns of a part file: scores before any decision."""


def score_into_parts(
    source: NightSource,
    rule: ScoringRule,
    state: Path,
    advance: Callable[[int], None],
    threads: int | None = None,
    blocks_a_part: int = BLOCKS_A_PART,
) -> list[Path]:
    """Score all candidates of a source and return the part files in order; part files that exist are kept.

    Parameters
    ----------
    source : NightSource
    rule : ScoringRule
    state : Path
        Folder of the part files; it must belong to this source and rule alone (`ScoringRule.identity`).
    advance : callable
        Called with the number of candidates of each finished part.
    threads : int, optional
        Blocks scored at once; by default one per processor, or one where a model uses all processors by itself.
    blocks_a_part : int

    Raises
    ------
    NightError
        A model gives no finite logit for a whole block.
    """
    files = PartFiles(state, blocks_a_part, _join)
    return score_blocks(source.blocks, partial(score_block, rule=rule), files, advance, threads or _threads(rule))


def _join(blocks: list[pa.Table]) -> pa.Table:
    """Return the rows of several blocks with their merged reading."""
    return keep_reading(pa.concat_tables(blocks), merge_readings(kept_reading(block.schema) for block in blocks))


def _threads(rule: ScoringRule) -> int:
    return processors() if all(model.outputs.parallel for model in rule.models) else 1


class NightLock:
    """Holds a night's lock while it is scored; `forget` removes its part files once the scores are written."""

    def __init__(self, folder: Path, night: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock, self.night, self.folder = FileLock(folder / f"{night}.lock"), night, folder

    def __enter__(self) -> "NightLock":
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise NightError(
                f"night {self.night} is being scored by another process: wait for it, or give night=NAME"
            ) from None
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def forget(self, state: Path) -> None:
        """Remove the part files of a finished scoring."""
        shutil.rmtree(state)


def score_block(numbered: tuple[int, CandidateBlock], rule: ScoringRule) -> pa.Table:
    """Return the raw scores (`RAW`) of a block, given with its number."""
    number, block = numbered
    usable = np.array([reason is None for reason in block.reasons], bool)
    logits, stages = run_cascade(block, np.flatnonzero(usable), rule)
    reasons = list(block.reasons)
    for row in np.flatnonzero(usable & (stages == NOT_SCORED)):
        reasons[row] = NOT_FINITE
    columns = {
        "id": block.ids,
        "logit": pa.array(logits, from_pandas=True),
        "stage": stages,
        "stamp_sha256": pixel_digests(block.stamps),
        "ra_deg": pa.array(block.ra_deg, from_pandas=True),
        "dec_deg": pa.array(block.dec_deg, from_pandas=True),
        "not_scored": reasons,
        "block": np.full(len(reasons), number, np.int32),
    }
    table = pa.table([pa.array(columns[field.name], field.type) for field in RAW], schema=RAW)
    return keep_reading(table, block.reading)


def read_readings(parts: Iterable[Path]) -> Reading:
    """Return the merged reading of the blocks of some part files."""
    return merge_readings(kept_reading(pq.read_schema(path)) for path in parts)


def run_cascade(
    block: CandidateBlock, usable: NDArray[np.int64], rule: ScoringRule
) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """Run the first model, then the full model on what it does not discard.

    Parameters
    ----------
    block : CandidateBlock
    usable : (m,) int64
        Ascending rows of the block that can be scored.
    rule : ScoringRule

    Returns
    -------
    logits : (n,) float64
        NaN where there is none.
    stages : (n,) int8
        `NOT_SCORED`, `BY_FIRST` or `BY_FULL`.
    """
    logits, stages = np.full(len(block.ids), np.nan), np.full(len(block.ids), NOT_SCORED, np.int8)
    remaining = usable
    if rule.first is not None and len(usable):
        by_first = rule.first.logits(_stamps_at(block.stamps, usable))
        is_discarded = by_first < rule.discard_below  # NaN is not discarded
        logits[usable[is_discarded]], stages[usable[is_discarded]] = by_first[is_discarded], BY_FIRST
        remaining = usable[~is_discarded]
    if len(remaining):
        by_full = rule.full.logits(_stamps_at(block.stamps, remaining))
        is_finite = np.isfinite(by_full)
        if len(remaining) >= MIN_FAILED_BLOCK and not is_finite.any():
            raise NightError(
                f"the logit of {rule.full.name} is finite for none of {len(remaining)} candidates, the first is "
                f"{block.ids[remaining[0]]}: the model is broken"
            )
        logits[remaining[is_finite]], stages[remaining[is_finite]] = by_full[is_finite], BY_FULL
    return logits, stages


def _stamps_at(stamps: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    return stamps if len(rows) == len(stamps) else stamps[rows]
