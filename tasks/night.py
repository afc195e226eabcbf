"""Scoring a night: blocks of candidates through one model or two in a row, one Parquet row each, in the input's order.

Reading and hashing go on in threads beside the network. What is finished lies in part files, so a killed scoring goes
on; decisions are taken when all is scored, as "the best so many" needs the whole night.
"""

import hashlib
import json
import shutil
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from scipy.special import expit

from realbogus.records import BOGUS, REAL
from realbogus.stamps import pixel_digests
from tasks.learning.operating import probability
from tasks.night_sources import Block, NightSource
from tasks.store.files import whole_file, write_json

BLOCKS_A_PART = 16
READ_AHEAD = 3
FIRST, FULL = "first", "full"
SAME_OBJECT_ARCSEC = 2.0
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
"""``score`` is the sigmoid of the logit; ``stage`` says which model of a cascade gave it."""
_RAW = ("id", "logit", "stage", "stamp_sha256", "ra_deg", "dec_deg", "not_scored")


@dataclass(frozen=True)
class Judge:
    """A model that scores.

    Attributes
    ----------
    name : str
        As registered, with its version.
    card : mapping
        Its ``model.json``.
    outputs : callable
        (n, s, s, 3) float32 to logits (n, 2).
    """

    name: str
    card: Mapping[str, Any]
    outputs: Callable[[NDArray], NDArray]

    def logits(self, stamps: NDArray) -> NDArray[np.float64]:
        """Return the logit of being real."""
        outputs = np.asarray(self.outputs(stamps), float)
        return np.asarray(outputs[:, 1] - outputs[:, 0])


@dataclass(frozen=True)
class Rule:
    """Who judges, and from where on a candidate is one.

    Attributes
    ----------
    full : Judge
    first : Judge or None
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

    full: Judge
    first: Judge | None
    discard_below: float
    threshold: float | None
    most: int | None
    threshold_version: str
    night_prior: float

    def identity(self, source: NightSource) -> str:
        """Return what makes two scorings the same but for their decisions."""
        words = [source.identity, str(self.full.card["sha256"])]
        if self.first is not None:
            words += [str(self.first.card["sha256"]), repr(self.discard_below)]
        return hashlib.sha256("\n".join(words).encode()).hexdigest()[:16]


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
    objects : (before, after) or None
        Distinct positions among all and among the selected; None where there are no positions.
    """

    path: Path
    count: int
    scored: int
    selected: int
    discarded: int
    not_scored: dict[str, int]
    threshold: float
    objects: tuple[int, int] | None


def score_night(source: NightSource, rule: Rule, folder: Path, target: Path, advance: Callable[[int], None]) -> Scored:
    """Score all candidates of a source and write `target`; `folder` keeps what is finished meanwhile.

    Raises
    ------
    ValueError
        A model's logit is not finite; the candidate is named.
    """
    state = folder / rule.identity(source)
    state.mkdir(parents=True, exist_ok=True)
    for number, blocks in enumerate(_stretches(source)):
        path = state / f"part-{number:06d}.parquet"
        if path.exists():
            for _ in blocks:
                pass
            advance(pq.read_metadata(path).num_rows)
            continue
        tables = []
        for table in _judged(blocks, rule):
            tables.append(table)
            advance(table.num_rows)
        with whole_file(path) as beside:
            pq.write_table(pa.concat_tables(tables), beside, compression="zstd")
    parts = sorted(state.glob("part-*.parquet"))
    scored = _decide(parts, rule, target)
    shutil.rmtree(state)
    return scored


def _stretches(source: NightSource) -> Iterator[Iterator[Block]]:
    """Yield the blocks of each part file; a stretch must be used up before the next is asked for."""
    blocks = source.blocks()
    for first in blocks:
        yield _chain(first, blocks)


def _chain(first: Block, blocks: Iterator[Block]) -> Iterator[Block]:
    yield first
    for _ in range(BLOCKS_A_PART - 1):
        block = next(blocks, None)
        if block is None:
            return
        yield block


