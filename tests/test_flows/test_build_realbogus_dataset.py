"""Building a real/bogus dataset end to end: the account, growing, going on after a kill, and what bad input says.

Simulated chips are made small where the flow itself would take full ones: the flow's own tasks are called with an
observer of a survey of small chips.
"""

import json
import shutil
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from prefect import flow
from scipy import stats

from flows.build_realbogus_dataset import build_realbogus_dataset
from realbogus.injection.chip_visit import VisitSettings
from realbogus.simulation.survey import Survey, SurveySettings
from realbogus.sources.zenodo import write_published_layout
from realbogus.stamps import pixel_sha256
from tasks.building.publish import finished_summary
from tasks.candidates.building.build_request import CandidateBuildRequest
from tasks.candidates.building.collect import SimulatedVisits, VisitKey
from tasks.candidates.building.harvest import gather_candidates
from tasks.candidates.building.plan import CandidatePlan
from tasks.candidates.building.staged_rows import StagedBatch
from tasks.runtime.cluster import InProcess
from tasks.runtime.workspace import Workspace
from tasks.stages.datasets.build_candidates import collect_candidates, plan_candidates
from tasks.stages.datasets.publish import publish_build
from tasks.store.dataset import Dataset
from tasks.store.errors import StoreError
from tasks.store.schema import STORED

SMALL_CHIPS: dict[str, Any] = {"height_px": 400, "width_px": 500, "stars": 6000.0}
"""Area a tenth of a full chip's; as many stars on it as a PSF and a kernel want."""
REQUEST: dict[str, Any] = {
    "dataset": "night",
    "source": "simulated",
    "path": None,
    "night": 0,
    "stamp_px": 29,
    "label_column": None,
    "group_column": None,
    "galaxy_catalog": None,
    "known_objects": None,
    "galaxy_fraction": 0.5,
    "balance": "asked",
    "injections_per_visit": 20,
    "chips": 1,
    "visits": 1,
    "revisits": 1,
    "scene_transients": 0.1,
    "diversity": 1.0,
    "seeing_arcsec": 3.4,
    "engine": "alard-lupton",
    "threshold_sigma": 5.0,
    "limit": None,
    "seed": 3,
}


@dataclass(frozen=True)
class SmallChips(SimulatedVisits):
    """The simulated survey with small chips; `seen` lists the visits that were worked on, `dies_at` ends the run."""

    seen: list[str] = field(default_factory=list)
    dies_at: str | None = None

    def collect(self, key: VisitKey) -> StagedBatch:
        if key.name == self.dies_at:
            raise KeyboardInterrupt(key.name)
        self.seen.append(key.name)
        return super().collect(key)


def small(seed: int = 3, **settings: Any) -> SmallChips:
    return SmallChips(SurveySettings(seed=seed, **SMALL_CHIPS | settings), VisitSettings())


def with_small_chips(plan: CandidatePlan, observer: SmallChips) -> CandidatePlan:
    """Return a plan whose visits are of small chips, worked on as was asked."""
    assert isinstance(plan.collector, SimulatedVisits)
    asked = plan.collector
    observer = replace(observer, work=asked.work, with_known=asked.with_known, special=asked.special)
    return replace(plan, collector=observer)


@flow
def build_small(observer: SmallChips, **changes: Any) -> dict[str, Any]:
    """Do what `build_realbogus_dataset` does, with small chips."""
    workspace = Workspace.current()
    plan = with_small_chips(plan_candidates(workspace, CandidateBuildRequest(**REQUEST | changes)), observer)
    if plan.is_finished():
        return finished_summary(workspace, plan)
    collect_candidates(plan, InProcess())
    return publish_build(workspace, partial(gather_candidates, plan), InProcess(), 0)


