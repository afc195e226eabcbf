"""The detections of a visit: each has a score or a reason, stamps are those of the rows with one, ids are unique."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realbogus.injection.chip_visit import VisitSettings
from realbogus.injection.inject import InjectionSettings
from realbogus.records import SourceError
from realbogus.stamps import pixel_digests
from tasks.candidates.building.staged_rows import StagedBatch, VisitFacts, complete_rows, stage_fault
from tasks.inbox.deliveries import Delivery
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.visits.detections import (
    UNREADABLE,
    VISIT_DETECTIONS,
    FoundDetections,
    Scorer,
    describe,
    fault_row,
    pairs_of,
    score_pairs,
    score_records,
    settings_of,
)
from tests.small_candidates import publish_candidates
from tests.small_night import SIDE, make_model, make_rule, make_stamps
from tests.small_triplets import write_triplets

DIGEST = "0123456789abcdef" * 4
WORK = VisitSettings(injection=InjectionSettings(per_visit=0), stamp_px=SIDE)


def scorer(workspace: Workspace, threshold: float | None = 1.0, detectors: frozenset[str] | None = None) -> Scorer:
    return Scorer(workspace, make_rule(threshold), WORK, detectors)


def visit(path: Path, kind: Any = "frames", digest: str = DIGEST) -> Delivery:
    return Delivery("2026-11-28", path.name, path, kind, (), digest)


def batch(name: str, logits: list[float | None], detectors: list[str | None], **more: Any) -> StagedBatch:
    """Staged rows of a pair of frames; None: a rejected one."""
    pixels = make_stamps(np.array([logit for logit in logits if logit is not None], float))
    values = {
        "id": [f"{name}{row}" for row in range(len(logits))],
        "detector": detectors,
        "reason": [None if logit is not None else "nan_plane" for logit in logits],
        "snr": [10.0 + row for row in range(len(logits))],
    }
    table = pa.table({"kind": ["detection"] * len(logits)})
    return StagedBatch(complete_rows(table, values, pixels), pixels, **more)


def columns(found: FoundDetections, *names: str) -> list[tuple[Any, ...]]:
    return list(zip(*(found.table[name].to_pylist() for name in names), strict=True))


def test_each_detection_of_the_pairs_has_a_decision_or_a_reason_and_its_own_facts(workspace: Workspace) -> None:
    batches = [
        batch("a", [5.0, None, -5.0], ["1", "1", "2"], epoch_mjd=61000.5),
        batch("b", [1.0, 0.99], [None, "2"]),
    ]
    found = score_pairs(scorer(workspace, detectors=frozenset({"1"})), visit(Path("v0")), batches)
    assert found.table.schema.equals(VISIT_DETECTIONS)
    assert columns(found, "id", "decision", "not_scored", "unknown_detector", "snr", "epoch_mjd") == [
        ("a0", "real", None, False, 10.0, 61000.5),
        ("a2", "bogus", None, True, 12.0, 61000.5),
        ("a1", None, "nan_plane", False, 11.0, 61000.5),
        ("b0", "real", None, None, 10.0, None),
        ("b1", "bogus", None, True, 11.0, None),
    ]
    assert set(columns(found, "visit", "revision")) == {("v0", None)}
    assert found.faults == ()


@given(st.lists(st.lists(st.none() | st.floats(-9, 9), max_size=4), min_size=1, max_size=3))
def test_stamps_are_those_of_the_rows_with_a_digest_in_their_order(logits: list[list[float | None]]) -> None:
    batches = [batch(str(number), rows, [None] * len(rows)) for number, rows in enumerate(logits)]
    found = score_pairs(scorer(Workspace(Path("absent"))), visit(Path("v0")), batches)
    digests = [name for (name,) in columns(found, "stamp_sha256") if name is not None]
    assert pixel_digests(found.stamps) == digests
    assert found.table.num_rows == sum(map(len, logits))
    assert found.table["not_scored"].null_count == len(digests) == sum(len(rows) - rows.count(None) for rows in logits)
    assert found.stamps.shape == (len(digests), SIDE, SIDE, 3)


def test_a_stamp_that_cannot_be_scored_is_kept_beside_its_reason(workspace: Workspace) -> None:
    staged = batch("a", [5.0, 4.0], ["1", "1"])
    staged.pixels[0, :, :, 1] = 7.0  # a reference of one value
    found = score_pairs(scorer(workspace), visit(Path("v0")), [staged])
    assert columns(found, "not_scored", "logit") == [("constant_plane", None), (None, 4.0)]
    assert len(found.stamps) == 2


def test_without_a_threshold_nothing_is_decided_to_be_real(workspace: Workspace) -> None:
    found = score_pairs(scorer(workspace, threshold=None), visit(Path("v0")), [batch("a", [99.0], [None])])
    assert columns(found, "decision", "unknown_detector") == [("bogus", None)]


def test_a_pair_that_was_rejected_is_a_row_with_its_reason_and_its_error_is_told(workspace: Workspace) -> None:
    facts = VisitFacts("new1", "cell", "2026-11-28", "4", 0)
    broken = stage_fault(facts, SourceError("new1.fits is torn"), SIDE)
    found = score_pairs(scorer(workspace), visit(Path("v0")), [broken, batch("a", [5.0], ["4"])])
    assert columns(found, "id", "detector", "not_scored") == [
        ("new1-visit", "4", "unreadable_frame"),
        ("a0", "4", None),
    ]
    assert found.faults == ("unreadable_frame: new1.fits is torn",)


def test_rows_of_arrays_alone_have_ids_that_no_other_visit_has(workspace: Workspace, tmp_path: Path) -> None:
    logits, ids = np.array([5.0, -5.0]), []
    for name, digest in (("a.npy", DIGEST), ("b.npy", DIGEST[::-1])):
        np.save(tmp_path / name, make_stamps(logits))
        found = score_records(scorer(workspace), visit(tmp_path / name, "triplets", digest))
        assert [logit for (logit,) in columns(found, "logit")] == pytest.approx(logits)
        assert columns(found, "detector", "epoch_mjd", "unknown_detector") == [(None, None, None)] * 2
        ids += [name for (name,) in columns(found, "id")]
    assert ids == [f"{digest[:32]}-{row:09d}" for digest in (DIGEST, DIGEST[::-1]) for row in (0, 1)]


def test_triplets_with_a_table_keep_the_ids_of_the_table(workspace: Workspace, tmp_path: Path) -> None:
    folder = write_triplets(tmp_path / "v0", 3)
    found = score_records(scorer(workspace), visit(folder, "triplets"))
    middle = np.load(folder / "stamps.npy")[:, 14, 14, 2]
    assert [name for (name,) in columns(found, "id")] == ["t0", "t1", "t2"]
    assert [logit for (logit,) in columns(found, "logit")] == pytest.approx(middle, abs=1e-6)


def test_a_visit_of_no_detection_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((0, SIDE, SIDE, 3), np.float32))
    with pytest.raises(SourceError, match=r"a\.npy holds no detection"):
        score_records(scorer(workspace), visit(tmp_path / "a.npy", "triplets"))


def test_a_visit_that_cannot_be_opened_is_one_row_without_stamps(workspace: Workspace) -> None:
    found = fault_row(scorer(workspace, detectors=frozenset({"1"})), visit(Path("v0")), UNREADABLE)
    assert found.table.schema.equals(VISIT_DETECTIONS)
    assert columns(found, "id", "visit", "not_scored", "logit", "unknown_detector") == [
        (f"{DIGEST[:32]}-visit", "v0", UNREADABLE, None, None)
    ]
    assert found.stamps.shape == (0, SIDE, SIDE, 3)


@pytest.mark.parametrize("kind", ["alerts", "triplets", None])
def test_a_visit_without_frames_has_no_pairs(kind: str | None, tmp_path: Path) -> None:
    assert pairs_of(visit(tmp_path, kind)) == []


def test_detectors_and_frame_settings_are_those_of_the_model_s_dataset(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    model = make_model("a", dataset="night", dataset_version=1)
    assert settings_of(workspace, model) == (WORK, None)
    assert "the detectors that a knows are unknown" in caplog.text
    detectors = ["7", "4", "4", None]
    publish_candidates(workspace, "night", ["real"] * 4, ["c"] * 4, ["train"] * 4, columns={"detector": detectors})
    assert settings_of(workspace, model) == (WORK, frozenset({"4", "7"}))
    path = Dataset.open(workspace, "night").path / "manifest.json"
    for source, sigma in (("frames", 3.5), ("triplets", WORK.threshold_sigma)):
        parameters = {"source": source, "engine": "alard-lupton", "threshold_sigma": 3.5}
        path.write_text(json.dumps(json.loads(path.read_text()) | {"parameters": parameters}))
        work, _ = settings_of(workspace, model)
        assert work.threshold_sigma == sigma


def test_a_dataset_without_detectors_knows_none(workspace: Workspace) -> None:
    publish_candidates(workspace, "night", ["real"], ["c"], ["train"])
    assert settings_of(workspace, make_model("a", dataset="night", dataset_version=1))[1] is None


@given(st.text("a b\n\t/x"), st.booleans())
def test_an_error_is_one_line_that_names_its_path(text: str, named: bool) -> None:
    path = Path("/inbox/v0")
    told = describe(path, ValueError(f"{text}{path}" if named else text))
    assert str(path) in told
    assert "\n" not in told
    assert told.split() == [*([] if named else [f"{path}:"]), *(f"{text}{path}" if named else text).split()]
