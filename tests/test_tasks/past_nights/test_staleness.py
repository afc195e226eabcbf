"""Which nights are stale: each reason alone, by a change that causes it."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.night.models import NightError
from tasks.night.pipeline import score_night
from tasks.night.request import NightRequest
from tasks.night.score_files import find_night
from tasks.past_nights.staleness import NightState, TodaysModels, count_states, examine_nights
from tasks.runtime.workspace import Workspace
from tasks.store.files import write_json
from tasks.tracking.model_registry import promote, resolve_model
from tests.small_candidates import draw_stamps


def states(workspace: Workspace) -> dict[str, NightState]:
    return {state.file.night: state for state in examine_nights(workspace, TodaysModels(workspace))}


def facts(workspace: Workspace, night: str) -> tuple[list[str], str]:
    """Reasons and remedy of a night."""
    state = states(workspace)[night]
    return list(state.reasons), state.remedy


def change_card(workspace: Workspace, registered: str, change: Any) -> None:
    """Change the card of a registered name's champion in place."""
    path = resolve_model(workspace, "champion", registered).folder / "model.json"
    card = json.loads(path.read_text())
    change(card)
    write_json(path, card)


def test_nights_scored_by_the_champion_are_current(own: Workspace) -> None:
    found = states(own)
    assert list(found) == ["alone", "both"]
    assert all(state.current and state.remedy == "none" and not state.reasons for state in found.values())
    entry = found["both"].to_summary()
    record = found["both"].file.intact()
    assert (entry["model"], entry["preprocessing"], entry["threshold"]) == (
        "realbogus/1",
        "realbogus-1",
        record.threshold,
    )
    assert entry["threshold_version"] == record.threshold_version
    assert (record.source.path, record.source.dataset) == ("datasets/survey/versions/000001", "survey@1")


def test_another_champion_makes_every_night_stale_and_an_alias_moved_back_none(own: Workspace) -> None:
    promote(own, "models:/realbogus/2")
    assert facts(own, "alone") == (["other_model"], "rescore")
    counts = count_states(list(states(own).values()))
    assert counts == {"stale": 2, "to_rescore": 2, "to_rethreshold": 0, "current": 0, "reasons": {"other_model": 2}}
    promote(own, "models:/realbogus/1")
    assert count_states(list(states(own).values()))["current"] == 2


def test_another_first_model_concerns_the_nights_that_it_discarded_from(own: Workspace) -> None:
    folder = resolve_model(own, "champion", "realbogus-first").folder
    shutil.copy(resolve_model(own, "models:/realbogus/2", None).folder / "model.keras", folder / "model.keras")
    other = json.loads((resolve_model(own, "models:/realbogus/2", None).folder / "model.json").read_text())
    change_card(own, "realbogus-first", lambda card: card.update(sha256=other["sha256"]))
    assert facts(own, "alone") == ([], "none")
    assert facts(own, "both") == (["other_model"], "rescore")


def test_a_new_operating_point_needs_new_decisions_alone(own: Workspace) -> None:
    change_card(own, "realbogus", lambda card: card["operating_points"]["tpr90"].update(threshold=5.0))
    assert facts(own, "alone") == facts(own, "both") == (["other_threshold"], "rethreshold")
    change_card(own, "realbogus", lambda card: card["operating_points"]["tpr90"].update(threshold=-5.0))
    assert facts(own, "alone") == (["other_threshold"], "rethreshold")
    assert facts(own, "both") == (["other_threshold"], "rescore"), "what was discarded has to be scored"


def test_a_new_calibration_needs_new_decisions_alone(own: Workspace) -> None:
    change_card(own, "realbogus-first", lambda card: card.update(temperature=3.0))
    assert facts(own, "alone") == ([], "none")
    assert facts(own, "both") == (["other_threshold"], "rethreshold")
    change_card(own, "realbogus", lambda card: card.update(training_real_share=0.25))
    assert facts(own, "alone") == (["other_threshold"], "rethreshold")


def test_another_version_of_the_preprocessing_needs_a_rescoring(own: Workspace) -> None:
    change_card(own, "realbogus", lambda card: card.update(preprocessing_version="realbogus-2"))
    assert facts(own, "alone") == (["other_preprocessing"], "rescore")


