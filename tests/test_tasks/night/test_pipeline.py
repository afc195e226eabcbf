"""A night from its request to its summary, and the entries of that summary."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient

from realbogus.records import SourceError
from tasks.learning.cascade import Discard
from tasks.learning.training_overlap import COLUMNS
from tasks.night.first_model import FirstModel
from tasks.night.models import NightError
from tasks.night.operations import NightScores, ground_truth, operations
from tasks.night.overlap import trained_on
from tasks.night.pipeline import require_scored, score_night, summarise, summarise_cascade
from tasks.night.request import NightRequest
from tasks.night.score_table import ScoredNight
from tasks.night.sources import DatasetNight, NightSource, open_night
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tests.small_candidates import draw_stamps
from tests.small_networks import COUNT, publish_survey, register_network
from tests.small_night import make_model, make_rule

DISCARD = Discard(-2.0, 0.5, 1, 240, 0.0123)
SCORED = ScoredNight(Path("n.parquet"), 100, 90, 7, 60, {"edge": 10}, 1.25, "a tpr90 1f", pa.table({}))


def test_the_summary_has_counts_model_and_threshold() -> None:
    source = cast(NightSource, SimpleNamespace(pixels="simulated"))
    rule = make_rule()
    expected: dict[str, Any] = {
        "path": "n.parquet",
        "count": 100,
        "scored": 90,
        "not_scored": {"edge": 10},
        "selected": 7,
        "stamps_per_second": 33.3,
        "model": "a",
        "engine": "test",
        "threshold": 1.25,
        "threshold_version": "a tpr90 1f",
        "night_prior": 0.001,
        "pixels": "simulated",
    }
    assert summarise(source, SCORED, rule, 3.0) == expected
    nothing = summarise(source, replace(SCORED, threshold=np.inf), rule, 3.0)
    assert nothing == expected | {"threshold": None}


def test_without_a_first_model_the_summary_says_why() -> None:
    assert summarise_cascade(FirstModel(None, None, "few reals"), SCORED) == {"first": None, "why": "few reals"}


@pytest.mark.parametrize(("threshold", "beyond"), [(0.5, False), (0.49, True), (1.25, False)])
def test_a_threshold_below_the_one_of_the_fitted_loss_is_beyond_it(threshold: float, beyond: bool) -> None:
    first = FirstModel(make_model("b"), DISCARD)
    assert summarise_cascade(first, replace(SCORED, threshold=threshold)) == {
        "first": "b",
        "discarded": 60,
        "threshold": -2.0,
        "full_threshold": 0.5,
        "lost": 1,
        "kept_by_full": 240,
        "lost_limit": 0.0123,
        "beyond": beyond,
    }


FULL, FIRST = "night-full", "night-first"


@pytest.fixture(scope="module")
def models(tracked_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Two registered networks with random weights, and the simulated survey ``nightsurvey``; addresses by name."""
    publish_survey(tracked_workspace, "nightsurvey")
    folder = tmp_path_factory.mktemp("models")
    points = {"tpr90": {"threshold": -1e3}, "tpr99": {"threshold": -1e3}}
    return {
        name: register_network(tracked_workspace, name, "nightsurvey", folder / name, operating_points=points)
        for name in (FULL, FIRST)
    }


