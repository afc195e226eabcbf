"""One request rate for all senders of a workspace."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.http.rate_budget import LEASE_SECONDS, RateBudget, is_loopback


class Clock:
    """A clock that moves only when someone sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@given(st.floats(0.5, 50), st.integers(1, 40), st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_several_senders_together_keep_one_rate(
    tmp_path_factory: pytest.TempPathFactory, rate: float, requests: int, senders: int
) -> None:
    folder, clock = tmp_path_factory.mktemp("budget"), Clock()
    budgets = [RateBudget(folder, "sky.example", rate, clock, clock.sleep) for _ in range(senders)]
    sent = []
    for number in range(requests):
        budgets[number % senders].wait()
        sent.append(clock.now)
    assert sent[-1] - sent[0] >= (requests - senders) / rate - 1e-6


def test_no_limit_is_for_loopback_only(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="max_rate_per_s is null"):
        RateBudget(tmp_path, "skyserver.sdss.org", None)
    with pytest.raises(ValueError, match="above 0"):
        RateBudget(tmp_path, "skyserver.sdss.org", 0)
    assert is_loopback("127.0.0.1")
    assert is_loopback("localhost")
    assert not is_loopback("10.0.0.1")
    assert is_loopback("localhost")
    assert is_loopback("[::1]")
    assert not is_loopback("sky.example")


def test_send_times_are_one_interval_apart(tmp_path: Path) -> None:
    clock = Clock()
    budget = RateBudget(tmp_path, "sky.example", 8.0, clock, clock.sleep)
    sent = []
    for _ in range(10):
        budget.wait()
        sent.append(clock.now)
    assert sent == [1000.0 + number / 8.0 for number in range(10)]


def test_a_lease_covers_half_a_second_and_at_least_one_send_time(tmp_path: Path) -> None:
    for rate, leased in ((10.0, 5), (1.0, 1), (0.5, 1)):
        clock = Clock()
        budget = RateBudget(tmp_path / str(rate), "sky.example", rate, clock, clock.sleep)
        budget.wait()
        assert float((tmp_path / str(rate) / budget.name).read_text(encoding="ascii")) == 1000.0 + leased / rate
    assert LEASE_SECONDS == 0.5


def test_a_send_time_more_than_an_hour_ahead_is_a_clock_that_was_set_back(tmp_path: Path) -> None:
    clock = Clock()
    budget = RateBudget(tmp_path, "sky.example", 1.0, clock, clock.sleep)
    (tmp_path / budget.name).write_text(repr(clock.now + 1e6), encoding="ascii")
    budget.wait()
    assert clock.now == 1000.0 + 3600.0


def test_an_unreadable_budget_file_starts_a_new_budget(tmp_path: Path) -> None:
    clock = Clock()
    budget = RateBudget(tmp_path, "sky.example", 1.0, clock, clock.sleep)
    (tmp_path / budget.name).write_text("", encoding="ascii")
    budget.wait()
    assert clock.now == 1000.0


def test_without_a_rate_nothing_waits_and_nothing_is_written(tmp_path: Path) -> None:
    budget = RateBudget(tmp_path, "127.0.0.1", None)
    budget.wait()
    assert list(tmp_path.iterdir()) == []
