"""The bell of the inbox: it rings for what waits, not while somebody works, and again for what was left."""

import logging
import subprocess
import sys
from collections.abc import Sequence

import pytest

from tasks.server.arrival_bell import AGAIN_S, LOOK_S, MOST_SHARE, ArrivalBell


class Inbox:
    """What waits, whether it is worked on, what was rung for, and the clock."""

    def __init__(self) -> None:
        self.waiting: list[str] = []
        self.working = False
        self.rung: list[list[str]] = []
        self.fault: Exception | None = None
        self.now_s = self.takes_s = 0.0
        self.looks = 0
        self.bell = ArrivalBell("inbox", self.arrived, lambda: self.working, self.ring, lambda: self.now_s)

    def arrived(self) -> Sequence[str]:
        self.looks += 1
        self.now_s += self.takes_s
        if self.fault is not None:
            raise self.fault
        return self.waiting

    def ring(self, name: str, waiting: Sequence[str]) -> None:
        assert name == "inbox"
        self.rung.append(list(waiting))

    def look_after(self, seconds: float) -> None:
        self.now_s += seconds
        self.bell.look()


def test_many_arrivals_are_one_event() -> None:
    inbox = Inbox()
    inbox.look_after(0)
    assert inbox.rung == []
    inbox.waiting = ["n/a", "n/b", "n/c"]
    inbox.look_after(LOOK_S / 2)
    assert inbox.rung == [], "between two looks nothing is looked at"
    inbox.look_after(LOOK_S)
    inbox.look_after(LOOK_S)
    assert inbox.rung == [["n/a", "n/b", "n/c"]]


def test_it_rings_again_for_what_nobody_took() -> None:
    inbox = Inbox()
    inbox.waiting = ["n/a"]
    for _ in range(int(2.5 * AGAIN_S / LOOK_S)):
        inbox.look_after(LOOK_S)
    assert len(inbox.rung) == 3


def test_it_is_silent_while_a_run_works_and_rings_at_once_for_what_that_left() -> None:
    inbox = Inbox()
    inbox.waiting, inbox.working = ["n/a"], True
    inbox.look_after(LOOK_S)
    assert inbox.rung == []
    inbox.working = False
    inbox.look_after(LOOK_S)
    assert inbox.rung == [["n/a"]]


def test_a_look_that_takes_long_is_followed_by_a_long_pause() -> None:
    inbox = Inbox()
    inbox.takes_s = 1.0
    for _ in range(100):
        inbox.look_after(LOOK_S)
    assert inbox.looks * inbox.takes_s <= MOST_SHARE * inbox.now_s + 1


def test_an_unreadable_inbox_is_told_once_and_looked_at_again(caplog: pytest.LogCaptureFixture) -> None:
    inbox = Inbox()
    inbox.fault = ValueError("the inbox cannot be read")
    with caplog.at_level(logging.WARNING):
        inbox.look_after(LOOK_S)
        inbox.look_after(LOOK_S)
    assert len(caplog.records) == 1
    inbox.fault, inbox.waiting = None, ["n/a"]
    inbox.look_after(LOOK_S)
    assert inbox.rung == [["n/a"]]


def test_what_runs_idle_loads_no_astropy_and_no_scipy() -> None:
    modules = ("tasks.visits.arrivals", "tasks.home.serve", "tasks.labelling.serve")
    for module in modules:
        program = f"import sys, {module}; print(sorted({{'astropy', 'scipy'}} & set(sys.modules)))"
        ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert ended.stdout.strip() == "[]", module