def test_a_night_is_scored_by_both_models_and_compared_with_a_second_one(
    tracked_workspace: Workspace, models: dict[str, str]
) -> None:
    request = NightRequest(
        path="nightsurvey", model=models[FULL], first=models[FIRST], against=models[FIRST], night="both nights"
    )
    summary = score_night(tracked_workspace, request)
    assert (summary["count"], summary["scored"], summary["not_scored"]) == (COUNT, COUNT, {})
    assert (summary["model"], summary["against"]) == (f"{FULL}/1", f"{FIRST}/1")
    assert (summary["threshold"], summary["pixels"]) == (-1e3, "simulated")
    assert " tpr90 " in summary["threshold_version"]
    assert Path(summary["path"]) == tracked_workspace.scores / "both_nights.parquet"
    assert (tracked_workspace.scores / "both_nights.against.parquet").is_file()
    assert list((tracked_workspace.root / "scoring").glob("*/part-*")) == [], "part files are removed"
    table = pq.read_table(summary["path"])
    assert table["decision"].to_pylist().count("real") == summary["selected"]
    assert table["stage"].to_pylist().count("first") == summary["cascade"]["discarded"]
    assert (summary["cascade"]["first"], summary["cascade"]["beyond"]) == (f"{FIRST}/1", False)
    assert summary["cascade"]["kept_by_full"] == (COUNT - 20) // 2
    operations = summary["operations"]
    assert operations["detections"]["before"] == COUNT - COUNT // 8
    assert operations["recovered"]["transients"] == COUNT // 2 - COUNT // 8
    assert {"against_detections", "against_objects"} <= set(operations["equal_recovery"][0])
    reals = summary["probabilities"]
    assert (reals["counted"], reals["prior"]) == (COUNT // 2 - COUNT // 8, 1e-3)
    assert sum(one["count"] for one in reals["bins"]) == COUNT - COUNT // 8, "without injections"
    assert Path(summary["report"]) == tracked_workspace.reports / "night-both_nights.html"
    assert Path(summary["report"]).is_file()
    assert 0 < COUNT / summary["stamps_per_second"] <= summary["seconds"] + 0.1
    run = MlflowClient(tracking_uri=tracked_workspace.mlflow_uri).get_run(summary["run_id"])
    assert run.data.metrics["count"] == COUNT
    assert run.data.metrics["recovered"] == pytest.approx(operations["recovered"]["share"])
    assert run.data.tags["kind"] == "scoring"
    assert run.data.params.keys() == {name for name, value in request.model_dump().items() if value is not None}


def test_one_model_alone_scores_everything_without_a_comparison(
    tracked_workspace: Workspace, models: dict[str, str]
) -> None:
    request = NightRequest(path="nightsurvey", model=models[FULL], first=None, max_candidates=7)
    summary = score_night(tracked_workspace, request)
    assert summary["selected"] == 7
    assert summary["against"] is None
    assert summary["cascade"] == {"first": None, "why": "no first model was requested"}
    assert "against_detections" not in summary["operations"]["equal_recovery"][0]
    assert Path(summary["path"]).name == "nightsurvey.parquet"
    assert " best 7 " in summary["threshold_version"]


def test_a_night_of_which_nothing_is_scored_says_what_was_found(tmp_path: Path) -> None:
    (tmp_path / "a.avro").write_bytes(b"\x00\x00\x00\x00\x07packet")
    source = open_night(Workspace(tmp_path), str(tmp_path), 29)
    nothing = replace(SCORED, count=1, scored=0, not_scored={"corrupt": 1})
    message = r"path=x: none of 1 candidates could be scored \(corrupt 1\); the first, .*a\.avro: it is a Kafka message"
    with pytest.raises(NightError, match=message):
        require_scored(source, "x", nothing)
    require_scored(source, "x", SCORED)


def test_candidates_that_a_model_was_trained_on_are_counted_and_left_out_of_rates(
    tracked_workspace: Workspace, models: dict[str, str]
) -> None:
    """The models of `models` know no training samples; those of this test are the first half of the survey."""
    dataset = Dataset.open(tracked_workspace, "nightsurvey")
    source = DatasetNight(dataset, 21)
    scores = score_night(tracked_workspace, NightRequest(path="nightsurvey", model=models[FULL], first=None))
    assert scores["overlap_with_training"] is None
    known = dataset.samples(list(COLUMNS)).slice(0, COUNT // 2)
    model = replace(make_model("a"), training_samples=known)
    seen = trained_on(model, source, Path(scores["path"]))
    assert seen is not None
    assert seen.tolist() == [True] * (COUNT // 2) + [False] * (COUNT // 2)
    assert trained_on(make_model("a"), source, Path(scores["path"])) is None
    whole, truth = NightScores.read(Path(scores["path"])), ground_truth(source)
    rest = operations(whole, truth, None, seen)
    assert rest["detections"]["before"] < operations(whole, truth, None)["detections"]["before"]
    assert truth is not None
    assert rest["recovered"]["transients"] == int((truth.transient & ~seen).sum())


def test_a_candidate_that_comes_again_is_scored_once(
    tracked_workspace: Workspace, models: dict[str, str], tmp_path: Path
) -> None:
    values = draw_stamps([True, False, True])
    np.save(tmp_path / "night.npy", values[[0, 1, 0, 2]])
    (tmp_path / "night.csv").write_text("candid,jd\n7,2459001.0\n8,2459001.0\n7,2459001.0\n9,2459001.0\n")
    request = NightRequest(path=str(tmp_path), model=models[FULL], first=None, night="again")
    summary = score_night(tracked_workspace, request)
    assert (summary["count"], summary["scored"], summary["repeated"]) == (3, 3, 1)
    assert pq.read_table(summary["path"])["id"].to_pylist() == ["7", "8", "9"]
    assert (summary["understood"], summary["missing"]["sign"]) == ({"id": "candid", "time": "jd"}, 4)
    np.save(tmp_path / "night.npy", values[[0, 1, 2, 2]])
    with pytest.raises(SourceError, match=r"id 7 comes twice with different pixels, in .*npy row 0 and .*npy row 2"):
        score_night(tracked_workspace, request)
