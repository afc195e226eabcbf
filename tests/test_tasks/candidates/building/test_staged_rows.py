"""Rows of candidates in staging: which columns they have, what a rejected chip-visit leaves."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from realbogus.records import SourceError
from realbogus.stamps import pixel_digests
from realbogus.subtraction.alignment import AlignmentError
from tasks.candidates.building.staged_rows import (
    FAULTY_VISIT,
    LEDGER_COLUMNS,
    STAGED_COLUMNS,
    VISIT_FAULTS,
    StagedBatch,
    VisitFacts,
    complete_rows,
    join_rounds,
    stage_fault,
    visit_faults,
)

FACTS = VisitFacts("v1", "cell 7", "00003", "12", 5)


def pixels_of(count: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, 11, 11, 3)).astype(np.float32)


def test_columns_come_from_the_values_else_from_the_table_else_they_are_null() -> None:
    table = pa.table({"id": ["x", "y"], "kind": ["detection", "detection"], "snr": pa.array([5, 6], pa.int32())})
    rows = complete_rows(table, {"id": ["a", "b"], "label": ["real", None]}, pixels_of(2))
    assert rows.schema.equals(STAGED_COLUMNS)
    assert rows["id"].to_pylist() == ["a", "b"]
    assert rows["label"].to_pylist() == ["real", None]
    assert rows["snr"].to_pylist() == [5.0, 6.0]
    assert rows["truth"].null_count == rows["mag"].null_count == 2
    assert rows["attempts"].to_pylist() == [1, 1]
    assert all(abs(moment - datetime.now(UTC)) < timedelta(minutes=1) for moment in rows["finished_at"].to_pylist())


def test_a_row_without_a_reason_is_stored_with_the_digest_of_its_own_pixels() -> None:
    reasons = ["edge", None, "nan_plane", None]
    pixels = pixels_of(2)
    rows = complete_rows(pa.table({"reason": reasons}), {"id": list("abcd")}, pixels)
    first, second = pixel_digests(pixels)
    assert rows["status"].to_pylist() == ["rejected", "stored", "rejected", "stored"]
    assert rows["pixel_sha256"].to_pylist() == [None, first, None, second]
    assert rows["reason"].to_pylist() == reasons


def test_a_rejected_visit_is_one_row_with_the_visit_s_facts_and_its_error() -> None:
    batch = stage_fault(FACTS, AlignmentError("no overlap"), 29)
    (row,) = batch.table.to_pylist()
    expected: dict[str, Any] = {
        **{"id": "v1-visit", "group": "cell 7", "night": "00003", "detector": "12", "visit": 5, "batch": "v1"},
        **{"kind": FAULTY_VISIT, "status": "rejected", "reason": "not_aligned", "label": None},
    }
    assert {name: row[name] for name in expected} == expected
    assert json.loads(row["parameters"]) == {"fault": "no overlap"}
    assert batch.pixels.shape == (0, 29, 29, 3)


@pytest.mark.parametrize(
    ("message", "fault"), [("no GAIN", "new_a.fits: no GAIN"), ("new_a.fits has no GAIN", "new_a.fits has no GAIN")]
)
def test_the_file_of_a_fault_is_named_once(message: str, fault: str) -> None:
    batch = stage_fault(FACTS, SourceError(message), 29, "new_a.fits")
    assert json.loads(batch.table["parameters"][0].as_py()) == {"fault": fault}


def test_every_fault_of_a_visit_has_a_reason_of_its_own() -> None:
    reasons = [stage_fault(FACTS, kind("x"), 29).table["reason"][0].as_py() for kind in VISIT_FAULTS]
    assert reasons == list(VISIT_FAULTS.values())
    assert len(set(reasons)) == len(reasons)


def test_faults_are_those_of_rejected_visits_alone() -> None:
    rejected = complete_rows(pa.table({"kind": ["detection"], "reason": ["edge"]}), {"id": ["a"]}, pixels_of(0))
    table = pa.concat_tables([stage_fault(FACTS, AlignmentError("no overlap"), 29).table, rejected])
    assert visit_faults(table) == ["not_aligned: no overlap"]
    assert visit_faults(rejected) == []


def test_the_truth_is_staged_but_no_column_of_the_ledger() -> None:
    assert set(STAGED_COLUMNS.names) - set(LEDGER_COLUMNS.names) == {"label", "truth", "origin"}
    assert "number" not in LEDGER_COLUMNS.names
    assert len(set(LEDGER_COLUMNS.names)) == len(LEDGER_COLUMNS.names)


def staged(reasons: list[str | None], seed: int) -> StagedBatch:
    pixels = np.random.default_rng(seed).normal(size=(reasons.count(None), 11, 11, 3)).astype(np.float32)
    table = pa.table({"reason": pa.array(reasons, pa.string()), "snr": np.arange(len(reasons)) + 100.0 * seed})
    return StagedBatch(complete_rows(table, {"id": FACTS.ids(len(reasons))}, pixels), pixels)


def test_rounds_are_joined_in_another_order_with_each_row_s_own_pixels_and_numbers_without_a_gap() -> None:
    rounds = [staged([None, "edge", None, None, None], 1), staged(["not_detected", None, None], 2)]
    joined = join_rounds(FACTS, rounds, np.random.default_rng(0))
    assert joined.table["id"].to_pylist() == FACTS.ids(8)
    stored = joined.table.filter(pa.array([reason is None for reason in joined.table["reason"].to_pylist()]))
    assert stored["pixel_sha256"].to_pylist() == pixel_digests(joined.pixels)
    snr = joined.table["snr"].to_pylist()
    assert sorted(snr) == [*(100.0 + np.arange(5)), *(200.0 + np.arange(3))]
    assert snr != sorted(snr)
    assert join_rounds(FACTS, rounds[:1], np.random.default_rng(0)) is rounds[0]


def test_a_further_round_is_named_in_the_parameters() -> None:
    assert FACTS.parameters == {}
    assert replace(FACTS, injection_round=3).parameters == {"injection_round": 3}
