"""A night, candidate by candidate: every one has a row, and a reason or a score, whatever the blocks."""

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from realbogus.records import SourceError
from realbogus.stamps import pixel_digests
from tasks.learning.calibration import Calibration
from tasks.learning.models.inference import Outputs
from tasks.night.blocks import CONSTANT_PLANE, CandidateBlock, make_block
from tasks.night.models import NightError, NightModel, ScoringRule
from tasks.night.score_table import ScoredNight, decide
from tasks.night.scoring import (
    BY_FIRST,
    BY_FULL,
    MIN_FAILED_BLOCK,
    NOT_FINITE,
    NOT_SCORED,
    RAW,
    NightLock,
    run_cascade,
    score_block,
    score_into_parts,
)
from tasks.night.sources import open_night
from tasks.runtime.workspace import Workspace
from tests.small_night import CARD, SIDE, make_model, make_rule, make_stamps


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


def scored(tmp_path: Path, stamps: np.ndarray, rule: ScoringRule, rows: int = 16) -> ScoredNight:
    np.save(tmp_path / "night.npy", stamps)
    source = open_night(Workspace(tmp_path), str(tmp_path / "night.npy"), SIDE, rows)
    parts = score_into_parts(source, rule, tmp_path / f"state-{rows}", lambda _: None, 2, 2)
    return decide(parts, rule, tmp_path / f"scores-{rows}.parquet", 5)


def test_every_candidate_has_a_row_in_its_order_and_a_score_or_a_reason(tmp_path: Path) -> None:
    logits = np.linspace(-3, 3, 100).astype(np.float32)
    stamps = make_stamps(logits)
    stamps[7, ..., 1] = np.nan
    stamps[8, ..., 0] = 5.0
    found = scored(tmp_path, stamps, make_rule())
    table = pq.read_table(found.path).to_pylist()
    assert [row["id"] for row in table] == [f"{number:09d}" for number in range(100)]
    assert table[8]["not_scored"] == CONSTANT_PLANE
    assert (found.count, found.scored, sum(found.not_scored.values())) == (100, 98, 2)
    for row, logit in zip(table, logits, strict=True):
        if row["not_scored"] is None:
            assert row["logit"] == pytest.approx(logit, abs=1e-6)
            assert row["decision"] == ("real" if row["logit"] >= 1 else "bogus")
            for name, prior in (("probability", 0.3), ("probability_night", 0.001)):
                assert row[name] == pytest.approx(
                    Calibration(2.0, 0.0, 0.3).probability(np.array([row["logit"]]), prior)[0]
                )
        else:
            assert row["logit"] is row["decision"] is row["probability"] is row["model"] is None
        assert len(row["stamp_sha256"]) == 64
    assert found.selected == sum(row["decision"] == "real" for row in table)
    best = found.best["logit"].to_pylist()
    assert best == sorted((row["logit"] for row in table if row["decision"] == "real"), reverse=True)[:5]


def test_blocks_of_any_size_give_the_same_table(tmp_path: Path) -> None:
    stamps = make_stamps(np.random.default_rng(1).normal(size=90).astype(np.float32))
    tables = [pq.read_table(scored(tmp_path, stamps, make_rule(below=-0.5), rows).path) for rows in (7, 32, 200)]
    assert tables[0].equals(tables[1])
    assert tables[0].equals(tables[2])


def test_a_killed_scoring_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    stamps = make_stamps(np.random.default_rng(2).normal(size=160).astype(np.float32))
    np.save(tmp_path / "night.npy", stamps)
    source = open_night(Workspace(tmp_path), str(tmp_path / "night.npy"), SIDE, 16)
    dying = Dying(source, 7)
    state = tmp_path / "state"
    with pytest.raises(KeyboardInterrupt):
        score_into_parts(dying, make_rule(), state, lambda _: None, 1, 2)
    kept = sorted(state.iterdir())
    assert kept
    again = Dying(source, 99)
    parts = score_into_parts(again, make_rule(), state, lambda _: None, 1, 2)
    assert min(again.read) == 2 * len(kept)
    undisturbed = scored(tmp_path, stamps, make_rule())
    assert pq.read_table(decide(parts, make_rule(), tmp_path / "b.parquet", 5).path).equals(
        pq.read_table(undisturbed.path)
    )


