"""Progress of a stage: rate and remaining time by a given clock, the terminal's one line, sparse lines in a file."""

import io
import logging
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tasks.runtime import progress as module
from tasks.runtime.logs import is_wanted
from tasks.runtime.progress import (
    BAR_WIDTH,
    FIRST_LINE_S,
    LogLines,
    StageProgress,
    TerminalBar,
    format_duration,
    format_rate,
    progress,
    show_progress,
)
from tasks.runtime.verbosity import Verbosity


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def steady(clock: Clock, total: int | None, calls: int, seconds: float, count: int = 1) -> StageProgress:
    """A stage after `calls` calls of `count` items, `seconds` apart."""
    stage = StageProgress("collecting", total, clock)
    for _ in range(calls):
        clock.now += seconds
        stage(count)
    return stage


@given(st.integers(2, 60), st.floats(0.1, 5), st.integers(1, 9))
def test_a_steady_stage_has_its_rate_and_ends_when_it_ends(calls: int, seconds: float, count: int) -> None:
    stage = steady(Clock(), 100 * count, calls, seconds, count)
    assert stage.rate_per_s == pytest.approx(count / seconds)
    assert stage.remaining_s == pytest.approx((100 - calls) * seconds)
    assert stage.fraction == pytest.approx(calls / 100)


def test_what_an_earlier_run_did_is_not_in_the_rate() -> None:
    clock = Clock()
    stage = StageProgress("training", 1000, clock)
    stage(900)
    assert (stage.rate_per_s, stage.remaining_s) == (None, None)
    clock.now += 10
    stage(5)
    assert stage.rate_per_s == pytest.approx(0.5)
    assert stage.counts() == "905 of 1000, 30/min, 3 min 10 s left"


def test_many_small_steps_have_the_same_rate_and_are_shown_now_and_then() -> None:
    class Counter:
        updates = 0

        def update(self, stage: StageProgress) -> None:
            self.updates += 1

        def end(self, stage: StageProgress) -> None: ...

    clock, counter = Clock(), Counter()
    stage = StageProgress("training", 10_000, clock, views=[counter])
    for _ in range(5000):
        clock.now += 0.001
        stage(1)
    assert stage.rate_per_s == pytest.approx(1000)
    assert 40 <= counter.updates <= 51


def test_a_change_of_speed_is_followed_within_the_window() -> None:
    clock = Clock()
    stage = steady(clock, None, 100, 1.0)
    for _ in range(40):
        clock.now += 1.0
        stage(10)
    assert stage.rate_per_s == pytest.approx(10)
    assert stage.counts() == "500, 10/s"


def test_rejected_items_are_counted_and_the_end_has_the_time_it_took() -> None:
    clock = Clock()
    stage = StageProgress("collecting", 6, clock)
    assert "rejected" not in stage.counts()
    for rejected in (0, 2, 1):
        clock.now += 30
        stage(2, rejected=rejected)
    stage.say("three classes")
    assert stage.text(ended=True) == "6 of 6, in 1 min 30 s, 4.0/min, 3 rejected; three classes"


def test_a_terminal_has_one_line_that_ends_with_the_last_counts() -> None:
    written = io.StringIO()
    stage = StageProgress("collecting", 4)
    bar = TerminalBar(stage, Console(file=written, force_terminal=True, width=70))
    for _ in range(4):
        stage(1, rejected=1)
        stage.say("a note that is longer than a terminal of this width has room for")
        bar.update(stage)
    bar.end(stage)
    last = written.getvalue().split("\r")[-1]
    assert "4 of 4, in 0 s" in last
    assert last.count("━") == BAR_WIDTH
    assert written.getvalue().count("\n") == 1


def test_the_line_of_a_stage_within_a_stage_goes_with_its_end() -> None:
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=70)
    folds, training = StageProgress("folds", 2), StageProgress("training", 5)
    outer = TerminalBar(folds, console)
    inner = TerminalBar(training, console)
    training(5)
    inner.update(training)
    inner.end(training)
    folds(2)
    outer.end(folds)
    last = written.getvalue().split("\r")[-1]
    assert "folds" in last
    assert "2 of 2, in 0 s" in last
    assert "training" not in last
    again = TerminalBar(StageProgress("packing", 1), console)
    again.end(StageProgress("packing", 1))
    assert "folds" not in written.getvalue().split("\r")[-1]


@pytest.fixture
def shown(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Progress is shown; give what is logged."""
    before = logging.getLogger(module.__name__).level
    show_progress(True)
    yield caplog
    logging.getLogger(module.__name__).setLevel(before)


def test_in_a_file_lines_grow_further_apart_and_the_last_has_all(shown: pytest.LogCaptureFixture) -> None:
    clock, view = Clock(), LogLines()
    stage = StageProgress("collecting", 1000, clock, views=[view])
    times = []
    for second in range(1000):
        clock.now += 1
        before = len(shown.messages)
        stage(1)
        times += [second + 1] if len(shown.messages) > before else []
    view.end(stage)
    assert times[0] == FIRST_LINE_S
    assert len(times) <= 13
    assert all(later - earlier >= 5 for earlier, later in pairwise(times))
    assert shown.messages[-1] == "collecting: 1000 of 1000, in 16 min 40 s, 1.0/s"


def test_a_quiet_command_writes_no_progress(shown: pytest.LogCaptureFixture) -> None:
    with progress("collecting", 3) as advance:
        advance(3)
    assert shown.messages == ["collecting: 3 of 3, in 0 s"]
    show_progress(False)
    with progress("collecting", 3) as advance:
        advance(3)
    assert len(shown.messages) == 1


@pytest.mark.parametrize(
    ("name", "level", "message", "wanted_by"),
    [
        ("prefect.flow_runs", logging.INFO, "View at http://127.0.0.1:1/runs/x", {"USUAL", "VERBOSE"}),
        ("prefect.flow_runs", logging.INFO, "Beginning flow run 'sky'", {"VERBOSE"}),
        ("prefect.task_runs", logging.INFO, "column ra is read", {"VERBOSE"}),
        ("prefect.task_runs", logging.WARNING, "class 'S' has no object", {"QUIET", "USUAL", "VERBOSE"}),
    ],
)
def test_what_is_wanted_by_default_is_the_address_and_warnings(
    name: str, level: int, message: str, wanted_by: set[str]
) -> None:
    record = logging.LogRecord(name, level, __file__, 1, message, (), None)
    assert {verbosity.name for verbosity in Verbosity if is_wanted(record, verbosity)} == wanted_by


def test_durations_and_rates_are_short() -> None:
    durations = {0.4: "0 s", 59.4: "59 s", 59.6: "1 min 0 s", 3599: "59 min 59 s", 3600: "1 h 0 min", 7500: "2 h 5 min"}
    assert {seconds: format_duration(seconds) for seconds in durations} == durations
    rates = {250.4: "250/s", 1.25: "1.2/s", 0.5: "30/min", 1 / 60: "1.0/min", 1 / 120: "30.0/h"}
    assert {rate: format_rate(rate) for rate in rates} == rates