def _judged(blocks: Iterator[Block], rule: Rule) -> Iterator[pa.Table]:
    """Yield the rows of each block; the digests of the next ones are made meanwhile."""
    with ThreadPoolExecutor(1, thread_name_prefix="hashing") as hashing:
        waiting: deque[tuple[Block, Future[list[str]]]] = deque()
        for block in blocks:
            waiting.append((block, hashing.submit(pixel_digests, block.stamps)))
            if len(waiting) >= READ_AHEAD:
                yield _rows(*waiting.popleft(), rule)
        while waiting:
            yield _rows(*waiting.popleft(), rule)


def _rows(block: Block, digests: "Future[list[str]]", rule: Rule) -> pa.Table:
    """Return the raw scores of one block."""
    usable = np.flatnonzero([reason is None for reason in block.reasons])
    logits, stages = np.full(len(block.ids), np.nan), np.full(len(block.ids), None, object)
    left = usable
    if rule.first is not None and len(usable):
        found = rule.first.logits(block.stamps if len(usable) == len(block.ids) else block.stamps[usable])
        logits[usable], stages[usable] = found, FIRST
        left = usable[found >= rule.discard_below]
    if len(left):
        logits[left], stages[left] = rule.full.logits(block.stamps[left]), FULL
    broken = usable[~np.isfinite(logits[usable])]
    if len(broken):
        raise ValueError(f"the model's logit of candidate {block.ids[broken[0]]} is not finite")
    columns = {
        "id": block.ids,
        "logit": pa.array(logits, from_pandas=True),
        "stage": stages.tolist(),
        "stamp_sha256": digests.result(),
        "ra_deg": pa.array(block.ra_deg, from_pandas=True),
        "dec_deg": pa.array(block.dec_deg, from_pandas=True),
        "not_scored": block.reasons,
    }
    return pa.table([pa.array(columns[name], SCORES.field(name).type) for name in _RAW], names=list(_RAW))


def _decide(parts: list[Path], rule: Rule, target: Path) -> Scored:
    """Set the threshold, decide part by part, and write the whole file."""
    threshold = rule.threshold if rule.most is None else _threshold_of_best(parts, int(rule.most))
    assert threshold is not None
    counts: Counter[str] = Counter()
    total = selected = discarded = 0
    places: list[NDArray[np.float64]] = []
    kept: list[NDArray[np.bool_]] = []
    with whole_file(target) as beside, pq.ParquetWriter(beside, SCORES, compression="zstd") as writer:
        for path in parts:
            table = _completed(pq.read_table(path), rule, threshold)
            writer.write_table(table)
            chosen = pc.fill_null(pc.equal(table["decision"], REAL), False).to_numpy(zero_copy_only=False)
            counts.update(table["not_scored"].drop_null().to_pylist())
            total, selected = total + table.num_rows, selected + int(chosen.sum())
            discarded += int(pc.sum(pc.fill_null(pc.equal(table["stage"], FIRST), False)).as_py() or 0)
            places.append(
                np.stack([table[name].to_numpy(zero_copy_only=False) for name in ("ra_deg", "dec_deg")], axis=1)
            )
            kept.append(np.asarray(chosen))
    where, which = np.concatenate(places), np.concatenate(kept)
    placed = np.isfinite(where).all(axis=1)
    objects = None
    if placed.any():
        objects = count_objects(where[placed]), count_objects(where[placed & which])
    not_scored = dict(counts.most_common())
    return Scored(target, total, total - sum(not_scored.values()), selected, discarded, not_scored, threshold, objects)


def _threshold_of_best(parts: list[Path], most: int) -> float:
    """Return the logit of the last of the best `most`; of equal ones at the end none is taken."""
    best = np.empty(0)
    for path in parts:
        table = pq.read_table(path, columns=["logit", "stage"])
        full = table.filter(pc.equal(table["stage"], FULL))["logit"].to_numpy()
        best = np.concatenate([best, full])
        if len(best) > most + 1:
            best = np.partition(best, len(best) - most - 1)[len(best) - most - 1 :]
    ordered = np.sort(best)[::-1]
    if len(ordered) <= most:
        return float(ordered[-1]) if len(ordered) else np.inf
    return float(np.nextafter(ordered[most], np.inf)) if most else np.inf


