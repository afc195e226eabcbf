"""The summary of a run: its counts add up, times are never negative, and what there is none of is null or zero."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.inbox.deliveries import Delivery
from tasks.visits.night_tables import NightTables
from tasks.visits.records import VisitRecord
from tasks.visits.run_summary import Drained, summarise

NIGHT = "2026-11-28"
INBOX = Path("inbox")
SECONDS = st.lists(st.floats(0, 1e5), min_size=1, max_size=9)


def record(number: int, **changes: Any) -> VisitRecord:
    fields = {"revision": 1, "order": number, "digest": "d", "state": "scored"}
    return VisitRecord(night=NIGHT, visit=f"v{number}", **{**fields, **changes})


def rejected(number: int, reason: str) -> VisitRecord:
    return record(number, state="rejected", reason=reason, detections=0)


def tables(night: str, count: int, selected: int, moving: int) -> NightTables:
    return NightTables(night, Path(f"visits-{night}"), Path(f"candidates-{night}"), count, selected, moving)


def waiting(name: str, why: str | None, since_s: float) -> Delivery:
    return Delivery(NIGHT, name, INBOX / name, "frames", (), None, why, False, time.time() - since_s)


@given(st.lists(st.sampled_from(["scored", "corrupt", "unreadable", "duplicate"]), max_size=12))
def test_every_visit_is_scored_or_rejected_for_one_reason(outcomes: list[str]) -> None:
    kinds = {"scored": {}, "duplicate": {"state": "duplicate"}}
    records = [
        record(number, detections=number, **kinds[word]) if word in kinds else rejected(number, word)
        for number, word in enumerate(outcomes)
    ]
    summary = summarise(Drained(INBOX, records), 1.0)
    assert summary["visits"] == len(outcomes) == summary["scored"] + sum(summary["rejected"].values())
    assert summary["rejected"] == {word: outcomes.count(word) for word in sorted({*outcomes} - {"scored"})}
    assert summary["detections"] == sum(number for number, word in enumerate(outcomes) if word == "scored")


def test_tables_of_all_nights_are_summed_and_the_path_is_the_newest_night_s() -> None:
    run = Drained(INBOX, tables={night: tables(night, *counts) for night, counts in COUNTS.items()})
    summary = summarise(run, 1.0)
    assert (summary["candidates"], summary["selected"], summary["moving"]) == (111, 33, 6)
    assert summary["path"] == "candidates-2026-11-29"
    assert list(summary["nights"].items()) == [(night, f"visits-{night}") for night in sorted(COUNTS)]


COUNTS = {"2026-11-29": (1, 1, 1), "2026-11-27": (10, 2, 2), "2026-11-28": (100, 30, 3)}


@given(SECONDS)
def test_half_of_the_visits_were_scored_within_the_median_and_all_within_the_longest(seconds: list[float]) -> None:
    records = [record(number, first_seen=100.0, finished_at=100.0 + each) for number, each in enumerate(seconds)]
    late = [replace(rejected(9, "corrupt"), finished_at=1e9)]
    summary = summarise(Drained(INBOX, [*records, *late]), 1.0)
    median, longest = summary["latency_s"], summary["longest_latency_s"]
    assert longest == pytest.approx(max(seconds), abs=0.06)
    assert 2 * sum(each <= median + 0.06 for each in seconds) >= len(seconds)
    assert 2 * sum(each >= median - 0.06 for each in seconds) >= len(seconds)


def test_of_two_visits_the_median_lies_between_them() -> None:
    records = [record(number, finished_at=each) for number, each in enumerate((10.0, 40.0))]
    summary = summarise(Drained(INBOX, records), 1.0)
    assert (summary["latency_s"], summary["longest_latency_s"]) == (25.0, 40.0)


def test_a_clock_that_went_back_makes_no_time_negative() -> None:
    run = Drained(INBOX, [record(1, first_seen=50.0, finished_at=20.0)], waiting=[waiting("w", None, -3600.0)])
    summary = summarise(run, 1.0)
    assert (summary["latency_s"], summary["longest_latency_s"], summary["oldest_waiting_s"]) == (0.0, 0.0, 0.0)


def test_what_waits_is_named_with_the_reason_and_the_oldest_counts() -> None:
    visits = [waiting("a", "0 ref*", 100.0), waiting("b", None, 400.0)]
    summary = summarise(Drained(INBOX, waiting=visits), 1.0)
    assert summary["waiting"] == 2
    assert summary["why_waiting"] == {f"{NIGHT}/a": "0 ref*", f"{NIGHT}/b": "not taken yet"}
    assert summary["oldest_waiting_s"] == pytest.approx(400, abs=5)


def test_the_model_is_that_of_the_last_visit_and_a_run_without_visits_has_none() -> None:
    records = [record(1, model="realbogus/1"), record(2, model="realbogus/2", revision=3, threshold_version="v")]
    summary = summarise(Drained(INBOX, records), 3.0)
    assert (summary["model"], summary["threshold_version"], summary["revised"]) == ("realbogus/2", "v", 1)
    assert (summary["seconds"], summary["seconds_per_visit"]) == (3.0, 1.5)
    nothing = summarise(Drained(INBOX), 0.04)
    absent = ("path", "model", "threshold_version", "seconds_per_visit", "latency_s", "longest_latency_s")
    assert {name for name, value in nothing.items() if value is None} == {*absent, "oldest_waiting_s"}
    counts = ("visits", "scored", "revised", "detections", "waiting", "candidates", "moving", "selected")
    assert [nothing[name] for name in counts] == [0] * len(counts)
