"""A night, candidate by candidate: every one has a row, and a reason or a score, whatever the blocks."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realbogus.records import SourceError
from tasks.learning.inference import Outputs
from tasks.learning.operating_points import probability
from tasks.night.blocks import CONSTANT_PLANE, CandidateBlock
from tasks.night.decisions import ScoredNight, decide, threshold_of_best
from tasks.night.models import NightError, NightModel, ScoringRule
from tasks.night.operations import count_objects
from tasks.night.scoring import NightLock, score_into_parts
from tasks.night.sources import open_night
from tasks.runtime.workspace import Workspace

CARD = {"sha256": "f" * 64, "preprocessing_version": "v", "training_real_share": 0.3, "temperature": 2.0}
SIDE = 21


def judge(name: str, factor: float = 1.0) -> NightModel:
    """A model whose logit is the middle pixel of the difference times a factor."""

    def run(stamps: np.ndarray) -> np.ndarray:
        middle = stamps[:, SIDE // 2, SIDE // 2, 2] * factor
        return np.stack([-middle / 2, middle / 2], axis=1).astype(np.float32)

    return NightModel(name, {**CARD, "sha256": name * 8}, Outputs("test", run, True, None))


def stamps_of(logits: np.ndarray) -> np.ndarray:
    stamps = np.random.default_rng(0).normal(size=(len(logits), SIDE, SIDE, 3)).astype(np.float32)
    stamps[:, SIDE // 2, SIDE // 2, 2] = logits
    return stamps


@dataclass(frozen=True)
class Dying:
    """A source that ends the program at a block."""

    source: Any
    dies_at: int
    read: list[int] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.source, name)

    def blocks(self, first: int = 0) -> Iterator[CandidateBlock]:
        for number, block in enumerate(self.source.blocks(first), start=first):
            if number == self.dies_at:
                raise KeyboardInterrupt
            self.read.append(number)
            yield block


def rule(threshold: float | None = 1.0, most: int | None = None, below: float | None = None) -> ScoringRule:
    first = None if below is None else judge("b")
    return ScoringRule(judge("a"), first, -np.inf if below is None else below, threshold, most, "v1", 0.001)


def scored(tmp_path: Path, stamps: np.ndarray, asked: ScoringRule, rows: int = 16) -> ScoredNight:
    np.save(tmp_path / "night.npy", stamps)
    source = open_night(Workspace(tmp_path), str(tmp_path / "night.npy"), SIDE, rows)
    parts = score_into_parts(source, asked, tmp_path / f"state-{rows}", lambda _: None, 2, 2)
    return decide(parts, asked, tmp_path / f"scores-{rows}.parquet", 5)


def test_every_candidate_has_a_row_in_its_order_and_a_score_or_a_reason(tmp_path: Path) -> None:
    logits = np.linspace(-3, 3, 100).astype(np.float32)
    stamps = stamps_of(logits)
    stamps[7, ..., 1] = np.nan
    stamps[8, ..., 0] = 5.0
    found = scored(tmp_path, stamps, rule())
    table = pq.read_table(found.path).to_pylist()
    assert [row["id"] for row in table] == [f"{number:09d}" for number in range(100)]
    assert table[8]["not_scored"] == CONSTANT_PLANE
    assert (found.count, found.scored, sum(found.not_scored.values())) == (100, 98, 2)
    for row, logit in zip(table, logits, strict=True):
        if row["not_scored"] is None:
            assert row["logit"] == pytest.approx(logit, abs=1e-6)
            assert row["decision"] == ("real" if row["logit"] >= 1 else "bogus")
            for name, prior in (("probability", 0.3), ("probability_night", 0.001)):
                assert row[name] == pytest.approx(probability(np.array([row["logit"]]), 2.0, 0.3, prior)[0])
        else:
            assert row["logit"] is row["decision"] is row["probability"] is row["model"] is None
        assert len(row["stamp_sha256"]) == 64
    assert found.selected == sum(row["decision"] == "real" for row in table)
    best = found.best["logit"].to_pylist()
    assert best == sorted((row["logit"] for row in table if row["decision"] == "real"), reverse=True)[:5]


def test_blocks_of_any_size_give_the_same_table(tmp_path: Path) -> None:
    stamps = stamps_of(np.random.default_rng(1).normal(size=90).astype(np.float32))
    tables = [pq.read_table(scored(tmp_path, stamps, rule(below=-0.5), rows).path) for rows in (7, 32, 200)]
    assert tables[0].equals(tables[1])
    assert tables[0].equals(tables[2])


def test_a_killed_scoring_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    stamps = stamps_of(np.random.default_rng(2).normal(size=160).astype(np.float32))
    np.save(tmp_path / "night.npy", stamps)
    source = open_night(Workspace(tmp_path), str(tmp_path / "night.npy"), SIDE, 16)
    dying = Dying(source, 7)
    state = tmp_path / "state"
    with pytest.raises(KeyboardInterrupt):
        score_into_parts(dying, rule(), state, lambda _: None, 1, 2)
    kept = sorted(state.iterdir())
    assert kept
    again = Dying(source, 99)
    parts = score_into_parts(again, rule(), state, lambda _: None, 1, 2)
    assert min(again.read) == 2 * len(kept)
    undisturbed = scored(tmp_path, stamps, rule())
    assert pq.read_table(decide(parts, rule(), tmp_path / "b.parquet", 5).path).equals(pq.read_table(undisturbed.path))


def test_what_the_first_discards_is_bogus_by_its_word(tmp_path: Path) -> None:
    logits = np.linspace(-3, 3, 60).astype(np.float32)
    found = scored(tmp_path, stamps_of(logits), rule(below=-1.0))
    table = pq.read_table(found.path).to_pylist()
    assert [row["stage"] for row in table] == ["first" if logit < -1 else "full" for logit in logits]
    for row in table:
        if row["stage"] == "first":
            assert (row["decision"], row["model"], row["threshold"]) == ("bogus", "b", -1.0)
    assert found.discarded == np.count_nonzero(logits < -1)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=60), st.integers(1, 70))
def test_the_best_so_many_are_the_best_and_equal_ones_at_the_end_stay_out(values: list[int], most: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        parts = []
        for number in range(0, len(values), 7):
            some = values[number : number + 7]
            parts.append(Path(folder) / f"{number}.parquet")
            pq.write_table(
                pa.table({"logit": pa.array(some, pa.float64()), "stage": pa.array([2] * len(some), pa.int8())}),
                parts[-1],
            )
        threshold = threshold_of_best(parts, most)
    taken = [value for value in values if value >= threshold]
    left = [value for value in values if value < threshold]
    assert len(taken) <= most
    if left:
        assert len(taken) + left.count(max(left)) > most


def test_a_model_that_is_broken_is_named_not_its_candidates(tmp_path: Path) -> None:
    stamps = stamps_of(np.full(80, 1.0, np.float32))
    broken = ScoringRule(judge("a", np.nan), None, -np.inf, 0.0, None, "v", 0.01)
    with pytest.raises(NightError, match="the model is broken"):
        scored(tmp_path, stamps, broken, 80)


def test_one_night_is_scored_by_one_process(tmp_path: Path) -> None:
    with NightLock(tmp_path, "n"), pytest.raises(NightError, match="being scored by another process"):
        NightLock(tmp_path, "n").__enter__()


@pytest.mark.parametrize(
    ("shape", "message"),
    [((4, 15, 15, 3), "smaller ones cannot be scored"), ((4, 21, 21, 4), "expected"), ((4, 21, 21), "expected")],
)
def test_stamps_that_no_model_takes_are_named(tmp_path: Path, shape: tuple[int, ...], message: str) -> None:
    np.save(tmp_path / "x.npy", np.zeros(shape, np.float32))
    with pytest.raises(SourceError, match=message):
        open_night(Workspace(tmp_path), str(tmp_path / "x.npy"), SIDE)


def test_larger_stamps_are_cut_about_their_centre(tmp_path: Path) -> None:
    stamps = np.random.default_rng(3).normal(size=(5, 25, 25, 3)).astype(np.float32)
    np.save(tmp_path / "x.npy", stamps)
    (block,) = open_night(Workspace(tmp_path), str(tmp_path / "x.npy"), SIDE).blocks()
    np.testing.assert_array_equal(block.stamps, stamps[:, 2:23, 2:23])


ARCSEC = 1 / 3600


@pytest.mark.parametrize(
    ("places", "objects"),
    [
        ([], 0),
        ([(10, 0), (10 + 1.9 * ARCSEC, 0), (10 + 3.8 * ARCSEC, 0)], 1),  # a chain
        ([(10, 0), (10 + 2.1 * ARCSEC, 0)], 2),
        ([(0.5 * ARCSEC, 20), (360 - 0.5 * ARCSEC, 20)], 1),
        ([(10, 60), (10 + 3.5 * ARCSEC, 60)], 1),  # 1.75 arcsec on the sky
        ([(0, 90 - 0.5 * ARCSEC), (180, 90 - 0.5 * ARCSEC)], 1),
        ([(10, 0), (11, 0), (10, 0.0001), (11, 1.0)], 3),
    ],
)
@pytest.mark.parametrize("most_pairs", [1, 1000])
def test_detections_within_two_arcsec_are_one_object(
    places: list[tuple[float, float]], objects: int, most_pairs: int
) -> None:
    assert count_objects(np.array(places, float).reshape(-1, 2), most_pairs) == objects
