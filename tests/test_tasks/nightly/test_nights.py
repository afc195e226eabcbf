"""Which nights are due: missed ones, open ones, those of the inbox, and none where the clock went back."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tasks.learning.labels.relabelling import publish_relabelling
from tasks.nightly.calendar import NightDateError
from tasks.nightly.night_record import State, open_record
from tasks.nightly.night_work import NightlyError
from tasks.nightly.nights import due_nights, is_due, open_work, require_labels, training_labels
from tasks.nightly.request import NightlyRequest
from tasks.runtime.workspace import Workspace
from tests.small_candidates import SCHEME, publish_candidates

NOW = datetime(2026, 11, 29, 1, tzinfo=UTC)  # 10:00 in Tokyo, after the night of the 28th


def ended(workspace: Workspace, night: str, state: State = "done", **steps: Any) -> None:
    record = open_record(workspace, "nightly", night).begin("a")
    for name, result in steps.items():
        record.step(name, lambda result=result: result)
    record.finish({"state": state, "drift": None, "efficiency": None})


def due(workspace: Workspace, **request: Any) -> list[str]:
    return due_nights(workspace, NightlyRequest(**request), NOW)


def test_a_new_workspace_begins_with_the_newest_night(workspace: Workspace) -> None:
    assert due(workspace) == ["2026-11-28"]


def test_missed_nights_are_caught_up_oldest_first_as_far_back_as_asked(workspace: Workspace) -> None:
    ended(workspace, "2026-11-20")
    assert due(workspace) == [f"2026-11-{day}" for day in range(21, 29)]
    assert due(workspace, max_catch_up=2) == ["2026-11-27", "2026-11-28"]


def test_a_failed_night_is_taken_up_again_and_one_of_clouds_is_not(workspace: Workspace) -> None:
    ended(workspace, "2026-11-25", "failed")
    ended(workspace, "2026-11-26", "clouds")
    ended(workspace, "2026-11-27", "set_aside")
    assert due(workspace) == ["2026-11-25", "2026-11-28"]


def test_a_night_that_was_killed_is_taken_up_again(workspace: Workspace) -> None:
    ended(workspace, "2026-11-27")
    open_record(workspace, "nightly", "2026-11-26").begin("a")
    assert due(workspace) == ["2026-11-26", "2026-11-28"]


def test_the_inbox_says_which_nights_there_are(workspace: Workspace, tmp_path: Path) -> None:
    for night in ("2026-11-01", "2026-11-24", "2026-12-30"):
        (tmp_path / "inbox" / night).mkdir(parents=True)
    ended(workspace, "2026-11-20")
    files = {"source": "frames", "path": str(tmp_path / "inbox")}
    assert due(workspace, **files) == ["2026-11-01", "2026-11-24", "2026-11-28"]


def test_a_clock_that_went_back_begins_no_night(workspace: Workspace) -> None:
    ended(workspace, "2026-11-30")
    with pytest.raises(NightDateError, match="newest night is 2026-11-28, but night 2026-11-30 is"):
        due(workspace)
    assert due(workspace, night="2026-11-27") == ["2026-11-27"]


def test_a_night_that_is_named_is_the_only_one(workspace: Workspace) -> None:
    ended(workspace, "2026-11-20")
    assert due(workspace, night="2026-11-10") == ["2026-11-10"]


def test_chosen_labels_are_those_of_the_training_unless_rows_must_lose_theirs(workspace: Workspace) -> None:
    labels = ["real" if row % 2 == 0 else "bogus" for row in range(12)]
    dataset = publish_candidates(
        workspace, "nightly", labels, [f"cell {row}" for row in range(12)], ["train", "validation", "test"] * 4
    )
    changes = {"id": ["c0001"], "label": ["real"], "reason": ["answered"], "score": [1.0], "by": ["a person"]}
    table = pa.table(changes | {"round": pa.array([0], pa.int32())})
    for name in ("people", "suspects"):
        dataset = publish_relabelling(dataset, SCHEME, name, table, None, NOW)
    ended(workspace, "2026-11-27", relabel={"labels": "suspects"})
    record = open_record(workspace, "nightly", "2026-11-28")
    chosen = open_work(workspace, NightlyRequest(source="triplets", labels="people"), "2026-11-28")
    require_labels(chosen)
    assert training_labels(chosen, record) == "people"
    wrong = open_work(workspace, NightlyRequest(source="triplets", labels="person"), "2026-11-28")
    with pytest.raises(
        NightlyError, match=r"labels=person: dataset nightly@3 .* only people, suspects; .*publish-labe"
    ):
        require_labels(wrong)


@pytest.mark.parametrize(("every", "expected"), [(0, False), (1, True), (3, False), (2, True)])
def test_a_step_is_due_so_many_nights_after_the_last_one(workspace: Workspace, every: int, expected: bool) -> None:
    ended(workspace, "2026-11-26", train={"model_uri": "models:/realbogus/2"})
    ended(workspace, "2026-11-27", "clouds")
    work = open_work(workspace, NightlyRequest(), "2026-11-28")
    assert is_due(work, every, "train") is expected
    assert is_due(work, every, "relabel") is (every > 0), "never done before"