def tables_of(workspace: Workspace, name: str) -> tuple[Dataset, list[dict[str, Any]], dict[str, str | None]]:
    """Return a dataset, its ledger's rows and its labels by id."""
    dataset = Dataset.open(workspace, name)
    labels = dataset.labels("real-bogus").to_pylist()
    return dataset, dataset.samples().to_pylist(), {row["id"]: row["label"] for row in labels}


def shards_of(workspace: Workspace, name: str) -> dict[str, bytes]:
    store = workspace.datasets / name / "pixels.zarr" / "pixels" / "c"
    return {str(path.relative_to(store)): path.read_bytes() for path in sorted(store.rglob("*")) if path.is_file()}


def check_account(workspace: Workspace, summary: dict[str, Any]) -> Dataset:
    """Check the summary of a dataset's only build against what is on disk, and what holds for every dataset."""
    dataset, rows, labels = tables_of(workspace, summary["dataset"])
    stored = [row for row in rows if row["status"] == STORED]
    rejected = Counter(row["reason"] for row in rows if row["status"] != STORED)
    assert summary["asked"] == len(rows) == summary["stored"] + sum(summary["rejected"].values())
    assert (summary["stored"], summary["rejected"]) == (len(stored), dict(rejected))
    assert summary["kinds"] == dict(Counter(row["kind"] for row in stored))
    told = Counter(labels[row["id"]] or "unlabelled" for row in stored)
    assert summary["labels"] == {name: told[name] for name in ("real", "bogus", "unlabelled")}
    for kind, count in summary["injected"].items():
        mine = [row for row in rows if row["kind"] == f"{kind}_injection"]
        assert (count, summary["found"][kind]) == (len(mine), sum(row["found"] is not False for row in mine))
    assert summary["detectors"] == len({row["detector"] for row in stored})
    assert len({row["id"] for row in rows}) == len(rows)
    pixels = np.asarray(dataset.pixels[:])
    assert [pixel_sha256(pixels[row["row"]]) for row in stored] == [row["pixel_sha256"] for row in stored]
    split = dataset.split()
    assert split is not None
    assert {row["id"]: row["group"] for row in split.to_pylist()} == {row["id"]: row["group"] for row in stored}
    parts: dict[str, set[str]] = {}
    for row in split.to_pylist():
        parts.setdefault(row["group"], set()).add(row["part"])
    assert all(len(of_group) == 1 for of_group in parts.values())
    assert summary["split"] == {part: split["part"].to_pylist().count(part) for part in ("train", "validation", "test")}
    staging = workspace.datasets / summary["dataset"] / "staging"
    assert not staging.exists() or not list(staging.iterdir())
    return dataset


def test_a_night_balances_and_keeps_truth_apart_from_labels(flows_here: Workspace) -> None:
    lively = small(transients_per_visit=4.0, variables=2.0)
    summary = build_small(lively, visits=3, revisits=2)
    dataset = check_account(flows_here, summary)
    _, rows, labels = tables_of(flows_here, "night")
    assert sum(summary["injected"].values()) == 60
    assert summary["detectors"] == 1
    assert summary["pixels"] == "simulated"
    assert summary["detections_per_chip"] == pytest.approx(sum(row["snr"] is not None for row in rows) / 3, abs=0.05)
    # Two visits of one field are one cell.
    assert {(row["visit"], row["group"]) for row in rows} == {
        (0, "field0000000-chip00"),
        (1, "field0000000-chip00"),
        (2, "field0000001-chip00"),
    }
    assert all(row["id"].startswith(f"s3-n0-c0-v{row['visit']}-") for row in rows)
    stored = [row for row in rows if row["status"] == STORED]
    assert all((labels[row["id"]] == "real") == (row["kind"] != "detection") for row in stored)
    truth = {row["id"]: row for row in pq.read_table(dataset.path / "truth.parquet").to_pylist()}
    assert set(truth) == {row["id"] for row in stored}
    known = dataset.samples().column_names
    assert not {"truth", "origin"} & set(known), "the truth is nowhere but in its own table"
    wrong = [row["id"] for row in stored if labels[row["id"]] == "bogus" and truth[row["id"]]["truth"] == "real"]
    assert wrong, "a transient of the scene is detected and taken for bogus, as in a survey"
    assert {truth[sample_id]["origin"] for sample_id in wrong} <= {"transient", "variable", "asteroid", "flare"}
    again = build_small(lively, visits=3, revisits=2)
    assert again == summary | {"requests": 0}
    assert len(lively.seen) == 3, "nothing was worked on again"
    assert Dataset.open(flows_here, "night").version == 1