def test_what_the_first_discards_is_bogus_by_its_word(tmp_path: Path) -> None:
    logits = np.linspace(-3, 3, 60).astype(np.float32)
    found = scored(tmp_path, make_stamps(logits), make_rule(below=-1.0))
    table = pq.read_table(found.path).to_pylist()
    assert [row["stage"] for row in table] == ["first" if logit < -1 else "full" for logit in logits]
    for row in table:
        if row["stage"] == "first":
            assert (row["decision"], row["model"], row["threshold"]) == ("bogus", "b", -1.0)
    assert found.discarded == np.count_nonzero(logits < -1)


def test_a_model_that_is_broken_is_named_not_its_candidates(tmp_path: Path) -> None:
    stamps = make_stamps(np.full(80, 1.0, np.float32))
    broken = ScoringRule(make_model("a", np.nan), None, -np.inf, 0.0, None, "v", 0.01)
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


def block_of(logits: list[float], **changes: Any) -> CandidateBlock:
    ids = [f"c{number}" for number in range(len(logits))]
    return replace(make_block(ids, make_stamps(np.array(logits, np.float32)), SIDE), **changes)


def test_the_first_model_discards_below_its_threshold_and_the_full_one_scores_the_rest() -> None:
    block = block_of([-2.0, -1.0, 0.5, -3.0])
    logits, stages = run_cascade(block, np.arange(4), make_rule(below=-1.0))
    np.testing.assert_allclose(logits, [-2.0, -1.0, 0.5, -3.0])
    assert stages.tolist() == [BY_FIRST, BY_FULL, BY_FULL, BY_FIRST]
    assert (logits.dtype, stages.dtype) == (np.float64, np.int8)


def test_each_logit_is_that_of_the_model_of_its_stage() -> None:
    rule = replace(make_rule(below=-1.0), first=make_model("b", 2.0), full=make_model("a", 10.0))
    logits, stages = run_cascade(block_of([-2.0, 0.5]), np.arange(2), rule)
    np.testing.assert_allclose(logits, [-4.0, 5.0])
    assert stages.tolist() == [BY_FIRST, BY_FULL]


def test_candidates_that_cannot_be_scored_are_left_out_of_both_models() -> None:
    seen: list[int] = []

    def run(stamps: np.ndarray) -> np.ndarray:
        seen.append(len(stamps))
        return np.zeros((len(stamps), 2), np.float32)

    counting = NightModel("c", {**CARD, "sha256": "c"}, Outputs("test", run, True, None))
    rule = replace(make_rule(below=-1.0), first=counting, full=counting)
    logits, stages = run_cascade(block_of([1.0, 2.0, 3.0]), np.array([0, 2]), rule)
    assert seen == [2, 2]
    assert stages.tolist() == [BY_FULL, NOT_SCORED, BY_FULL]
    assert np.isnan(logits).tolist() == [False, True, False]
    seen.clear()
    run_cascade(block_of([1.0]), np.array([], int), rule)
    assert seen == [], "no model runs on nothing"


def test_a_logit_that_is_not_finite_does_not_discard_and_does_not_score() -> None:
    rule = replace(make_rule(below=5.0), first=make_model("b", np.nan))
    _, stages = run_cascade(block_of([1.0, 2.0]), np.arange(2), rule)
    assert stages.tolist() == [BY_FULL, BY_FULL]
    logits, stages = run_cascade(block_of([np.inf, 2.0]), np.arange(2), make_rule())
    assert stages.tolist() == [NOT_SCORED, BY_FULL]
    assert np.isnan(logits[0])


