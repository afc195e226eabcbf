"""The newest night of each training set and the newest scores, from records that are counted by hand."""

import os
from typing import Any

from tasks.home.file_memory import FileMemory
from tasks.home.nights import NIGHTS_SHOWN, SCORINGS_SHOWN, read_nights, read_scorings
from tasks.home.status import NightStatus
from tasks.nightly.night_record import open_record
from tasks.nightly.outcome import NOTHING
from tasks.runtime.workspace import Workspace
from tests.small_home import write_scores


def end_night(workspace: Workspace, dataset: str, night: str, **summary: Any) -> None:
    record = open_record(workspace, dataset, night).begin("a delivery")
    record.finish(NOTHING | {"night": night, "state": "done"} | summary)


def nights_of(workspace: Workspace) -> list[NightStatus]:
    rows, faults = read_nights(workspace, FileMemory())
    assert faults == []
    return rows


def test_each_training_set_has_a_row_of_its_newest_night_and_the_newest_comes_first(workspace: Workspace) -> None:
    for dataset, night in (("b", "2026-11-27"), ("a", "2026-11-29"), ("b", "2026-11-30"), ("c", "2026-11-28")):
        end_night(workspace, dataset, night)
    rows = nights_of(workspace)
    assert [(row.dataset, row.night) for row in rows] == [
        ("b", "2026-11-30"),
        ("a", "2026-11-29"),
        ("c", "2026-11-28"),
    ]
    assert [[line.night for line in row.earlier] for row in rows] == [["2026-11-27"], [], []]


def test_so_many_nights_are_told_and_no_more(workspace: Workspace) -> None:
    names = [f"2026-11-{day:02d}" for day in range(1, NIGHTS_SHOWN + 4)]
    for night in names:
        end_night(workspace, "nightly", night)
    (row,) = nights_of(workspace)
    assert [row.night, *(line.night for line in row.earlier)] == names[: -1 - NIGHTS_SHOWN : -1]


def test_a_night_at_work_is_told_beside_the_newest_that_has_ended(workspace: Workspace) -> None:
    open_record(workspace, "nightly", "2026-11-28").begin("a delivery")
    (first,) = nights_of(workspace)
    assert (first.night, first.state, first.unfinished) == (None, None, "2026-11-28: no step is done yet")
    end_night(workspace, "nightly", "2026-11-27", state="clouds", selected=None)
    record = open_record(workspace, "nightly", "2026-11-28").begin("a delivery")
    for step in ("ingest", "score"):
        record.step(step, dict)
    (row,) = nights_of(workspace)
    assert (row.night, row.words, row.selected) == ("2026-11-27", "clouds", None)
    assert row.unfinished == "2026-11-28: ingest, score done"


def test_a_figure_that_was_not_measured_is_left_out(workspace: Workspace) -> None:
    rates = {"detection": 0.5, "detection_low": 0.4, "detection_high": 0.6, "classification": None, "injected": 7}
    end_night(workspace, "nightly", "2026-11-28", efficiency=rates, figures={"figure": None})
    (row,) = nights_of(workspace)
    (figure,) = row.efficiency
    assert (figure.name, figure.value, figure.low, figure.high) == ("detection of injections", 0.5, 0.4, 0.6)
    assert (row.gate, row.drift, row.drift_reasons) == ((), None, ())


def test_the_report_is_told_once_it_is_written(workspace: Workspace) -> None:
    end_night(workspace, "nightly", "2026-11-28")
    assert [row.report for row in nights_of(workspace)] == [None]
    workspace.reports.mkdir(parents=True)
    (workspace.reports / "nights-nightly.html").touch()
    assert [row.report for row in nights_of(workspace)] == ["nights-nightly.html"]


def test_the_newest_scores_come_first_and_each_row_is_selected_not_selected_or_without_a_score(
    workspace: Workspace,
) -> None:
    decisions = [["real", "real", "bogus", None], [None], ["bogus"], []]
    assert len(decisions) == SCORINGS_SHOWN + 1
    for number, words in enumerate(decisions):
        write_scores(workspace, f"n{number}", words)
        os.utime(workspace.scores / f"n{number}.json", (1000 - number, 1000 - number))
    rows, faults = read_scorings(workspace, FileMemory())
    assert faults == []
    assert [(row.night, row.rows, row.selected, row.not_scored) for row in rows] == [
        ("n0", 4, 2, 1),
        ("n1", 1, 0, 1),
        ("n2", 1, 0, 0),
    ]