def test_known_objects_leave_the_bogus_and_known_transients_are_only_judged(flows_here: Workspace) -> None:
    lively = small(transients_per_visit=8.0, variables=3.0)
    summary = build_small(lively, visits=3, revisits=2, known_objects="simulated")
    dataset, rows, labels = tables_of(flows_here, "night")
    known = [row for row in rows if row["status"] == STORED and row["kind"].startswith("known_")]
    truth = {row["id"]: row for row in dataset.truth().to_pylist()}  # type: ignore[union-attr]
    assert summary["kinds"]["known_transient"] >= 2
    assert all(labels[row["id"]] is None for row in known)
    assert summary["labels"]["unlabelled"] == len(known)
    named = Counter(truth[row["id"]]["origin"] for row in known if row["kind"] == "known_transient")
    assert named["transient"] >= 0.8 * named.total(), "what lies at a listed place is what was listed"
    part = {row["id"]: row["part"] for row in dataset.split().to_pylist()}  # type: ignore[union-attr]
    for row in known:
        if row["kind"] == "known_transient":
            assert row["group"] == "known-" + json.loads(row["parameters"])["known_object"]
            assert part[row["id"]] == "test"
    assert {part[row["id"]] for row in rows if row["kind"] == "detection" and row["id"] in part} - {"test"}


def test_a_night_grows_and_goes_on_after_a_kill(flows_here: Workspace) -> None:
    observer = small()
    build_small(observer)
    before, rows, _ = tables_of(flows_here, "night")
    shards, parts = shards_of(flows_here, "night"), before.split().to_pylist()  # type: ignore[union-attr]
    more = build_small(observer, visits=3)
    later = build_small(small(seed=4), night=7, seed=4)
    assert observer.seen == ["s3-n0-c0-v0", "s3-n0-c0-v1", "s3-n0-c0-v2"]
    after, grown, _ = tables_of(flows_here, "night")
    assert after.version == 3
    assert [row for row in grown if row["batch"] == "s3-n0-c0-v0"] == rows
    assert shards_of(flows_here, "night").items() >= shards.items()
    assert all(row in after.split().to_pylist() for row in parts)  # type: ignore[union-attr]
    for summary, night in ((more, "00000"), (later, "00007")):
        assert summary["asked"] == sum(row["night"] == night for row in grown), "a summary tells of its own request"

    build_small(small(seed=4), dataset="turned", night=7, seed=4)
    with pytest.raises(KeyboardInterrupt):
        build_small(replace(small(), dies_at="s3-n0-c0-v2"), dataset="turned", visits=3)
    assert Dataset.open(flows_here, "turned").version == 1
    (staging,) = (flows_here.datasets / "turned" / "staging").iterdir()
    shutil.rmtree(staging / "batch-000000")  # what is lost of the finished ones is made again
    resumed = small()
    build_small(resumed, dataset="turned", visits=3)
    assert resumed.seen == ["s3-n0-c0-v0", "s3-n0-c0-v2"]
    assert Dataset.open(flows_here, "turned").digest == after.digest


