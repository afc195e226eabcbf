"""The plan of a real/bogus build: rules of the request, batches, digest, what is published already."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from realbogus.records import BatchKey, Records, SourceError
from realbogus.simulation.night_conditions import NightConditions
from tasks.candidates.collect import PairVisits, ReadyTriplets, SimulatedVisits
from tasks.candidates.plan import (
    CLASSES,
    COMMON,
    LATER,
    MOST_ROUNDS,
    SCHEME,
    VISITS_A_NIGHT,
    CandidateBatch,
    hash_bound,
    list_batches,
    plan_candidates,
    request_digest,
    require_common,
    scheme_digest,
    simulated_visits,
    unpublished,
)
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.errors import DatasetNameError, StoreError
from tasks.store.sampling import hash_share
from tests.small_candidates import REQUEST, candidate_request, publish_candidates


@dataclass(frozen=True)
class Listed:
    """A source of records that are known by their ids alone."""

    names: tuple[tuple[str, ...], ...]

    def batches(self) -> Sequence[BatchKey]:
        return [BatchKey(f"b{number}", ()) for number in range(len(self.names))]

    def ids(self, batch: BatchKey) -> list[str]:
        return list(self.names[int(batch.name[1:])])

    def read(self, batch: BatchKey) -> Records:
        raise AssertionError("a plan reads no stamps")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": "zenodo"}, "source=zenodo needs path=FOLDER or path=FILE"),
        ({"path": "x"}, "source=simulated takes no path, path=x was given; did you mean source=frames"),
        ({"source": "frames", "path": "x", "known_objects": "simulated"}, "known_objects=simulated is for source=sim"),
        ({"conditions": {"hot_chip": 2}}, r"hot_chip=2: there are chips 0 to 1"),
        ({"conditions": {"hot_chip": "ccd1"}}, r"hot_chip='ccd1' is no chip: give its number, such as 3, or its name"),
        ({"conditions": {"seeing": 2}}, "unknown condition 'seeing'; there are: seeing_factor, extinction_mag, hot_ch"),
        ({"conditions": {"seeing_factor": 0.1}}, "seeing_factor"),
        ({"conditions": {"extinction_mag": -1}}, "extinction_mag"),
        ({"conditions": {"wrong_labels": 1.5}}, "wrong_labels"),
        (
            {"source": "alerts", "path": "x", "conditions": {"seeing_factor": 2}},
            r"conditions=\{'seeing_factor': 2.0\} are for source=simulated, not source=alerts",
        ),
        ({"engine": "precomputed"}, "engine=precomputed is for source=frames, not source=simulated"),
        ({"stamp_px": 10}, "stamp_px"),
        ({"stamp_px": 128}, "stamp_px"),
        ({"visits": VISITS_A_NIGHT + 1}, "visits"),
        ({"galaxy_fraction": -0.1}, "galaxy_fraction"),
        ({"limit": 0}, "limit"),
        ({"threshold_sigma": 0}, "threshold_sigma"),
    ],
)
def test_a_request_that_does_not_go_together_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        candidate_request(**changes)


def test_a_request_that_goes_together_is_accepted() -> None:
    candidate_request(known_objects="simulated")
    candidate_request(source="frames", path="x", engine="precomputed")
    candidate_request(source="triplets", path="x", known_objects="tns.csv")
    candidate_request(galaxy_fraction=0.0, injections_per_visit=0, limit=1)
    with pytest.raises(DatasetNameError):
        candidate_request(dataset="Bad/Name")


def test_the_settings_of_a_visit_and_of_the_survey_are_the_request_s() -> None:
    asked = candidate_request(
        galaxy_fraction=0.25, injections_per_visit=7, engine="zogy", threshold_sigma=4.0, stamp_px=31
    )
    work = asked.work
    assert (work.injection.per_visit, work.injection.galaxy_fraction) == (7, 0.25)
    assert candidate_request(variable_fraction=0.3).work.injection.variable_fraction == 0.3
    assert (work.subtraction.engine, work.threshold_sigma, work.stamp_px) == ("zogy", 4.0, 31)
    survey = candidate_request(scene_transients=2.0, diversity=0.5, seeing_arcsec=2.5, seed=9).survey
    assert (survey.seed, survey.transients_per_visit) == (9, 2.0)
    assert (survey.diversity, survey.seeing_fwhm_arcsec) == (0.5, 2.5)
    varied = candidate_request(variable_fraction=0.3, randomisation=0.5).survey
    assert (varied.variable_share, varied.randomisation) == (0.3, 0.5)


def visits_of(**changes: Any) -> list[tuple[int, int, int, int, int]]:
    keys = simulated_visits(candidate_request(**changes))
    return [(key.seed, key.night, key.chip, key.visit, key.field) for key in keys]


def test_visits_are_listed_visit_by_visit_so_that_fewer_are_a_prefix_of_more() -> None:
    assert visits_of(chips=2, visits=2) == [(3, 0, 0, 0, 0), (3, 0, 1, 0, 0), (3, 0, 0, 1, 1), (3, 0, 1, 1, 1)]
    assert visits_of(visits=3)[: 2 * 2] == visits_of(visits=2)
    assert len(visits_of(chips=2, visits=3)) == 6


def test_a_field_is_revisited_and_is_of_its_night_alone() -> None:
    fields = [visit[4] for visit in visits_of(chips=1, visits=5, revisits=2, night=7)]
    assert fields == [7000, 7000, 7001, 7001, 7002]
    assert max(visit[4] for visit in visits_of(chips=1, visits=VISITS_A_NIGHT)) == VISITS_A_NIGHT - 1


def test_a_limit_takes_the_first_visits() -> None:
    collector, batches = list_batches(candidate_request(limit=3, known_objects="simulated"))
    assert isinstance(collector, SimulatedVisits)
    assert collector.with_known
    assert [(batch.number, batch.name) for batch in batches] == [
        (0, "s3-n0-c0-v0"),
        (1, "s3-n0-c1-v0"),
        (2, "s3-n0-c0-v1"),
    ]
    plain = list_batches(candidate_request())[0]
    assert isinstance(plain, SimulatedVisits)
    assert not plain.with_known


def test_a_request_under_ordinary_conditions_keeps_its_digest() -> None:
    plain = candidate_request()
    for ordinary in (None, {}, {"seeing_factor": 1, "hot_chip": None, "wrong_labels": 0}):
        assert request_digest(candidate_request(conditions=ordinary), ["a"]) == request_digest(plain, ["a"])
    assert "conditions" in LATER
    special = [candidate_request(conditions=given) for given in ({"hot_chip": 1}, {"hot_chip": "chip01"})]
    assert request_digest(special[0], ["a"]) == request_digest(special[1], ["a"]) != request_digest(plain, ["a"])


def test_the_conditions_of_a_night_reach_its_visits() -> None:
    collector = list_batches(candidate_request(conditions={"seeing_factor": 1.5, "hot_chip": 1}))[0]
    assert isinstance(collector, SimulatedVisits)
    assert collector.special == NightConditions(seeing_factor=1.5, hot_chip=1)


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


def write_triplets(folder: Path, count: int) -> Path:
    folder.mkdir()
    np.save(folder / "stamps.npy", np.random.default_rng(0).normal(size=(count, 29, 29, 3)).astype(np.float32))
    with (folder / "table.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "label"])
        writer.writerows((f"t{number}", number % 2) for number in range(count))
    return folder


def test_a_limit_of_records_is_met_exactly_by_the_hash_of_their_ids(tmp_path: Path) -> None:
    folder = str(write_triplets(tmp_path / "set", 20))
    ready, _ = list_batches(candidate_request(source="triplets", path=folder, limit=7))
    assert isinstance(ready, ReadyTriplets)
    selected = {name for key in ready.source.batches() for name in ready.source.ids(key) if ready.selects(name)}
    assert len(selected) == 7
    order = sorted((f"t{number}" for number in range(20)), key=lambda name: hash_share(name, 3))
    assert selected == set(order[:7])
    every, _ = list_batches(candidate_request(source="triplets", path=folder))
    assert isinstance(every, ReadyTriplets)
    assert every.below == 1.0


def test_the_hash_bound_is_that_of_the_first_record_beyond_the_limit() -> None:
    source = Listed((("a", "b"), ("c", "d", "e")))
    keys = list(source.batches())
    shares = sorted(hash_share(name, 1) for name in "abcde")
    assert hash_bound(source, keys, 2, 1) == shares[2]
    assert hash_bound(source, keys, 4, 1) == shares[4]
    assert hash_bound(source, keys, 5, 1) == hash_bound(source, keys, 6, 1) == 1.0


def test_files_that_are_missing_are_named_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="nowhere"):
        list_batches(candidate_request(source="frames", path=str(tmp_path / "nowhere")))
    pair = tmp_path / "pairs.csv"
    pair.write_text("new,reference\na.fits,b.fits\n")
    for name in ("a.fits", "b.fits"):
        (tmp_path / name).write_bytes(b"x")
    asked = {"source": "frames", "path": str(pair)}
    collector, batches = list_batches(candidate_request(**asked))
    assert isinstance(collector, PairVisits)
    assert len(batches) == 1
    with pytest.raises(FileNotFoundError, match=r"galaxy_catalog=.*none\.csv does not exist"):
        list_batches(candidate_request(**asked, galaxy_catalog=str(tmp_path / "none.csv")))
    with pytest.raises(SourceError, match="none"):
        list_batches(candidate_request(**asked, known_objects=str(tmp_path / "none.csv")))


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


def test_a_share_among_the_stored_is_met_by_further_rounds_into_frames_alone() -> None:
    assert candidate_request(balance="asked").work.injection.rounds == 1
    assert candidate_request(balance="stored").work.injection.rounds == MOST_ROUNDS
    assert candidate_request(injection_rounds=3).work.injection.repeats == 3
    for named, change in (("balance=stored", {"balance": "stored"}), ("injection_rounds=2", {"injection_rounds": 2})):
        with pytest.raises(ValidationError, match=f"{named} injects into frames, but source=triplets has ready"):
            candidate_request(source="triplets", path="x", **change)


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
    source = Listed((("c0000", "c0001"), ("c0002", "new"), ("x", "y")))
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
