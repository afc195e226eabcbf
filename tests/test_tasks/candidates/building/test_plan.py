"""The plan of a real/bogus build: digest, conditions of a night, what is published already."""

import json
from pathlib import Path
from typing import Any

import pytest

from realbogus.records import BatchKey
from tasks.candidates.building.batches import CandidateBatch, list_batches
from tasks.candidates.building.collect import ReadyTriplets
from tasks.candidates.building.plan import (
    CLASSES,
    COMMON,
    LATER,
    SCHEME,
    plan_candidates,
    request_digest,
    require_common,
    scheme_digest,
    unpublished,
)
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.errors import StoreError
from tests.small_candidates import REQUEST, ListedRecords, candidate_request, publish_candidates
from tests.small_triplets import write_triplets


def test_a_request_under_ordinary_conditions_keeps_its_digest() -> None:
    plain = candidate_request()
    for ordinary in (None, {}, {"seeing_factor": 1, "hot_chip": None, "wrong_labels": 0}):
        assert request_digest(candidate_request(conditions=ordinary), ["a"]) == request_digest(plain, ["a"])
    assert "conditions" in LATER
    special = [candidate_request(conditions=given) for given in ({"hot_chip": 1}, {"hot_chip": "chip01"})]
    assert request_digest(special[0], ["a"]) == request_digest(special[1], ["a"]) != request_digest(plain, ["a"])


def test_a_published_night_is_not_added_to_under_other_conditions(workspace: Workspace) -> None:
    """A visit's name stands for its frames: under other conditions the same name would mean other frames."""
    poor = {"seeing_factor": 2.0}
    names = ["s3-n0-c0-v0", "s3-n0-c1-v0"]
    dataset = publish_candidates(
        workspace, "night", ["real"] * 2, ["cell"] * 2, ["train"] * 2, columns={"batch": names}
    )
    manifest = json.loads((dataset.path / "manifest.json").read_text())
    held: dict[str, Any] = {"parameters": {name: REQUEST[name] for name in COMMON if name in REQUEST}, "builds": {}}
    recorded = [{"seed": 3, "night": 0, "conditions": poor}]
    (dataset.path / "manifest.json").write_text(json.dumps(manifest | held | {"conditions": recorded}))
    assert plan_candidates(workspace, candidate_request(conditions=poor)).facts["conditions"] == recorded
    with pytest.raises(
        StoreError, match=r"night 0 of dataset 'night' was built with conditions=\{.*2.0\}, not null; use"
    ):
        plan_candidates(workspace, candidate_request())
    later = plan_candidates(workspace, candidate_request(night=4, conditions={"hot_chip": 1}))
    assert later.facts["conditions"] == [*recorded, {"seed": 3, "night": 4, "conditions": {"hot_chip": 1}}]
    (dataset.path / "manifest.json").write_text(json.dumps(manifest | held))
    assert plan_candidates(workspace, candidate_request()).facts["conditions"] == []
    with pytest.raises(StoreError, match=r"was built with conditions=null, not \{.*2.0\}"):
        plan_candidates(workspace, candidate_request(conditions=poor))


def test_a_request_s_digest_depends_on_all_but_the_path() -> None:
    base = candidate_request(source="triplets", path="x")
    digest = request_digest(base, ["a", "b"])
    assert request_digest(candidate_request(source="triplets", path="y"), ["a", "b"]) == digest
    others = {
        request_digest(base, ["b", "a"]),
        request_digest(base, ["a"]),
        request_digest(base, ["ab"]),
        request_digest(base.model_copy(update={"seed": 4}), ["a", "b"]),
        request_digest(base.model_copy(update={"limit": 5}), ["a", "b"]),
    }
    assert len(others | {digest}) == 6


def test_digests_are_those_of_earlier_builds() -> None:
    """A changed digest would make published requests look new."""
    assert scheme_digest() == "e80dbac42e1441acee1d1719e4ce772a0f0efd8267c1441d2afcc3afda2e9729"
    assert request_digest(candidate_request(), ["s3-n0-c0-v0"]) == (
        "810120cc502e529bf65a72592f68fe8980c55f5e48261d643d411b316e19c27d"
    )


def published(workspace: Workspace, count: int = 6, **parameters: Any) -> Dataset:
    """A version with candidates ``c0000`` on in batches of two."""
    batches = [f"batch {row // 2}" for row in range(count)]
    dataset = publish_candidates(
        workspace, "night", ["real"] * count, ["cell"] * count, ["train"] * count, columns={"batch": batches}
    )
    manifest = json.loads((dataset.path / "manifest.json").read_text())
    held = {name: REQUEST[name] for name in COMMON if name in REQUEST} | parameters
    (dataset.path / "manifest.json").write_text(json.dumps(manifest | {"parameters": held, "builds": {}}))
    return Dataset.open(workspace, "night")