def test_a_special_night_is_recorded_and_its_wrong_labels_leave_pixels_and_truth(flows_here: Workspace) -> None:
    """Every label flipped: what was real is bogus and the reverse, of the same stamps, whose truth stays."""
    build_small(small(), dataset="plain")
    wrong = {"wrong_labels": 1.0}
    summary = build_small(small(), dataset="wrong", conditions=wrong)
    plain, rows, right = tables_of(flows_here, "plain")
    special, wrong_rows, labels = tables_of(flows_here, "wrong")
    assert [row["pixel_sha256"] for row in wrong_rows] == [row["pixel_sha256"] for row in rows]
    flipped = {"real": "bogus", "bogus": "real", None: None}
    stored = [row["id"] for row in rows if row["status"] == STORED]
    assert {name: labels[name] for name in stored} == {name: flipped[right[name]] for name in stored}
    assert special.truth() == plain.truth()
    assert (plain.manifest["conditions"], special.manifest["conditions"]) == (
        [],
        [{"seed": 3, "night": 0, "conditions": wrong}],
    )
    assert build_small(small(), dataset="wrong", conditions=wrong) == summary | {"requests": 0}
    with pytest.raises(StoreError, match=r"night 0 of dataset 'wrong' was built with conditions=\{.*1.0\}, not null"):
        build_small(small(), dataset="wrong")


def test_a_frame_is_injected_into_again_with_others_beside_the_rows_of_the_first_round(flows_here: Workspace) -> None:
    plain, more = (build_small(small(), dataset=f"rounds-{count}", injection_rounds=count) for count in (1, 3))
    check_account(flows_here, more)
    first, rows = (Dataset.open(flows_here, f"rounds-{count}").samples().to_pylist() for count in (1, 3))
    of_round: dict[int, list[dict[str, Any]]] = {1: [], 2: [], 3: []}
    for row in rows:
        of_round[json.loads(row["parameters"]).get("injection_round", 1)].append(row)
    digests = [sorted(str(row["pixel_sha256"]) for row in of) for of in (first, of_round[1])]
    assert digests[0] == digests[1]
    assert sum(plain["injected"].values()) == REQUEST["injections_per_visit"]
    assert sum(more["injected"].values()) == 3 * REQUEST["injections_per_visit"]
    for number in (2, 3):
        assert len(of_round[number]) == REQUEST["injections_per_visit"]
        assert all(row["kind"] != "detection" for row in of_round[number])
    places = {(row["injected_x_px"], row["injected_y_px"]) for row in rows if row["kind"] != "detection"}
    assert len(places) == 3 * REQUEST["injections_per_visit"], "others in each round"


def test_transients_are_injected_until_the_stored_share_near_galaxies_is_met(flows_here: Workspace) -> None:
    changes = {"galaxy_fraction": 0.8, "injections_per_visit": 30}
    summary = build_small(small(), dataset="met", balance="stored", **changes)
    dataset = check_account(flows_here, summary)
    share, kinds = summary["galaxy_share"], summary["kinds"]
    hosted, found = kinds["galaxy_injection"], kinds["galaxy_injection"] + kinds["random_injection"]
    assert share == dataset.manifest["builds"][next(iter(dataset.manifest["builds"]))]["galaxy_share"]
    assert share["missing"] == 0
    assert abs(hosted - 0.8 * found) <= 0.5
    assert share["stored"] == round(hosted / found, 4)
    plain = build_small(small(), dataset="plain", balance="asked", **changes)
    lacking = plain["kinds"]["galaxy_injection"] + plain["kinds"]["random_injection"]
    assert abs(plain["kinds"]["galaxy_injection"] - 0.8 * lacking) > 0.5, "else nothing is tested"
    rows, first = (Dataset.open(flows_here, name).samples().to_pylist() for name in ("met", "plain"))
    further = [row for row in rows if "injection_round" in json.loads(row["parameters"])]
    assert len(further) == sum(summary["injected"].values()) - 30 == len(rows) - len(first)
    assert all(row["kind"] != "detection" for row in further)
    # The first round is what balance=asked builds; the further rounds add to it.
    unchanged = {row["pixel_sha256"] for row in rows if row not in further}
    assert unchanged == {row["pixel_sha256"] for row in first}
    assert sorted(row["id"] for row in rows) == [f"s3-n0-c0-v0-{number:04d}" for number in range(len(rows))]
    numbers = [int(row["id"][-4:]) for row in further]
    assert min(numbers) < len(first), "a number does not reveal that a row is an injection"
    request = CandidateBuildRequest(**REQUEST | changes | {"balance": "stored"})
    alone = replace(small(), work=request.work).collect(VisitKey(3, 0, 0, 0, 0)).table
    of_build = {row["id"]: row["pixel_sha256"] for row in rows}
    assert dict(zip(alone["id"].to_pylist(), alone["pixel_sha256"].to_pylist(), strict=True)) == of_build


