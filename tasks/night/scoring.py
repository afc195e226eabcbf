"""Scoring a night: blocks of candidates through one model or two in a row, one Parquet row each, in the input's order.

One thread reads ahead, several judge and hash a block each, this one writes what is finished into part files: a killed
scoring goes on after the last of them. Decisions come when all is scored, as "the best so many" needs the whole night.
"""

import hashlib
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from realbogus.stamps import pixel_digests
from tasks.learning.inference import Outputs
from tasks.learning.operating_points import logit_of
from tasks.night.sources import CandidateBlock, NightSource
from tasks.store.files import whole_file

BLOCKS_A_PART = 32
READ_AHEAD = 2
NOT_FINITE = "not_finite"
"""Reason of a candidate for which a model gives no finite number."""
LEAST_TO_DOUBT = 64
"""Where so many candidates of a block and more have no finite logit, all of them, the model is broken, not they."""
NOT_SCORED, BY_FIRST, BY_FULL = 0, 1, 2
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
"""What a part file holds: scores before any decision."""

Item = TypeVar("Item")
Made = TypeVar("Made")


class NightError(ValueError):
    """A night cannot be scored as asked."""


@dataclass(frozen=True)
class NightModel:
    """A model that scores.

    Attributes
    ----------
    name : str
        As registered, with its version.
    card : mapping
        Its ``model.json``.
    outputs : Outputs
        (n, s, s, 3) float32 to logits (n, 2).
    """

    name: str
    card: Mapping[str, Any]
    outputs: Outputs

    @property
    def sha256(self) -> str:
        """Of the model's file."""
        return str(self.card["sha256"])

    def logits(self, stamps: NDArray) -> NDArray[np.float64]:
        """Return the logit of being real, second output minus first."""
        return logit_of(self.outputs.run(stamps))


@dataclass(frozen=True)
class ScoringRule:
    """Who judges, and from where on a candidate is one.

    Attributes
    ----------
    full : NightModel
    first : NightModel or None
        Goes before the full one.
    discard_below : float
        Logit of the first model below which it discards.
    threshold : float or None
        Of the full model; None where the best `most` are taken.
    most : int or None
    threshold_version : str
    night_prior : float
        Share of reals that the probability for the night is for.
    """

    full: NightModel
    first: NightModel | None
    discard_below: float
    threshold: float | None
    most: int | None
    threshold_version: str
    night_prior: float

    @property
    def judges(self) -> list[NightModel]:
        """The models in the order in which they are asked."""
        return [self.full] if self.first is None else [self.first, self.full]

    def identity(self, source: NightSource) -> str:
        """Return what makes two scorings the same but for their decisions."""
        words = [source.identity, self.full.sha256, *(judge.outputs.engine for judge in self.judges)]
        if self.first is not None:
            words += [self.first.sha256, repr(self.discard_below)]
        return hashlib.sha256("\n".join(words).encode()).hexdigest()[:16]


def score_into_parts(
    source: NightSource,
    rule: ScoringRule,
    state: Path,
    advance: Callable[[int], None],
    threads: int | None = None,
    blocks_a_part: int = BLOCKS_A_PART,
) -> list[Path]:
    """Judge all candidates of a source and return the part files, in order; those that are there are kept.

    Parameters
    ----------
    source, rule
    state : Path
        Folder of the part files of this very scoring.
    advance : callable
        Is told how many candidates are done.
    threads : int, optional
        Blocks judged at once; by default one a processor, one in all where a model uses all of them by itself.
    blocks_a_part : int

    Raises
    ------
    NightError
        A model's answers are not finite for a whole block.
    """
    state.mkdir(parents=True, exist_ok=True)
    parts = _finished(state)
    advance(sum(pq.read_metadata(path).num_rows for path in parts))
    numbered = enumerate(source.blocks(len(parts) * blocks_a_part), len(parts) * blocks_a_part)
    tables = in_order(partial(_judged, rule=rule), read_ahead(numbered, READ_AHEAD), threads or _threads(rule))
    while part := list(islice(tables, blocks_a_part)):
        path = state / f"part-{len(parts):06d}.parquet"
        with whole_file(path) as beside:
            pq.write_table(pa.concat_tables(part), beside, compression="zstd")
        parts.append(path)
        advance(sum(table.num_rows for table in part))
    return parts


def _finished(state: Path) -> list[Path]:
    """Return the part files that are there, the first that is missing ends them."""
    there = sorted(state.glob("part-*.parquet"))
    return [path for number, path in enumerate(there) if path.name == f"part-{number:06d}.parquet"]


def _threads(rule: ScoringRule) -> int:
    return len(os.sched_getaffinity(0)) if all(judge.outputs.parallel for judge in rule.judges) else 1


class OneScorer:
    """Holds a night's lock while it is scored; its folder of part files is removed when the night is written."""

    def __init__(self, folder: Path, night: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock, self.night, self.folder = FileLock(folder / f"{night}.lock"), night, folder

    def __enter__(self) -> "OneScorer":
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
        """Remove the part files of a scoring that is written."""
        shutil.rmtree(state)


def read_ahead(items: Iterator[Item], depth: int) -> Iterator[Item]:
    """Yield items, of which a thread of its own makes `depth` in advance."""
    end = object()
    with ThreadPoolExecutor(1, thread_name_prefix="reading") as reader:
        waiting = deque(reader.submit(next, items, end) for _ in range(depth))
        while (item := waiting.popleft().result()) is not end:
            waiting.append(reader.submit(next, items, end))
            yield item  # type: ignore[misc]


def in_order(work: Callable[[Item], Made], items: Iterable[Item], threads: int) -> Iterator[Made]:
    """Yield what becomes of items, in their order; so many threads work, and no more than one item each waits."""
    with ThreadPoolExecutor(threads, thread_name_prefix="judging") as workers:
        waiting: deque[Any] = deque()
        for item in items:
            waiting.append(workers.submit(work, item))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _judged(numbered: tuple[int, CandidateBlock], rule: ScoringRule) -> pa.Table:
    """Return the raw scores of one block."""
    number, block = numbered
    usable = np.array([reason is None for reason in block.reasons], bool)
    logits, stages = _scores(block, np.flatnonzero(usable), rule)
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
    return pa.table([pa.array(columns[field.name], field.type) for field in RAW], schema=RAW)


def _scores(
    block: CandidateBlock, usable: NDArray[np.int64], rule: ScoringRule
) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """Return logits (n,), NaN where there is none, and which model gave them (n,)."""
    logits, stages = np.full(len(block.ids), np.nan), np.full(len(block.ids), NOT_SCORED, np.int8)
    left = usable
    if rule.first is not None and len(usable):
        found = rule.first.logits(_taken(block.stamps, usable))
        sure = found < rule.discard_below  # NaN is not sure
        logits[usable[sure]], stages[usable[sure]] = found[sure], BY_FIRST
        left = usable[~sure]
    if len(left):
        found = rule.full.logits(_taken(block.stamps, left))
        finite = np.isfinite(found)
        if len(left) >= LEAST_TO_DOUBT and not finite.any():
            raise NightError(
                f"the logit of {rule.full.name} is finite for none of {len(left)} candidates, the first is "
                f"{block.ids[left[0]]}: the model is broken"
            )
        logits[left[finite]], stages[left[finite]] = found[finite], BY_FULL
    return logits, stages


def _taken(stamps: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    return stamps if len(rows) == len(stamps) else stamps[rows]
