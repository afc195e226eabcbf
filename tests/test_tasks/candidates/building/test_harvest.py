"""The harvest of a real/bogus build: how its candidates are accounted for, and its injections near galaxies."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from realbogus.injection.chip_visit import VisitSettings
from realbogus.readings import Reading
from realbogus.records import GALAXY_INJECTION, RANDOM_INJECTION
from realbogus.simulation.survey import SurveySettings
from realbogus.sources.triplets import TripletSource
from realbogus.subtraction.alignment import AlignmentError
from tasks.building.plan import begin_plan
from tasks.candidates.building.batches import CandidateBatch
from tasks.candidates.building.collect import ReadyTriplets, SimulatedVisits, VisitKey
from tasks.candidates.building.harvest import (
    ACCOUNTED,
    MAX_FAULTS_LOGGED,
    VALIDATED,
    account_of,
    count_injections,
    detections_per_visit,
    galaxy_share,
    gather_candidates,
    half_completeness_mag,
    label_kind,
    log_faults,
    pixels_of,
)
from tasks.candidates.building.plan import CandidatePlan
from tasks.candidates.building.staged_rows import (
    LEDGER_COLUMNS,
    STAGED_COLUMNS,
    VisitFacts,
    complete_rows,
    stage_fault,
)
from tasks.records.kept_readings import keep_reading
from tasks.runtime.workspace import Workspace
from tasks.store.errors import StoreError
from tasks.store.staging import Staging
from tests.small_candidates import candidate_request


def ledger() -> pa.Table:
    """Eight rows of two chip-visits and, last, one without a visit."""
    rows = [
        # id, group, status, reason, kind, found, injected_mag, snr, detector, visit, batch
        ("a", "g1", "stored", None, GALAXY_INJECTION, True, 17.0, 9.0, "1", 0, "v0"),
        ("b", "g1", "rejected", "not_detected", GALAXY_INJECTION, False, 19.0, None, "1", 0, "v0"),
        ("c", "g1", "rejected", "edge", RANDOM_INJECTION, True, 18.0, 8.0, "1", 0, "v0"),
        ("d", "g1", "stored", None, "detection", None, None, 7.0, "1", 0, "v0"),
        ("e", "g2", "stored", None, "detection", None, None, 6.0, "2", 1, "v1"),
        ("f", "g2", "rejected", "edge", "detection", None, None, 6.0, "2", 1, "v1"),
        ("g", "g2", "stored", None, RANDOM_INJECTION, None, None, 5.0, "2", 1, "v1"),
        ("h", "g3", "stored", None, "detection", None, None, None, None, None, "b2"),
    ]
    names = ["id", "group", "status", "reason", "kind", "found", "injected_mag", "snr", "detector", "visit", "batch"]
    assert set(names) == set(ACCOUNTED)
    return pa.table({name: [row[position] for row in rows] for position, name in enumerate(names)})


def test_the_account_balances_and_counts_by_reason_label_kind_and_part() -> None:
    labels = pa.table({"id": ["a", "d", "e", "g", "elsewhere"], "label": ["real", "bogus", None, "real", "real"]})
    split = pa.table({"id": ["a", "d", "e", "h", "x"], "part": ["train", "train", "test", "validation", "train"]})
    assert account_of(candidate_request(), ledger(), labels, split) == {
        "asked": 8,
        "stored": 5,
        "rejected": {"edge": 2, "not_detected": 1},
        "repeated": 0,
        "labels": {"real": 2, "bogus": 1, "unlabelled": 2},
        "injected": {"galaxy": 2, "random": 2, "variable": 0},
        "found": {"galaxy": 1, "random": 2, "variable": 0},
        "galaxy_share": {"asked": 0.5, "stored": 0.5, "missing": None},
        "kinds": {"detection": 3, GALAXY_INJECTION: 1, RANDOM_INJECTION: 1},
        "detectors": 2,
        "cells": 3,
        "split": {"train": 2, "validation": 1, "test": 1},
        "completeness_50_mag": None,
        "detections_per_chip": 3.0,
        "pixels": "simulated",
        "understood": {},
        "ignored": [],
        "missing": {},
        "notes": [],
    }
    bare = account_of(candidate_request(), ledger(), None, None)
    assert (bare["labels"], bare["split"]) == ({"real": 0, "bogus": 0, "unlabelled": 5}, None)


def test_injections_are_counted_all_or_those_matched_to_a_detection() -> None:
    assert count_injections(ledger(), GALAXY_INJECTION) == count_injections(ledger(), RANDOM_INJECTION) == 2
    assert count_injections(ledger(), GALAXY_INJECTION, found=True) == 1
    assert count_injections(ledger(), RANDOM_INJECTION, found=True) == 2, "found but on the edge; stored elsewhere"
    assert count_injections(ledger(), "asteroid") == count_injections(ledger(), "asteroid", found=True) == 0


def test_detections_are_averaged_over_chip_visits_alone() -> None:
    assert detections_per_visit(ledger()) == 3.0
    assert detections_per_visit(ledger().slice(0, 5)) == 2.0, "three of one visit, one of the other"
    assert detections_per_visit(ledger().slice(7)) is None


def test_the_magnitude_of_half_completeness_is_found_from_injections_alone() -> None:
    mag = np.linspace(15, 21, 400)
    found = np.random.default_rng(0).random(400) < 1 / (1 + np.exp((mag - 18) / 0.3))
    rows = pa.table({"injected_mag": [*mag, 30.0, None], "found": pa.array([*found.tolist(), None, None], pa.bool_())})
    middle = half_completeness_mag(rows)
    assert middle == pytest.approx(18, abs=0.15)
    assert half_completeness_mag(rows.slice(0, 0)) is None
    table = ledger().drop_columns(["injected_mag", "found"])
    many = pa.concat_tables([table.slice(0, 1)] * 400)
    many = many.append_column("injected_mag", pa.array(mag)).append_column("found", pa.array(found))
    account = account_of(candidate_request(), many, None, None)
    assert account["completeness_50_mag"] == round(float(middle or 0), 2)


@pytest.mark.parametrize(
    ("changes", "pixels"),
    [
        ({}, "simulated"),
        ({"source": "frames", "path": "x"}, "real+injected"),
        ({"source": "frames", "path": "x", "injections_per_visit": 0}, "real"),
        ({"source": "zenodo", "path": "x"}, "real+injected"),
        ({"source": "alerts", "path": "x"}, "real"),
        ({"source": "triplets", "path": "x"}, "real"),
    ],
)
def test_the_origin_of_pixels_follows_from_the_source(changes: dict[str, Any], pixels: str) -> None:
    assert pixels_of(candidate_request(**changes)) == pixels


def plan_of(folder: Path, collector: Any, **changes: Any) -> CandidatePlan:
    return CandidatePlan(folder, candidate_request(**changes), collector, (), ())


def triplets(folder: Path, column: str) -> TripletSource:
    folder.mkdir()
    np.save(folder / "stamps.npy", np.zeros((2, 29, 29, 3), np.float32))
    (folder / "table.csv").write_text(f"id,{column}\na,1\nb,0\n")
    return TripletSource(folder, 29, column)


def test_the_origin_of_labels_follows_from_the_source_and_a_weak_column_is_named(tmp_path: Path) -> None:
    simulated = SimulatedVisits(SurveySettings(), VisitSettings())
    assert label_kind(plan_of(tmp_path, simulated)) == "injection"
    for source, kind in (("frames", "injection"), ("zenodo", "injection"), ("alerts", "weak")):
        assert label_kind(plan_of(tmp_path, simulated, source=source, path="x")) == kind
    for column, kind in (("weak_label", "weak"), ("label", "human")):
        ready = ReadyTriplets(triplets(tmp_path / column, column), 0)
        assert label_kind(plan_of(tmp_path, ready, source="triplets", path="x")) == kind


def test_the_first_faults_are_logged_and_the_others_counted(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        log_faults([f"fault {number}" for number in range(MAX_FAULTS_LOGGED)])
    assert len(caplog.messages) == MAX_FAULTS_LOGGED
    assert caplog.messages[0] == "a chip-visit was left out: fault 0"
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        log_faults([f"fault {number}" for number in range(MAX_FAULTS_LOGGED + 2)])
    assert caplog.messages[-1] == "and 2 more"
    assert len(caplog.messages) == MAX_FAULTS_LOGGED + 1


def staged_plan(workspace: Workspace, staged: list[tuple[pa.Table, int]], **changes: Any) -> CandidatePlan:
    """A plan of simulated visits whose batches are in staging: rows, and the number of stored ones."""
    asked = candidate_request(**changes)
    facts = {"digest": "d", "scheme": None, "parent": None, "ask": len(staged), "conditions": []}
    facts |= {"finished_before": False}
    Staging(workspace.datasets / "night" / "staging" / "request").clear()
    folder = begin_plan(workspace.datasets / "night", "request", asked, facts)
    keys = [VisitKey(3, 0, 0, number, number) for number in range(len(staged))]
    batches = tuple(CandidateBatch(number, key.name, key) for number, key in enumerate(keys))
    plan = CandidatePlan(folder, asked, SimulatedVisits(asked.survey, asked.work), batches, ())
    for number, (table, count) in enumerate(staged):
        plan.staging.write(number, table, np.zeros((count, 29, 29, 3), np.float32))
    return plan


def visit_rows(number: int, hosted: int, alone: int) -> tuple[pa.Table, int]:
    kinds = [GALAXY_INJECTION] * hosted + [RANDOM_INJECTION] * alone
    count = len(kinds)
    values = {
        "id": [f"v{number}-{row}" for row in range(count)],
        "kind": kinds,
        "group": [f"cell {number}"] * count,
        "label": ["real"] * count,
        "truth": ["real"] * (count - 1) + [None],
        "found": [True] * count,
        "injected_mag": [18.0] * count,
        "batch": [f"v{number}"] * count,
    }
    return complete_rows(pa.table({"id": values["id"]}), values, np.zeros((count, 29, 29, 3), np.float32)), count


def test_a_harvest_has_the_rows_of_all_batches_and_the_truth_that_is_known(workspace: Workspace) -> None:
    harvest = gather_candidates(staged_plan(workspace, [visit_rows(0, 2, 3), visit_rows(1, 1, 1)]))
    ids = [f"v0-{row}" for row in range(5)] + ["v1-0", "v1-1"]
    assert harvest.ids.to_pylist() == harvest.ledger["id"].to_pylist() == ids
    assert harvest.labels is not None
    assert harvest.labels.column_names == ["id", "label"]
    assert harvest.truth is not None
    assert harvest.truth["id"].to_pylist() == [name for name in ids if name not in ("v0-4", "v1-1")]
    assert set(harvest.ledger.column_names) == {*LEDGER_COLUMNS.names, "staged_batch", "staged_position"}
    assert (harvest.sample_shape, harvest.dtype, harvest.test_only) == ((29, 29, 3), "float32", "known-")
    assert (harvest.linked, harvest.raw_kept, harvest.least_finite_fraction) == (False, False, 0.0)
    manifest = harvest.manifest
    assert (manifest["problem"], manifest["pixels"], manifest["label_kind"]) == ("realbogus", "simulated", "injection")
    assert (manifest["source"], manifest["size_px"]) == ("simulated", 29)
    assert manifest["parameters"] == candidate_request().model_dump(mode="json")
    assert manifest["survey"]["seed"] == 3
    assert harvest.account(harvest.ledger.select(ACCOUNTED), None, None)["stored"] == 7
    assert set(VALIDATED) <= set(STAGED_COLUMNS.names)


def test_the_share_near_galaxies_is_of_all_and_of_the_stored_and_what_a_visit_lacks_is_counted() -> None:
    """Two of four asked are hosted, one of two stored; each visit lacks the kind that it has none of."""
    asked, stored = candidate_request(), candidate_request(balance="stored")
    assert galaxy_share(asked, ledger()) == {"asked": 0.5, "stored": 0.5, "missing": None}
    assert galaxy_share(stored, ledger()) == {"asked": 0.5, "stored": 0.5, "missing": 2}
    uneven = pa.concat_tables([visit_rows(0, 2, 6)[0], visit_rows(1, 5, 5)[0]]).select(ACCOUNTED)
    assert galaxy_share(stored, uneven) == {"asked": 0.3889, "stored": 0.3889, "missing": 4}
    nothing = ledger().filter(pc.equal(ledger()["kind"], "detection"))
    assert galaxy_share(stored, nothing) == {"asked": None, "stored": None, "missing": 0}


def test_a_build_of_which_every_visit_was_rejected_names_the_first_fault(workspace: Workspace) -> None:
    facts = VisitFacts("v0", "cell", "0", "1", 0)
    fault = stage_fault(facts, AlignmentError("no overlap"), 29).table
    plan = staged_plan(workspace, [(fault, 0)])
    with pytest.raises(StoreError, match="none of 1 chip-visits could be worked on; the first: not_aligned: no overl"):
        gather_candidates(plan)
    grown = gather_candidates(replace(plan, published_ids=("old",)))
    assert grown.ids.to_pylist() == ["old", "v0-visit"]
    assert grown.truth is None
    mixed = gather_candidates(staged_plan(workspace, [(fault, 0), visit_rows(1, 1, 1)]))
    assert mixed.ledger.num_rows == 3


def test_candidates_that_come_again_are_counted_and_readings_merged(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    first, count = visit_rows(0, 2, 3)
    told = Reading({"time": "DATE-OBS + UT"}, (), {"zero_point_mag": 1}, ("a.fits: two epochs",))
    batches = [(keep_reading(table, told), count) for table in (first, first)]
    with caplog.at_level(logging.WARNING):
        harvest = gather_candidates(replace(staged_plan(workspace, batches), repeated_ids=("old",)))
    summary = harvest.account(harvest.ledger.select(ACCOUNTED), None, None)
    assert (summary["asked"], summary["stored"], summary["repeated"]) == (count, count, count + 1)
    assert summary["understood"] == {"time": "DATE-OBS + UT"}
    assert (summary["ignored"], summary["missing"]) == ([], {"zero_point_mag": 2})
    told = f"{count + 1} candidates come again with the same pixels and count once: old, v0"
    assert caplog.messages[0].startswith(told)
    assert caplog.messages[1:] == ["a.fits: two epochs"]