def _completed(table: pa.Table, rule: Rule, threshold: float) -> pa.Table:
    """Return all columns of `SCORES` for raw rows."""
    count = table.num_rows
    logit = np.asarray(table["logit"].to_numpy(zero_copy_only=False), float)
    stage = np.array(table["stage"].to_pylist(), object)
    scored, by_first = np.isfinite(logit), stage == FIRST
    columns: dict[str, Any] = {name: table[name] for name in _RAW}
    columns["score"] = pa.array(expit(logit), from_pandas=True)
    for name, prior in (("probability", None), ("probability_night", rule.night_prior)):
        values = np.full(count, np.nan)
        for judge, mine in ((rule.full, scored & ~by_first), (rule.first, scored & by_first)):
            if judge is not None and mine.any():
                values[mine] = _probability(judge, logit[mine], prior)
        columns[name] = pa.array(values, from_pandas=True)
    decisions = np.where(scored & ~by_first & (logit >= threshold), REAL, BOGUS).astype(object)
    decisions[~scored] = None
    columns["decision"] = decisions.tolist()
    judges = {FULL: rule.full, FIRST: rule.first or rule.full}
    told = [judges[name] if name else None for name in stage]
    columns["model"] = [judge and judge.name for judge in told]
    columns["model_sha256"] = [judge and str(judge.card["sha256"]) for judge in told]
    columns["preprocessing_version"] = [judge and str(judge.card["preprocessing_version"]) for judge in told]
    limits = np.where(by_first, rule.discard_below, threshold)
    columns["threshold"] = pa.array(np.where(scored, limits, np.nan), from_pandas=True)
    versions = {FULL: rule.threshold_version, FIRST: f"{rule.threshold_version} (first)"}
    columns["threshold_version"] = [versions.get(name) for name in stage]
    arrays = []
    for field in SCORES:
        column = columns[field.name]
        arrays.append(
            column.cast(field.type) if isinstance(column, pa.ChunkedArray | pa.Array) else pa.array(column, field.type)
        )
    return pa.table(arrays, schema=SCORES)


def _probability(judge: Judge, logit: NDArray, prior: float | None) -> NDArray[np.float64]:
    share = float(judge.card["training_real_share"])
    return probability(logit, float(judge.card["temperature"] or 1), share, share if prior is None else prior)


def count_objects(places: NDArray[np.float64]) -> int:
    """Return how many objects detections at (n, 2) degrees are, joined where they lie within 2 arcsec."""
    if not len(places):
        return 0
    ra, dec = np.radians(places).T
    points = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)
    pairs = cKDTree(points).query_pairs(np.radians(SAME_OBJECT_ARCSEC / 3600), output_type="ndarray")
    links = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(len(places), len(places)))
    return int(connected_components(links, directed=False)[0])


def best_of(path: Path, most: int) -> pa.Table:
    """Return the selected rows that scored highest, best first."""
    found = pa.table([pa.array([], field.type) for field in SCORES], schema=SCORES)
    file = pq.ParquetFile(path)
    for batch in file.iter_batches(65_536):
        table = pa.Table.from_batches([batch])
        chosen = table.filter(pc.fill_null(pc.equal(table["decision"], REAL), False))
        found = pa.concat_tables([found, chosen]).sort_by([("logit", "descending"), ("id", "ascending")]).slice(0, most)
    return found


def stamps_of(source: NightSource, ids: list[str]) -> dict[str, NDArray[np.float32]]:
    """Return the triplets of a few candidates by id; reads the source once more."""
    wanted, found = set(ids), {}
    for block in source.blocks():
        for at, name in enumerate(block.ids):
            if name in wanted:
                found[name] = block.stamps[at].copy()
        if len(found) == len(wanted):
            break
    return found


def keep_discard(path: Path, told: Mapping[str, Any]) -> None:
    """Write what the first model may discard, so that the next night need not find it anew."""
    write_json(path, dict(told))


def kept_discard(path: Path) -> dict[str, Any] | None:
    """Return what `keep_discard` wrote, None where there is nothing."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
