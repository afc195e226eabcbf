"""The pages of nights and their models: stale nights first, every reason in words, no column that no night has."""

from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.night.score_files import NightFiles, ScoredFile
from tasks.past_nights.model_pages import REASONS, write_outcomes_page, write_states_page
from tasks.past_nights.staleness import NightState, Reason, Remedy
from tasks.runtime.workspace import Workspace
from tests.page_tables import tables_of
from tests.small_night import make_model

CHAMPION = make_model("a")
NIGHTS = "Stale nights first"


def state(night: str, *reasons: Reason, remedy: Remedy = "none", note: str | None = None, **file: Any) -> NightState:
    files = NightFiles(Workspace(Path("absent")), night)
    return NightState(ScoredFile(files, None, None, **file), reasons, remedy, note)


def page_of(tmp_path: Path, *states: NightState) -> str:
    write_states_page(tmp_path / "states.html", states, CHAMPION)
    return (tmp_path / "states.html").read_text(encoding="utf-8")


def headlines(page: str) -> dict[str, str]:
    """The values of the headlines by their labels."""
    parts = page.split('<div class="label">')[1:]
    return {part.partition("<")[0]: part.partition('<div class="value">')[2].partition("<")[0] for part in parts}


def test_each_reason_has_words() -> None:
    assert set(REASONS) == set(get_args(Reason))


def test_stale_nights_come_first_each_with_what_makes_it_current_and_why(tmp_path: Path) -> None:
    page = page_of(
        tmp_path,
        state("n1", model="realbogus/2", preprocessing_version="v", threshold=1.23456, threshold_version="tpr90"),
        state("n2", "source_missing"),
        state("n3", "other_threshold", remedy="rethreshold"),
        state("n4", "other_model", "no_record", remedy="rescore", note="torn"),
        state("n0", "other_model", "source_missing", note="it is gone"),
    )
    header, *rows = tables_of(page)[NIGHTS]
    assert header[:2] == ["night", "state"]
    assert [(row[0], row[1], row[-1]) for row in rows] == [
        ("n0", "stale", "other_model, source_missing (it is gone)"),
        ("n3", "to rethreshold", "other_threshold"),
        ("n4", "to rescore", "other_model, no_record (torn)"),
        ("n1", "current", "–"),
        ("n2", "current", "source_missing"),
    ]
    assert rows[3][2:6] == ["realbogus/2", "v", "1.235", "tpr90"]
    assert rows[0][2:6] == ["–"] * 4
    reasons = {row[0]: (row[1], row[2]) for row in tables_of(page)["A night may have several"][1:]}
    counts = {"other_model": "2", "source_missing": "2", "other_threshold": "1", "no_record": "1"}
    assert reasons == {name: (REASONS[name], count) for name, count in counts.items()}


KINDS: list[tuple[tuple[Reason, ...], Remedy]] = [
    ((), "none"),
    (("source_missing",), "none"),
    (("other_model",), "rescore"),
    (("other_threshold",), "rethreshold"),
    (("no_record",), "none"),
]


@given(st.lists(st.sampled_from(KINDS), max_size=8))
def test_each_night_is_current_or_to_be_scored_or_to_be_decided_or_stale_for_good(
    tmp_path_factory: pytest.TempPathFactory, kinds: list[tuple[tuple[Reason, ...], Remedy]]
) -> None:
    states = [state(f"n{number}", *reasons, remedy=remedy) for number, (reasons, remedy) in enumerate(kinds)]
    page = page_of(tmp_path_factory.getbasetemp(), *states)
    told = {label: int(value) for label, value in headlines(page).items()}
    assert list(told) == ["Current", "To rescore", "To rethreshold", "Stale for good"]
    assert sum(told.values()) == len(kinds)
    assert told["Current"] == sum(kind in KINDS[:2] for kind in kinds)
    assert len(tables_of(page).get(NIGHTS, [[]])) - 1 == len(kinds)


def test_without_scores_the_page_says_so_and_names_today_s_model(tmp_path: Path) -> None:
    page = page_of(tmp_path)
    assert tables_of(page) == {}
    assert "No night has scores yet." in page
    assert f"Today&#39;s model a, sha256 {CHAMPION.sha256[:8]}, preprocessing v" in page


def test_the_page_of_outcomes_has_the_columns_that_a_night_has_in_one_order(tmp_path: Path) -> None:
    entries = [
        {"lost": 0, "night": "n1", "state": "rescored", "selected": 1200, "model": "realbogus/2", "seconds": 3.0},
        {"night": "n2", "state": "failed", "message": "its source is <gone>"},
    ]
    write_outcomes_page(tmp_path / "out.html", "Rescored", entries, "realbogus/2")
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert tables_of(page) == {
        "Logits of thresholds": [
            ["night", "state", "message", "model", "selected", "lost"],
            ["n1", "rescored", "–", "realbogus/2", "1\N{NARROW NO-BREAK SPACE}200", "0"],
            ["n2", "failed", "its source is <gone>", "–", "–", "–"],
        ]
    }
    write_outcomes_page(tmp_path / "out.html", "Rescored", [], "realbogus/2")
    assert "There was nothing to do." in (tmp_path / "out.html").read_text(encoding="utf-8")
    assert [path.name for path in tmp_path.iterdir()] == ["out.html"], "the page takes the place of the earlier one"
