"""New decisions from stored logits are those that scoring with the new rule gives, without any model."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from tasks.night.models import NightError
from tasks.night.pipeline import score_night
from tasks.night.request import NightRequest
from tasks.night.score_files import NightFiles, find_night
from tasks.night.scoring_record import ScoringRecord
from tasks.past_nights import rethresholding
from tasks.past_nights.rethresholding import RethresholdRequest, rethreshold
from tasks.past_nights.staleness import TodaysModels, examine_nights
from tasks.runtime.workspace import Workspace
from tasks.store.files import sha256_of_file, write_json
from tasks.tracking.model_registry import promote, resolve_model
from tests.small_candidates import draw_stamps
from tests.small_networks import TRAINED_ON


def again(workspace: Workspace, **asked: Any) -> dict[str, Any]:
    """The entry of the one night that is decided anew."""
    summary = rethreshold(workspace, RethresholdRequest(**asked))
    (entry,) = summary["nights"]
    return dict(entry)


@pytest.mark.parametrize("rule", [{"tpr": 0.95}, {"tpr": 0.9}, {"max_candidates": 7}])
@pytest.mark.parametrize(("night", "first"), [("alone", None), ("both", "champion")])
def test_the_table_is_the_one_that_score_night_writes_by_that_rule(
    own: Workspace, night: str, first: str | None, rule: dict[str, float]
) -> None:
    """The discarding of `scored` is the same at each operating point; that of TPR 0.99 has the lowest threshold."""
    score_night(own, NightRequest(path="survey", night=night, first=first, tpr=0.99))
    scored = score_night(own, NightRequest(path="survey", night="other", first=first, **rule))
    before = pq.read_table(own.scores / f"{night}.parquet")
    entry = again(own, night=night, **rule)
    expected, got = (pq.read_table(own.scores / f"{name}.parquet") for name in ("other", night))
    assert got.equals(expected)
    assert not got.equals(before)
    assert set(got["stage"].to_pylist()) == ({"full"} if first is None else {"first", "full"})
    assert (entry["state"], entry["threshold_version"]) == ("rethresholded", scored["threshold_version"])
    assert entry["selected"] == scored["selected"] == got["decision"].to_pylist().count("real")
    assert entry["selected"] == entry["selected_before"] + entry["gained"] - entry["lost"]
    assert entry["overlap_with_training"] == scored["overlap_with_training"] == TRAINED_ON


def test_the_record_tells_the_new_rule_and_the_old_scores_are_kept(own: Workspace) -> None:
    old = find_night(own, "alone").intact()
    entry = again(own, night="alone", max_candidates=7)
    new = find_night(own, "alone").intact()
    assert (new.request["max_candidates"], new.request["tpr"], new.request["first"]) == (7, None, None)
    assert (new.scored_at, new.scored_with, new.source) == (old.scored_at, old.scored_with, old.source)
    assert new.decided_at > old.decided_at
    assert old.threshold_version != new.threshold_version == entry["threshold_version"]
    kept = NightFiles(own, "alone").kept(old.scores_sha256)
    assert kept.scores == own.scores / "history" / f"alone.{old.scores_sha256[:8]}.parquet"
    assert sha256_of_file(kept.scores) == old.scores_sha256
    assert ScoringRecord(**json.loads(kept.record.read_text())) == old
    assert [state.file.night for state in examine_nights(own, TodaysModels(own))] == ["alone", "both"]
    assert Path(entry["report"]).read_text().count("best 7")


def test_a_night_that_is_decided_so_already_is_left_alone(own: Workspace) -> None:
    files = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in own.scores.rglob("*")}
    assert again(own, night="both")["state"] == again(own, night="both", tpr=0.9)["state"] == "current"
    assert {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in own.scores.rglob("*")} == files


@pytest.mark.parametrize("asked", [{"night": "alone", "max_candidates": 7}, {}])
def test_a_night_that_was_decided_and_not_told_gets_its_page_from_the_next(
    own: Workspace, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any]
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(rethresholding, "conclude", die)
        with pytest.raises(KeyboardInterrupt):
            again(own, night="alone", max_candidates=7)
    entry = again(own, **asked)
    assert (entry["state"], entry["gained"], entry["lost"]) == ("rethresholded", 0, 0)
    assert Path(entry["report"]).read_text().count("best 7")
    assert again(own, night="alone", max_candidates=7)["state"] == "current"


def test_without_a_night_those_are_decided_whose_rule_gives_another_threshold(own: Workspace) -> None:
    again(own, night="alone", threshold=0.25)
    path = resolve_model(own, "champion", "realbogus").folder / "model.json"
    card = json.loads(path.read_text())
    card["operating_points"]["tpr90"]["threshold"] = high = card["operating_points"]["tpr90"]["threshold"] + 0.05
    write_json(path, card)
    summary = rethreshold(own, RethresholdRequest())
    assert [(entry["night"], entry["state"]) for entry in summary["nights"]] == [("both", "rethresholded")]
    assert (summary["state"], summary["rethresholded"], summary["failed"]) == ("done", 1, [])
    assert set(pq.read_table(own.scores / "both.parquet")["threshold"].to_pylist()) > {high}
    assert rethreshold(own, RethresholdRequest())["nights"] == []


def test_a_threshold_below_the_bound_of_the_first_model_is_refused(own: Workspace) -> None:
    limit = find_night(own, "both").intact().threshold
    assert limit is not None
    before = sha256_of_file(own.scores / "both.parquet")
    for rule in ({"threshold": limit - 0.01}, {"max_candidates": 399}):
        ((name, value),) = rule.items()
        with pytest.raises(NightError, match="the loss of realbogus-first/1 is bounded") as error:
            again(own, night="both", **rule)
        assert f"is below {limit:.3f}, down to which" in str(error.value)
        assert f"-p path=survey@1 -p night=both -p {name}={value}`" in str(error.value)
    assert sha256_of_file(own.scores / "both.parquet") == before
    assert again(own, night="both", threshold=limit)["state"] == "rethresholded", "another rule, the same threshold"
    assert again(own, night="alone", threshold=limit - 5)["state"] == "rethresholded"


def test_a_number_of_candidates_goes_as_far_as_score_night_goes(own: Workspace) -> None:
    """Beyond the bound both warn, as the number decides and not the threshold."""
    score_night(own, NightRequest(path="survey", night="many", max_candidates=5))
    scored = score_night(own, NightRequest(path="survey", night="other", max_candidates=399))
    assert scored["cascade"]["beyond"]
    assert again(own, night="many", max_candidates=399)["state"] == "rethresholded"
    assert pq.read_table(own.scores / "many.parquet").equals(pq.read_table(own.scores / "other.parquet"))


def test_a_night_whose_model_is_no_champion_keeps_its_model(own: Workspace) -> None:
    promote(own, "models:/realbogus/2")
    again(own, night="both", max_candidates=7)
    models = set(pq.read_table(own.scores / "both.parquet")["model"].to_pylist())
    assert models == {"realbogus/1", "realbogus-first/1"}
    (state, _) = examine_nights(own, TodaysModels(own))
    assert state.reasons == ("other_model",)


def test_a_night_without_its_source_is_decided_and_keeps_its_page(own: Workspace, tmp_path: Path) -> None:
    np.save(tmp_path / "stack.npy", draw_stamps([True, False] * 10))
    score_night(own, NightRequest(path=str(tmp_path / "stack.npy"), first=None))
    (tmp_path / "stack.npy").unlink()
    entry = again(own, night="stack", max_candidates=3)
    assert (entry["state"], entry["selected"], entry["report"]) == ("rethresholded", 3, None)


def test_records_that_came_twice_are_shown_from_their_blocks(own: Workspace, tmp_path: Path) -> None:
    stamps = draw_stamps([True, False, True])
    np.save(tmp_path / "night.npy", stamps[[0, 1, 0, 2]])
    (tmp_path / "night.csv").write_text("candid,jd\n7,2459001.0\n8,2459001.0\n7,2459001.0\n9,2459001.0\n")
    score_night(own, NightRequest(path=str(tmp_path), first=None, night="again"))
    entry = again(own, night="again", max_candidates=2)
    assert (entry["selected"], pq.read_metadata(own.scores / "again.parquet").num_rows) == (2, 3)
    assert find_night(own, "again").intact().found["repeated"] == 1


def test_scores_that_are_not_as_they_were_written_are_named(own: Workspace) -> None:
    path = own.scores / "alone.parquet"
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(NightError, match=r"night alone: alone\.parquet cannot be read"):
        again(own, night="alone", tpr=0.95)
    with pytest.raises(NightError, match="no operating point"):
        again(own, night="both", tpr=0.7)
    with pytest.raises(NightError, match="there are: alone, both"):
        again(own, night="neither")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"tpr": 0.9}, "tpr without a night: name the night with night=NAME"),
        ({"night": "both", "tpr": 0.9, "threshold": 1.0}, "choose one of threshold, tpr, max_candidates"),
        ({"night": "both", "tpr": 1.5}, "tpr"),
        ({"night": "both", "max_candidates": 0}, "max_candidates"),
    ],
)
def test_bad_rules_are_refused(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        RethresholdRequest(**asked)


def test_no_tensorflow_is_imported_and_no_model_run(own: Workspace) -> None:
    program = """
import sys
from pathlib import Path
from tasks.past_nights.rethresholding import RethresholdRequest, rethreshold
from tasks.night.scoring_record import ScoringRecord
from tasks.past_nights.staleness import TodaysModels, examine_nights
from tasks.runtime.workspace import Workspace

workspace = Workspace(Path(sys.argv[1]))
assert len(examine_nights(workspace, TodaysModels(workspace))) == 2
assert rethreshold(workspace, RethresholdRequest(night="both", max_candidates=7))["rethresholded"] == 1
print(sorted({"tensorflow", "keras", "onnxruntime"} & set(sys.modules)))
"""
    ran = subprocess.run([sys.executable, "-c", program, str(own.root)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == "[]"
