"""The page of the nights: every state has its words, and nights without truth, drift or a challenger are shown too."""

from typing import Any, get_args

import pytest

from tasks.nightly.efficiency import InjectionCounts, NightEfficiency
from tasks.nightly.night_record import STATE_WORDS, State, open_record
from tasks.nightly.outcome import NOTHING
from tasks.nightly.report import COLOURS, nights_figure, write_nights_page
from tasks.nightly.request import NightlyRequest
from tasks.runtime.workspace import Workspace


def summary_of(night: str, state: State, **more: Any) -> dict[str, Any]:
    return {"night": night, **NOTHING, "state": state, "seconds": 1.0, **more}


def test_every_state_has_a_colour_and_words() -> None:
    assert set(COLOURS) == set(STATE_WORDS) == set(get_args(State))


@pytest.mark.parametrize("state", get_args(State))
def test_a_night_on_which_nothing_was_done_can_be_drawn(state: State) -> None:
    assert nights_figure([summary_of("2026-11-01", state)]).png.startswith(b"\x89PNG")


def test_the_page_shows_all_nights_the_newest_first(workspace: Workspace) -> None:
    truth = {"real": 8, "real_selected": 6, "bogus": 130, "bogus_selected": 2}
    efficiency = NightEfficiency("2026-11-01", {"16 to 17 mag": InjectionCounts(30, 21, 20, 18)}).to_summary()
    drift = {
        "verdict": "drifted",
        "drifted": [{"stratum": "chip01", "p_value": 1e-9}],
        "reasons": ["chip01 rate: 99 instead of 12"],
    }
    nights = [
        summary_of(
            "2026-11-01", "done", scored=138, selected=8, truth=truth, efficiency=efficiency, decision="PROMOTE"
        ),
        summary_of("2026-11-02", "clouds", message="6 of 6 chip-visits could not be worked on", rejected={"no_psf": 6}),
        summary_of("2026-11-03", "done", scored=300, selected=90, drift=drift, challenger="models:/realbogus/3"),
    ]
    for summary in nights:
        open_record(workspace, "nightly", summary["night"]).begin("a").finish(summary)
    path = write_nights_page(workspace, NightlyRequest())
    text = path.read_text(encoding="utf-8")
    assert path == workspace.reports / "nights-nightly.html"
    assert "3 nights; simulated pixels" in text
    assert text.index("2026-11-03") < text.index("2026-11-02") < text.index("2026-11-01")
    for shown in (
        "chip01 rate: 99 instead of 12",
        "6 of 6 chip-visits could not be worked on",
        "realbogus/3",
        "clouds",
        "Control charts of detection and classification by night",
    ):
        assert shown in text


def test_nights_without_injections_have_no_control_charts(workspace: Workspace) -> None:
    open_record(workspace, "nightly", "2026-11-01").begin("a").finish(summary_of("2026-11-01", "done"))
    assert "Control charts" not in write_nights_page(workspace, NightlyRequest()).read_text(encoding="utf-8")
