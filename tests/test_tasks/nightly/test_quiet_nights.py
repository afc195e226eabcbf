"""Which nights later ones are compared with."""

from pathlib import Path
from typing import Any

import pytest

from tasks.nightly.efficiency import InjectionCounts, NightEfficiency
from tasks.nightly.night_record import State, open_record, read_records
from tasks.nightly.quiet_nights import is_quiet, night_charts
from tasks.runtime.workspace import Workspace


def found(*p_values: float) -> dict[str, Any]:
    return {"verdict": "drifted" if p_values else "quiet", "drifted": [{"p_value": value} for value in p_values]}


@pytest.mark.parametrize(
    ("state", "drift", "quiet"),
    [
        ("done", None, True),
        ("done", found(), True),
        ("redelivered", found(), True),
        ("done", found(0.002, 0.0008), True),  # an alarm of a quiet night, which the scatter needs
        ("done", found(0.002, 7e-17), False),
        ("clouds", None, False),
        ("set_aside", found(), False),
        ("failed", None, False),
    ],
)
def test_a_night_that_was_worked_through_without_a_fault_is_quiet(
    tmp_path: Path, state: State, drift: dict[str, Any] | None, quiet: bool
) -> None:
    workspace = Workspace(tmp_path)
    record = open_record(workspace, "nightly", "2026-11-20").begin("a")
    assert not is_quiet(record)
    record.finish({"state": state, "drift": drift})
    ended = open_record(workspace, "nightly", "2026-11-20")
    assert is_quiet(ended) is quiet


def test_charts_are_of_all_nights_with_injections_and_their_limits_of_the_quiet_ones(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    for day in range(1, 13):
        counts = InjectionCounts(100, 80 if day < 11 else 20, 60, 57)
        efficiency = None if day == 12 else NightEfficiency(f"2026-11-{day:02d}", {"16 to 17 mag": counts}).to_summary()
        state = "set_aside" if day == 11 else "done"
        night = open_record(workspace, "nightly", f"2026-11-{day:02d}").begin("a")
        night.finish({"state": state, "drift": None, "efficiency": efficiency})
    charts = night_charts(read_records(workspace, "nightly"))
    detection, classification = charts["detection"], charts["classification"]
    assert (len(detection.quiet), len(detection.points)) == (10, 11)
    assert {point.night: point.outside for point in detection.outside} == {"2026-11-11": "limit"}
    assert (detection.centre, classification.centre, classification.outside) == (0.8, 0.95, [])
    assert night_charts(read_records(workspace, "other")) == {}
