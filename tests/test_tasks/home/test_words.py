"""What is said of figures, counts and models: rounded to three digits, and a dash or a word for what is not there."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.home.status import (
    DatasetStatus,
    DecisionStatus,
    DiskStatus,
    Figure,
    FolderSize,
    NightStatus,
    SchemeCounts,
    ServiceState,
    ServiceStatus,
)
from tasks.home.words import (
    STARTED_BY,
    counts_text,
    dataset_name,
    disk_text,
    drift_text,
    figure_text,
    figures_text,
    funnel_of,
    gate_text,
    model_text,
    moved_text,
    night_funnel,
    origin_text,
    service_text,
    time_text,
)

AT = datetime(2026, 11, 28, 23, 59, 59, tzinfo=UTC)
SIZES = st.floats(1e-9, 1e9)


def night(**changes: Any) -> NightStatus:
    return NightStatus(**{"dataset": "nightly", "night": "2026-11-28", "state": "done", "words": "", **changes})


def decision(**changes: Any) -> DecisionStatus:
    fields = {"sequence": 1, "at": AT, "night": None, "name": "realbogus", "verdict": "HOLD", "kind": "gate", "by": ""}
    models = dict.fromkeys(("champion_before", "champion_after", "challenger"))
    return DecisionStatus(**{**fields, **models, "reasons": (), "figures": (), **changes})


@given(SIZES, SIZES, SIZES)
def test_three_digits_of_a_figure_and_of_its_ends_are_told(value: float, low: float, high: float) -> None:
    told, ends = figure_text(Figure(name="rate", value=value, low=low, high=high)).removesuffix(")").split(" (")
    read = [float(text) for text in (told, *ends.split(" to "))]
    assert read == pytest.approx([value, low, high], rel=0.006)


@pytest.mark.parametrize("ends", [{}, {"low": 0.1}, {"high": 0.9}])
def test_an_interval_that_lacks_an_end_is_not_told(ends: dict[str, float]) -> None:
    assert figure_text(Figure(name="rate", value=0.25, **ends)) == "0.25"
    assert figures_text([Figure(name="rate", value=0.25, **ends)] * 2) == "rate 0.25; rate 0.25"


@given(st.integers(0, 10**6), st.dictionaries(st.sampled_from("abc"), st.integers(0, 10**6)), st.integers(0, 10**6))
def test_what_was_delivered_to_a_night_is_what_was_ingested_and_what_was_rejected(
    ingested: int, rejected: dict[str, int], scored: int
) -> None:
    steps = night_funnel(night(ingested=ingested, rejected=rejected, scored=scored))
    assert steps == [("delivered", sum([ingested, *rejected.values()])), ("ingested", ingested), ("scored", scored)]
    assert night_funnel(night(ingested=ingested, selected=0))[-1] == ("selected", 0), "none is a number too"


def test_a_scheme_is_a_step_of_a_dataset_where_its_classes_are_counted() -> None:
    schemes = (SchemeCounts(name="deck-3", counts={"E": 4, "S": 5}), SchemeCounts(name="unknown", counts={}))
    dataset = DatasetStatus(name="sky", version=3, night=None, asked=12, stored=10, schemes=schemes)
    assert funnel_of(dataset) == [("asked", 12), ("stored", 10), ("labelled deck-3", 9)]
    assert dataset_name(dataset) == "sky@3"
    assert dataset_name(dataset.model_copy(update={"version": None})) == "sky"


@pytest.mark.parametrize(
    ("state", "address", "text"),
    [
        ("running", "http://h:1", "http://h:1"),
        ("no answer", "http://h:1", "http://h:1, no answer"),
        ("starting", None, "starting"),
        ("not running", None, f"not running; {STARTED_BY} starts it"),
    ],
)
def test_a_service_without_an_address_says_what_starts_it(state: ServiceState, address: str | None, text: str) -> None:
    assert service_text(ServiceStatus(name="mlflow", address=address, state=state)) == text


@pytest.mark.parametrize(
    ("before", "after", "challenger", "text"),
    [
        ("models:/realbogus/1", "models:/realbogus/2", "models:/realbogus/2", "realbogus/1 → realbogus/2"),
        (None, "models:/realbogus/1", "models:/realbogus/1", "– → realbogus/1"),
        ("models:/realbogus/1", "models:/realbogus/1", "models:/realbogus/2", "realbogus/2 against realbogus/1"),
        ("models:/realbogus/1", "models:/realbogus/1", None, "realbogus/1"),
        (None, None, None, "–"),
    ],
)
def test_an_arrow_stands_where_the_champion_changed(
    before: str | None, after: str | None, challenger: str | None, text: str
) -> None:
    assert moved_text(decision(champion_before=before, champion_after=after, challenger=challenger)) == text


def test_what_is_not_known_is_a_dash_or_said_in_words() -> None:
    assert (time_text(None), model_text(None)) == ("–", "–")
    assert time_text(AT) == "2026-11-28 23:59", "cut to the minute, not rounded into the next night"
    assert (gate_text(night()), drift_text(night())) == ("no challenger", "not checked")
    assert drift_text(night(drift="drifted", drift_reasons=("seeing", "depth"))) == "drifted; seeing; depth"
    told = gate_text(night(decision="HOLD", challenger="models:/realbogus/2"))
    assert told == "HOLD: realbogus/2; champion –"
    assert [origin_text(*words) for words in (("real", "votes"), ("real", None), (None, None))] == [
        "real pixels, votes labels",
        "real pixels",
        "",
    ]
    assert counts_text({"edge": 2, "nan_plane": 1234}) == "edge 2, nan_plane 1\N{NARROW NO-BREAK SPACE}234"


def test_the_disk_tells_the_sum_of_the_folders_and_whether_it_is_all() -> None:
    rows = (FolderSize(name="raw", size=2_500_000), FolderSize(name="datasets", size=500_000))
    space = "\N{NARROW NO-BREAK SPACE}"
    assert disk_text(DiskStatus(rows=rows, measured_at=AT)) == f"3{space}MB in the workspace"
    part = disk_text(DiskStatus(rows=rows, free=10**12))
    assert part == f"3{space}MB in the workspace, and more that is being measured; 1{space}TB free"
