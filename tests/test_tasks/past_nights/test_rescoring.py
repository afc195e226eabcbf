"""Stale nights are scored again, each by its own rule; what was there before is kept; a killed rescoring goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tasks.night import pipeline
from tasks.night.models import NightError
from tasks.night.pipeline import score_night
from tasks.night.request import NightRequest
from tasks.night.score_files import NightFiles, find_night
from tasks.past_nights.rescoring import RescoreRequest, rescore
from tasks.past_nights.rethresholding import RethresholdRequest, rethreshold
from tasks.past_nights.staleness import TodaysModels, examine_nights
from tasks.runtime.workspace import Workspace
from tasks.store.files import sha256_of_file, write_json
from tasks.tracking.model_registry import promote, resolve_model
from tests.small_candidates import draw_stamps
from tests.small_networks import TRAINED_ON


def outcome(summary: dict[str, Any]) -> dict[str, str]:
    """State of each night."""
    return {entry["night"]: entry["state"] for entry in summary["nights"]}


def test_stale_nights_are_scored_by_the_champion_with_their_own_rule_and_current_ones_left(own: Workspace) -> None:
    rethreshold(own, RethresholdRequest(night="alone", max_candidates=7))
    promote(own, "models:/realbogus/2")
    score_night(own, NightRequest(path="survey", night="newest", first=None))
    before = {name: find_night(own, name).intact() for name in ("alone", "both", "newest")}
    planned = rescore(own, RescoreRequest(plan_only=True))
    assert outcome(planned) == {"alone": "planned", "both": "planned", "newest": "current"}
    assert (planned["state"], planned["planned"], planned["current"]) == ("planned", 2, 1)
    assert {name: find_night(own, name).intact() for name in before} == before
    summary = rescore(own, RescoreRequest())
    assert outcome(summary) == {"alone": "rescored", "both": "rescored", "newest": "current"}
    assert (summary["state"], summary["rescored"], summary["champion"]) == ("done", 2, "realbogus/2")
    assert all(state.current for state in examine_nights(own, TodaysModels(own)))
    alone, both = (pq.read_table(own.scores / f"{name}.parquet") for name in ("alone", "both"))
    assert set(alone["model"].to_pylist()) == {"realbogus/2"}
    assert alone["decision"].to_pylist().count("real") == 7, "the rule of the night"
    assert set(both["model"].to_pylist()) == {"realbogus/2", "realbogus-first/1"}
    assert alone["logit"].equals(pq.read_table(own.scores / "newest.parquet")["logit"])
    assert [entry["overlap_with_training"] for entry in summary["nights"][:2]] == [TRAINED_ON] * 2
    for name in ("alone", "both"):
        kept = NightFiles(own, name).kept(before[name].scores_sha256)
        assert sha256_of_file(kept.scores) == before[name].scores_sha256
        assert json.loads(kept.record.read_text())["model"]["address"] == "models:/realbogus/1"
    assert outcome(rescore(own, RescoreRequest())) == {"alone": "current", "both": "current", "newest": "current"}


def test_one_night_alone_and_a_current_one_if_asked(own: Workspace) -> None:
    first = sha256_of_file(own.scores / "alone.parquet")
    assert outcome(rescore(own, RescoreRequest(night="alone"))) == {"alone": "current"}
    assert outcome(rescore(own, RescoreRequest(night="alone", only_stale=False))) == {"alone": "rescored"}
    assert sha256_of_file(own.scores / "alone.parquet") == first
    assert not (own.scores / "history").exists(), "equal scores take the place of nothing"


def test_a_night_that_was_scored_and_not_told_is_scored_again(own: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "conclude", die)
        with pytest.raises(KeyboardInterrupt):
            rescore(own, RescoreRequest(night="alone", only_stale=False))
    states = [rescore(own, RescoreRequest(night="alone"))["nights"][0]["state"] for _ in range(2)]
    assert states == ["rescored", "current"]


def test_a_bad_night_costs_itself_and_is_named(own: Workspace, tmp_path: Path) -> None:
    for name in ("gone", "small", "torn"):
        np.save(tmp_path / f"{name}.npy", draw_stamps([True, False] * 10))
        score_night(own, NightRequest(path=str(tmp_path / f"{name}.npy"), first=None))
    (tmp_path / "gone.npy").unlink()
    np.save(tmp_path / "small.npy", np.full((20, 21, 21, 3), np.nan, np.float32))
    torn = own.scores / "torn.parquet"
    torn.write_bytes(torn.read_bytes()[:-300])
    (own.scores / "alone.json").unlink()
    small = sha256_of_file(own.scores / "small.parquet")
    promote(own, "models:/realbogus/2")
    summary = rescore(own, RescoreRequest())
    assert outcome(summary) == {
        "alone": "not_possible",
        "both": "rescored",
        "gone": "not_possible",
        "small": "failed",
        "torn": "rescored",
    }
    assert (summary["state"], summary["failed"], summary["not_possible"]) == ("failed", ["small"], 2)
    messages = {entry["night"]: entry.get("message", "") for entry in summary["nights"]}
    assert "so its source is unknown: score it by score-night with path=... and night=alone" in messages["alone"]
    assert f"its source {tmp_path / 'gone.npy'} does not exist" in messages["gone"]
    assert "none of 20 candidates could be scored" in messages["small"]
    assert sha256_of_file(own.scores / "small.parquet") == small, "a rescoring without any score replaces nothing"
    assert find_night(own, "torn").intact().model.name == "realbogus/2"
    with pytest.raises(NightError, match="night gone cannot be scored again: its source"):
        rescore(own, RescoreRequest(night="gone"))
    with pytest.raises(NightError, match="none of 20 candidates could be scored"):
        rescore(own, RescoreRequest(night="small"))


def test_a_champion_of_larger_stamps_fails_on_nights_of_smaller_ones(own: Workspace) -> None:
    path = resolve_model(own, "models:/realbogus/2", None).folder / "model.json"
    card = json.loads(path.read_text())
    write_json(path, card | {"input_shape": [29, 29, 3]})
    promote(own, "models:/realbogus/2")
    summary = rescore(own, RescoreRequest())
    assert outcome(summary) == {"alone": "failed", "both": "failed"}
    assert "a candidate is (21, 21), expected (29, 29)" in summary["nights"][0]["message"]


def test_a_champion_that_cannot_score_is_refused_before_any_night(own: Workspace) -> None:
    path = resolve_model(own, "champion", "realbogus").folder / "model.json"
    card = json.loads(path.read_text())
    write_json(path, card | {"preprocessing_version": "realbogus-0"})
    with pytest.raises(NightError, match="preprocessing 'realbogus-0'"):
        rescore(own, RescoreRequest())


def test_a_killed_rescoring_goes_on_where_it_was(own: Workspace) -> None:
    """The process is killed when the first night has new scores; that one is not scored again."""
    promote(own, "models:/realbogus/2")
    old = {name: find_night(own, name).intact() for name in ("alone", "both")}
    program = (
        "import sys; from pathlib import Path; from tasks.past_nights.rescoring import RescoreRequest, rescore\n"
        "from tasks.runtime.workspace import Workspace\n"
        "rescore(Workspace(Path(sys.argv[1])), RescoreRequest())"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(own.root)], stderr=subprocess.DEVNULL)
    table = own.scores / "alone.parquet"
    while sha256_of_file(table) == old["alone"].scores_sha256 and process.poll() is None:
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    killed = sha256_of_file(table)
    assert killed != old["alone"].scores_sha256
    summary = rescore(own, RescoreRequest())
    assert summary["state"] == "done"
    assert all(state.current for state in examine_nights(own, TodaysModels(own)))
    assert sha256_of_file(table) == killed, "the same bytes as of an undisturbed one"
    kept = {path.name for path in (own.scores / "history").glob("*.parquet")}
    assert kept == {f"{name}.{old[name].scores_sha256[:8]}.parquet" for name in old}