def test_a_full_chip_through_the_flow(flows_here: Workspace) -> None:
    summary = build_realbogus_dataset(dataset="chip", chips=1, visits=1, injections_per_visit=40)
    dataset = check_account(flows_here, summary)
    assert sum(summary["injected"].values()) == 40
    share = summary["injected"]["galaxy"]
    assert stats.binomtest(share, 40, 0.5).pvalue > 0.001
    assert 15 < summary["labels"]["real"] <= summary["found"]["galaxy"] + summary["found"]["random"]
    assert dataset.manifest["survey"]["height_px"] == 1128
    assert dataset.manifest["label_kind"] == "injection"
    assert build_realbogus_dataset(dataset="chip", chips=1, visits=1, injections_per_visit=40) == summary | {
        "requests": 0
    }


def write_pair(folder: Path, name: str, chip: int) -> dict[str, Any]:
    """Write a pair of FITS files from a simulated visit and return its galaxies."""
    visit = Survey(SurveySettings(seed=5, **SMALL_CHIPS)).chip_visit(0, chip, 0)
    for side, frame in (("new", visit.pair.new), ("ref", visit.pair.reference)):
        whole = side == "new"
        hdu = fits.PrimaryHDU(frame.pixels.astype(np.int32) if whole else frame.pixels)
        assert frame.wcs is not None
        hdu.header.update(frame.wcs.to_header())
        hdu.header["GAIN"], hdu.header["SATURATE"] = frame.gain_e_per_count, frame.saturation_counts
        hdu.header["MAGZP"], hdu.header["MJD-OBS"] = frame.zero_point_mag, 59000.75
        hdu.header["CCDID"] = chip
        hdu.writeto(folder / f"{side}_{name}.fits")
    names = ("ra_deg", "dec_deg", "mag", "radius_arcsec", "axis_ratio", "position_angle_deg")
    return {name: getattr(visit.galaxies, name) for name in names}


@pytest.fixture(scope="session")
def written_frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pairs of small frames and the galaxies on them."""
    folder = tmp_path_factory.mktemp("frames")
    seen = [write_pair(folder, name, chip) for name, chip in (("a", 1), ("b", 40), ("c", 60))]
    pq.write_table(
        pa.table({name: np.concatenate([one[name] for one in seen]) for name in seen[0]}), folder / "g.parquet"
    )
    return folder


@pytest.fixture
def frames(written_frames: Path, tmp_path: Path) -> Path:
    """A folder of one's own with links to the three pairs."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for path in written_frames.glob("*.fits"):
        (folder / path.name).symlink_to(path)
    return folder