def test_a_small_block_without_finite_logits_has_reasons_a_large_one_is_the_model_s_fault() -> None:
    rule = replace(make_rule(), full=make_model("a", np.nan))
    few = MIN_FAILED_BLOCK - 1
    table = score_block((3, block_of([1.0] * few)), rule)
    assert table["not_scored"].to_pylist() == [NOT_FINITE] * few
    assert table["logit"].null_count == few
    with pytest.raises(NightError, match="the logit of a is finite for none of 64 candidates, the first is c0: "):
        score_block((3, block_of([1.0] * MIN_FAILED_BLOCK)), rule)
    one_is_finite = replace(make_rule(), full=make_model("a"))
    values = [np.inf] * MIN_FAILED_BLOCK + [1.0]
    assert run_cascade(block_of(values), np.arange(len(values)), one_is_finite)[1].tolist()[-1] == BY_FULL


def test_the_raw_scores_of_a_block_keep_ids_positions_digests_and_reasons() -> None:
    block = block_of([1.0, 2.0], reasons=["edge", None], ra_deg=np.array([10.0, np.nan]), dec_deg=np.array([-5.0, 0.0]))
    table = score_block((7, block), make_rule())
    assert table.schema.equals(RAW)
    assert table.to_pylist() == [
        {
            "id": name,
            "logit": logit,
            "stage": stage,
            "stamp_sha256": digest,
            "ra_deg": ra,
            "dec_deg": dec,
            "not_scored": reason,
            "block": 7,
        }
        for name, logit, stage, digest, ra, dec, reason in zip(
            ["c0", "c1"],
            [None, 2.0],
            [NOT_SCORED, BY_FULL],
            pixel_digests(block.stamps),
            [10.0, None],
            [-5.0, 0.0],
            ["edge", None],
            strict=True,
        )
    ]


def test_parts_hold_the_given_number_of_blocks_and_progress_counts_candidates(tmp_path: Path) -> None:
    np.save(tmp_path / "night.npy", make_stamps(np.zeros(50, np.float32)))
    source = open_night(Workspace(tmp_path), str(tmp_path / "night.npy"), SIDE, 10)
    advanced: list[int] = []
    parts = score_into_parts(source, make_rule(), tmp_path / "state", advanced.append, 2, 2)
    assert [pq.read_metadata(path).num_rows for path in parts] == [20, 20, 10]
    assert advanced == [0, 20, 20, 10]
    assert [path.name for path in parts] == [f"part-00000{number}.parquet" for number in range(3)]
    assert pq.read_table(parts[1])["block"].to_pylist() == [2] * 10 + [3] * 10
    parts[2].unlink()
    advanced.clear()
    assert score_into_parts(source, make_rule(), tmp_path / "state", advanced.append, 2, 2) == parts
    assert advanced == [40, 10]


def test_by_default_every_processor_scores_unless_a_model_uses_all_by_itself(tmp_path: Path) -> None:
    np.save(tmp_path / "night.npy", make_stamps(np.zeros(40, np.float32)))
    source = open_night(Workspace(tmp_path), str(tmp_path / "night.npy"), SIDE, 1)

    def threads_of(parallel: bool) -> int:
        names = set()

        def run(stamps: np.ndarray) -> np.ndarray:
            names.add(threading.current_thread().name)
            time.sleep(0.002)
            return np.zeros((len(stamps), 2), np.float32)

        model = NightModel("a", {**CARD, "sha256": "a"}, Outputs("test", run, parallel, None))
        score_into_parts(source, replace(make_rule(), full=model), tmp_path / f"state-{parallel}", lambda _: None)
        return len(names)

    assert threads_of(False) == 1
    assert threads_of(True) == min(len(os.sched_getaffinity(0)), 40)


def test_the_lock_of_a_night_is_free_after_it_and_others_are_never_held(tmp_path: Path) -> None:
    with NightLock(tmp_path, "n") as lock, NightLock(tmp_path, "m"):
        state = lock.folder / "state"
        state.mkdir()
        lock.forget(state)
        assert not state.exists()
    with NightLock(tmp_path, "n"):
        pass