def test_a_source_is_changed_by_other_stamps_and_not_by_newer_files(own: Workspace, tmp_path: Path) -> None:
    stamps = draw_stamps([True, False] * 10)
    night = tmp_path / "stack.npy"
    np.save(night, stamps)
    score_night(own, NightRequest(path=str(night), first=None))
    assert find_night(own, "stack").intact().source.path == str(night)
    os.utime(night, ns=(1, 1))
    assert facts(own, "stack") == ([], "none")
    stamps[7, 10, 10, 0] += 1
    np.save(night, stamps)
    assert facts(own, "stack") == (["changed_source"], "rescore")
    night.unlink()
    assert facts(own, "stack") == (["source_missing"], "none")
    assert states(own)["stack"].current, "scores stay those of the champion when their source goes"
    promote(own, "models:/realbogus/2")
    assert facts(own, "stack") == (["other_model", "source_missing"], "none")


def test_a_workspace_that_was_moved_knows_its_sources(own: Workspace, tmp_path: Path) -> None:
    inside = own.root / "nights" / "stack.npy"
    inside.parent.mkdir()
    np.save(inside, draw_stamps([True, False] * 10))
    score_night(own, NightRequest(path=str(inside), first=None))
    own.root.rename(tmp_path / "moved")
    moved = Workspace(tmp_path / "moved")
    assert facts(moved, "stack") == facts(moved, "both") == ([], "none")


def test_scores_without_their_record_are_named(own: Workspace) -> None:
    (own.scores / "alone.json").unlink()
    state = states(own)["alone"]
    assert (state.reasons, state.remedy) == (("no_record",), "none")
    assert state.note == "alone.parquet has no record alone.json"
    assert (state.file.model, state.file.threshold) == ("realbogus/1", find_night(own, "alone").threshold)
    promote(own, "models:/realbogus/2")
    assert facts(own, "alone")[0] == ["no_record", "other_model"]


@pytest.mark.parametrize(
    ("spoil", "note"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-500]), "alone.parquet cannot be read"),
        (lambda path: shutil.copy(path.with_name("both.parquet"), path), "is not the table that alone.json describes"),
        (lambda path: path.unlink(), "alone.parquet is missing"),
    ],
)
def test_a_table_that_its_record_does_not_describe_can_be_scored_again(own: Workspace, spoil: Any, note: str) -> None:
    spoil(own.scores / "alone.parquet")
    state = states(own)["alone"]
    assert (state.reasons, state.remedy) == (("no_record",), "rescore")
    assert note in str(state.note)


def test_a_table_of_other_candidates_than_its_record_s_is_not_scored_by_it(own: Workspace, tmp_path: Path) -> None:
    np.save(tmp_path / "other.npy", draw_stamps([True, False] * 10))
    score_night(own, NightRequest(path=str(tmp_path / "other.npy"), first=None))
    shutil.copy(own.scores / "other.parquet", own.scores / "alone.parquet")
    state = states(own)["alone"]
    assert (state.reasons, state.remedy) == (("no_record",), "none")
    assert "its candidates are others than those of the record" in str(state.note)


@pytest.mark.parametrize(
    ("content", "note"),
    [
        ("{", "alone.json cannot be read"),
        ('{"format_version": 7}', "alone.json is of format 7, this program reads 1"),
        ('{"format_version": 1}', "alone.json: night: Field required"),
        ("[]", "alone.json cannot be read"),
    ],
)
def test_a_record_that_cannot_be_read_is_named(own: Workspace, content: str, note: str) -> None:
    (own.scores / "alone.json").write_text(content)
    state = states(own)["alone"]
    assert state.reasons == ("no_record",)
    assert note in str(state.note)


def test_a_night_without_scores_is_answered_with_those_that_have_some(own: Workspace, tmp_path: Path) -> None:
    with pytest.raises(NightError, match=r"night=nowhere has no scores in .*; there are: alone, both"):
        find_night(own, "nowhere")
    with pytest.raises(NightError, match="no night has scores"):
        find_night(Workspace(tmp_path / "empty"), "nowhere")