def test_ones_own_frames_become_a_dataset_and_a_bad_pair_is_one_row_of_it(
    flows_here: Workspace, frames: Path, written_frames: Path
) -> None:
    whole = (frames / "new_c.fits").read_bytes()
    (frames / "new_c.fits").unlink()
    (frames / "new_c.fits").write_bytes(whole[: len(whole) // 2])
    for side in ("new", "ref"):
        shutil.copy(frames / f"{side}_a.fits", frames / f"{side}_copy.fits")
    request: dict[str, Any] = {"dataset": "own", "source": "frames", "path": str(frames), "injections_per_visit": 30}
    request["galaxy_catalog"] = str(written_frames / "g.parquet")
    summary = build_realbogus_dataset(**request)
    dataset = check_account(flows_here, summary)
    assert sum(summary["injected"].values()) == 60
    assert stats.binomtest(summary["injected"]["galaxy"], 60, 0.5).pvalue > 0.001
    assert summary["rejected"]["unreadable_frame"] == 1, "and the copy of a pair is no second one"
    assert (summary["pixels"], summary["detectors"]) == ("real+injected", 2)
    assert not (dataset.path / "truth.parquet").exists()
    rows = dataset.samples().to_pylist()
    (bad,) = [row for row in rows if row["kind"] == "visit"]
    assert "new_c.fits" in json.loads(bad["parameters"])["fault"]
    others = [row for row in rows if row is not bad]
    assert {row["detector"] for row in others} == {"1", "40"}
    assert len({row["group"] for row in others}) == 2
    assert {row["night"] for row in others} == {"2459001"}

    moved = frames.rename(frames.with_name("moved"))
    request["path"] = str(moved)
    assert build_realbogus_dataset(**request) == summary | {"requests": 0}, "ids are those of the files' bytes"
    (moved / "new_z.fits").write_bytes(whole)  # and no reference
    worse = build_realbogus_dataset(**request)
    assert (worse["stored"], worse["rejected"]["unreadable_frame"]) == (summary["stored"], 2)
    after = Dataset.open(flows_here, "own").samples().to_pylist()
    assert all(row in after for row in rows)
    assert sum("ref_z.fits does not exist" in row["parameters"] for row in after) == 1


def test_a_header_that_breaks_a_library_is_one_row_and_padding_is_in_the_summary(
    flows_here: Workspace, frames: Path
) -> None:
    """wcslib raises MemoryError for such a lookup table; the padded reference of the other pair has no data there."""
    lookup = {"CPDIS1": "LOOKUP", "DP1": "EXTVER: 1.0", "CPDIS2": "LOOKUP", "DP2": "EXTVER: 2.0"}
    for name, cards in (("new_b", lookup), ("ref_a", {})):
        image, header = fits.getdata(frames / f"{name}.fits"), fits.getheader(frames / f"{name}.fits")
        header.update(cards)
        if name == "ref_a":
            image[:, :100] = 0
        (frames / f"{name}.fits").unlink()
        fits.writeto(frames / f"{name}.fits", image, header)
    summary = build_realbogus_dataset(dataset="own", source="frames", path=str(frames))
    dataset = check_account(flows_here, summary)
    assert summary["rejected"]["bad_wcs"] == 1
    assert summary["padded_fraction"] == {"new": 0.0, "reference": pytest.approx(100 / 500 / 2, abs=1e-3)}
    assert summary["detectors"] == 2
    assert f"{frames / 'ref_a.fits'}: 20.0% of the frame is padding, which has no data" in summary["notes"]
    rows = dataset.samples().to_pylist()
    (bad,) = [row for row in rows if row["kind"] == "visit"]
    assert "new_b.fits: the WCS in its header cannot be used: NAXES" in json.loads(bad["parameters"])["fault"]
    padded = [row for row in rows if row["detector"] == "1"]
    assert {row["parameters"] for row in padded} == {'{"padded_fraction": {"new": 0.0, "reference": 0.2}}'}
    assert min(row["x_px"] for row in padded if row["snr"] is not None) > 95
    (page,) = flows_here.reports.rglob("*.html")
    assert "bad_wcs" in page.read_text()
    assert "Padding of the frames" in page.read_text()


def only(folder: Path, name: str) -> Path:
    for path in folder.glob("*.fits"):
        if path.stem[-1] != name:
            path.unlink()
    return folder


def test_frames_of_which_none_can_be_used_name_the_file_and_the_cause(flows_here: Workspace, frames: Path) -> None:
    only(frames, "a")
    with fits.open(frames / "new_a.fits") as hdus:
        del hdus[0].header["GAIN"]
        (frames / "new_a.fits").unlink()
        hdus.writeto(frames / "new_a.fits")
    with pytest.raises(StoreError, match=r"none of 1 chip-visits .*new_a\.fits has no gain_e_per_count"):
        build_realbogus_dataset(dataset="own", source="frames", path=str(frames))
    assert not (flows_here.datasets / "own" / "CURRENT").exists()


def test_without_a_galaxy_on_the_frame_the_share_is_none_and_said_so(
    flows_here: Workspace, frames: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere.csv").write_text("ra_deg,dec_deg,mag\n10.0,-80.0,17.0\n11.0,-80.0,16.0\n")
    request: dict[str, Any] = {"dataset": "own", "source": "frames", "path": str(only(frames, "a"))}
    summary = build_realbogus_dataset(**request, galaxy_catalog=str(tmp_path / "elsewhere.csv"))
    dataset = check_account(flows_here, summary)
    assert summary["injected"] == {"galaxy": 0, "random": 20, "variable": 0}
    assert "galaxy_injection" not in summary["kinds"]
    results = json.loads((dataset.path / "validation" / "validation.json").read_text())
    (low,) = [result for result in results if result["name"] == "quantity_low"]
    assert not low["success"]
    assert any("near galaxies" in example for example in low["examples"])


def test_real_alerts_as_an_array_with_a_table(flows_here: Workspace, shared_data: Path) -> None:
    summary = build_realbogus_dataset(dataset="ztf", source="triplets", path=str(shared_data / "ztf_alerts"))
    dataset = check_account(flows_here, summary)
    assert summary["labels"] == {"real": 877, "bogus": 92, "unlabelled": 250}
    assert (summary["asked"], summary["pixels"]) == (1219, "real")
    assert dataset.manifest["label_kind"] == "weak"
    assert summary["completeness_50_mag"] is None
    assert summary["detections_per_chip"] is None


def test_the_published_layout_and_a_part_of_it(flows_here: Workspace, tmp_path: Path) -> None:
    write_published_layout(tmp_path / "set", detectors=3, rows=160, rng=np.random.default_rng(2))
    request: dict[str, Any] = {"dataset": "published", "source": "zenodo", "path": str(tmp_path / "set")}
    part = build_realbogus_dataset(limit=150, **request)
    check_account(flows_here, part)
    assert part["asked"] == 150
    chosen = Dataset.open(flows_here, "published").samples().to_pylist()
    whole = build_realbogus_dataset(**request)
    rows = {row["id"]: row for row in Dataset.open(flows_here, "published").samples().to_pylist()}
    assert (whole["asked"], len(rows), whole["detectors"]) == (480, 480, 3)
    assert all(rows[row["id"]] == row for row in chosen)
    with pytest.raises(StoreError, match="'published' was built with stamp_px=29, not 31; use another dataset"):
        build_realbogus_dataset(stamp_px=31, **request)


def test_what_a_dataset_holds_already_decides_what_is_added(workspace: Workspace, tmp_path: Path) -> None:
    folder = workspace.datasets / "held" / "versions" / "000001"
    folder.mkdir(parents=True)
    held = {"source": "zenodo", "stamp_px": 29, "engine": "zogy", "threshold_sigma": 5.0}
    manifest = {"format_version": 1, "problem": "realbogus", "name": "held", "version": 1, "parameters": held}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (workspace.datasets / "held" / "CURRENT").write_text("1\n")
    for name, other in {"source": "simulated", "stamp_px": 31, "engine": "sfft", "threshold_sigma": 4.0}.items():
        request = CandidateBuildRequest(
            **REQUEST
            | held
            | {"dataset": "held", "path": "x", name: other}
            | ({"path": None} if name == "source" else {})
        )
        with pytest.raises(StoreError, match=f"'held' was built with {name}={held[name]}, not {other}; use another"):
            plan_candidates.fn(workspace, request)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": "zenodo"}, "source=zenodo needs path"),
        ({"path": "somewhere"}, "path=somewhere was given; did you mean source=frames"),
        ({"engine": "precomputed"}, "engine=precomputed is for source=frames"),
        ({"stamp_px": 5}, "stamp_px"),
        ({"galaxy_fraction": 1.5}, "galaxy_fraction"),
        ({"dataset": "Bad/Name"}, "is not a name"),
        ({"source": "frames", "path": "nowhere"}, "nowhere is neither a folder nor a table"),
        ({"source": "triplets", "path": "nowhere"}, "nowhere"),
        ({"source": "zenodo", "path": "nowhere"}, "nowhere"),
    ],
)
def test_bad_requests_name_the_thing(workspace: Workspace, changes: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, StoreError), match=message):
        plan_candidates.fn(workspace, CandidateBuildRequest(**REQUEST | changes))
    assert not list(workspace.datasets.glob("*/CURRENT"))