def test_samples_of_other_settings_are_refused_and_the_first_is_named(workspace: Workspace) -> None:
    require_common(candidate_request(), None)
    parent = published(workspace)
    require_common(candidate_request(night=5, seed=9, visits=1), parent)
    changes = {
        **{"stamp_px": 31, "engine": "sfft", "threshold_sigma": 4.0, "injections_per_visit": 5},
        **{"galaxy_fraction": 0.25, "balance": "stored", "revisits": 2, "scene_transients": 1.0},
        **{"diversity": 0.5, "seeing_arcsec": 2.0, "variable_fraction": 0.1, "randomisation": 0.5},
        "injection_rounds": 3,
    }
    assert set(changes) | {"source"} == set(COMMON)
    for name, value in changes.items():
        before = REQUEST.get(name, LATER.get(name))
        with pytest.raises(StoreError, match=f"'night' was built with {name}={before}, not {value}; use anoth"):
            require_common(candidate_request(**{name: value}), parent)
    with pytest.raises(StoreError, match="with source=simulated, not triplets"):
        require_common(candidate_request(source="triplets", path="x", stamp_px=31), parent)


def batch(number: int, name: str) -> CandidateBatch:
    return CandidateBatch(number, name, BatchKey(name, ()))


def test_a_published_visit_is_left_out_and_its_ids_are_accounted_for(workspace: Workspace) -> None:
    batches = [batch(0, "batch 1"), batch(1, "batch 7"), batch(2, "batch 2")]
    collector = list_batches(candidate_request())[0]
    assert unpublished(batches, collector, None) == (tuple(batches), ())
    parent = published(workspace)
    assert unpublished(batches, collector, parent) == ((batches[1],), ("c0002", "c0003", "c0004", "c0005"))
    assert unpublished(batches[1:2], collector, parent) == ((batches[1],), ())
    assert unpublished([], collector, parent) == ((), ())


def test_a_batch_of_records_is_left_out_once_all_that_is_selected_of_it_is_published(workspace: Workspace) -> None:
    parent = published(workspace)
    source = ListedRecords((("c0000", "c0001"), ("c0002", "new"), ("x", "y")))
    batches = [batch(number, f"b{number}") for number in range(3)]
    missing, ids = unpublished(batches, ReadyTriplets(source, 0), parent)
    assert ids == ("c0000", "c0001", "c0002")
    assert [(item.number, item.name, list(item.published)) for item in missing] == [(1, "b1", ["c0002"]), (2, "b2", [])]
    ledger = parent.samples(["id", "pixel_sha256"]).to_pylist()
    assert missing[0].published == {row["id"]: row["pixel_sha256"] for row in ledger if row["id"] == "c0002"}
    nothing, _ = unpublished(batches, ReadyTriplets(source, 0, 0.0), parent)
    assert nothing == (), "nothing of any batch is selected"


def test_a_plan_on_disk_holds_the_request_the_scheme_and_the_number_of_batches(workspace: Workspace) -> None:
    asked = candidate_request(chips=2, visits=2)
    plan = plan_candidates(workspace, asked)
    assert plan.request == asked
    assert plan.facts["request"] == asked.model_dump(mode="json")
    assert plan.facts["scheme"] == {"name": SCHEME, "digest": scheme_digest(), "classes": list(CLASSES)}
    assert (plan.facts["parent"], plan.facts["ask"], plan.facts["finished_before"]) == (None, 4, False)
    assert plan.digest == request_digest(asked, [item.name for item in plan.batches])
    assert (len(plan.batches), plan.published_ids) == (4, ())
    assert plan_candidates(workspace, asked).folder == plan.folder
    assert plan_candidates(workspace, candidate_request(chips=2, visits=3)).folder != plan.folder
    assert not plan.folder.exists(), "another request's staging is removed"


def test_copies_of_a_file_count_once(workspace: Workspace, tmp_path: Path) -> None:
    for name in ("a", "b", "copy"):
        (tmp_path / f"new_{name}.fits").write_bytes(b"new" if name != "b" else b"other")
        (tmp_path / f"ref_{name}.fits").write_bytes(b"ref")
    plan = plan_candidates(workspace, candidate_request(source="frames", path=str(tmp_path)))
    assert len(plan.batches) == 2


def test_what_was_staged_before_a_correction_is_not_taken_up(workspace: Workspace, tmp_path: Path) -> None:
    """Neither the frames nor the parameters tell of a table, a mask or known objects that were corrected."""
    for name in ("new", "ref", "mask"):
        (tmp_path / f"{name}.fits").write_bytes(name.encode())
    table, known = tmp_path / "pairs.csv", tmp_path / "known.csv"
    known.write_text("name,ra,dec\na,1,2\n")

    def stage(epoch: str) -> Path:
        table.write_text(f"new,reference,new_mask,epoch_mjd\nnew.fits,ref.fits,mask.fits,{epoch}\n")
        request = candidate_request(source="frames", path=str(tmp_path), known_objects=str(known))
        return plan_candidates(workspace, request).folder

    folders = [stage(""), stage("60374.5")]
    assert stage("60374.5") == folders[-1]
    (tmp_path / "mask.fits").write_bytes(b"another mask")
    folders.append(stage("60374.5"))
    known.write_text("name,ra,dec\na,1,2.5\n")
    folders.append(stage("60374.5"))
    assert len(set(folders)) == 4


def test_a_corrected_table_of_triplets_is_read_anew(workspace: Workspace, tmp_path: Path) -> None:
    folder = write_triplets(tmp_path / "set", 4)
    request = candidate_request(source="triplets", path=str(folder))
    before = plan_candidates(workspace, request)
    digest = before.digest
    assert plan_candidates(workspace, request).folder == before.folder
    table = folder / "table.csv"
    table.write_text(table.read_text().replace("t0", "t00"))
    after = plan_candidates(workspace, request)
    assert after.folder != before.folder
    assert after.digest == digest