def write_triplets(folder: Path, table: str, rows: int = 12) -> Path:
    folder.mkdir()
    np.save(folder / "stamps.npy", np.random.default_rng(6).normal(100, 9, (rows, 29, 29, 3)).astype(np.float32))
    (folder / "stamps.csv").write_text(table)
    return folder


def test_a_build_says_what_it_understood_and_refuses_rows_that_cannot_be_compared(
    flows_here: Workspace, tmp_path: Path
) -> None:
    rows = "".join(f"{row},{row % 2},9,{10 + row},1.5,{59000 + row}.5\n" for row in range(12))
    path = write_triplets(tmp_path / "t", "diaSourceId,label,ra,ra_fit,dec,midpointMjdTai\n" + rows)
    known = tmp_path / "known.csv"
    known.write_text(
        "Name,RAJ2000,DEJ2000,disc_date,class\nAT2020a,10,1.5,2020-05-30,SN\nAT2020b,11,1.5,2001-01-01,SN\n"
    )
    named = {"ra": "ra_fit"}
    shared: dict[str, Any] = {"source": "triplets", "known_objects": str(known)}
    summary = build_realbogus_dataset(dataset="a", path=str(path), columns=named, **shared)
    assert (summary["asked"], summary["stored"], summary["repeated"]) == (12, 12, 0)
    assert summary["kinds"] == {"detection": 11, "known_transient": 1}
    understood = summary["understood"]
    assert (understood["id"], understood["ra"], understood["time"]) == ("diaSourceId", "ra_fit", "midpointMjdTai")
    assert (understood["known_objects.ra"], understood["known_objects.discovery_time"]) == ("RAJ2000", "disc_date")
    assert summary["missing"]["sign"] == 12
    again = build_realbogus_dataset(dataset="a", path=str(path / "stamps.npy"), columns=named, **shared)
    assert (again["requests"], again["version"], again["understood"]) == (0, 1, understood), "the file is the folder"
    timeless = write_triplets(tmp_path / "u", "id,label,ra,dec\n" + "".join(f"{r},1,10,1.5\n" for r in range(12)))
    with pytest.raises(ValueError, match=r"stamps\.csv has no epoch; its columns are id, label, ra, dec: it cannot"):
        build_realbogus_dataset(dataset="b", path=str(timeless), **shared)
    by_position = build_realbogus_dataset(
        dataset="b", path=str(timeless), known_without_epoch="position_only", **shared
    )
    assert by_position["kinds"] == {"known_transient": 12}
    with pytest.raises(ValueError, match="columns names 'nope' for ra, which table"):
        build_realbogus_dataset(dataset="c", path=str(path / "stamps.npy"), columns={"ra": "nope"}, **shared)
