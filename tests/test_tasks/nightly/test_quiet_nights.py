"""Which nights later ones are compared with."""

from pathlib import Path
from typing import Any

import pytest

from tasks.nightly.night_record import State, open_record
from tasks.nightly.quiet_nights import is_quiet
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
    assert not is_quiet(record, "2026-11-25")
    record.finish({"state": state, "drift": drift})
    ended = open_record(workspace, "nightly", "2026-11-20")
    assert is_quiet(ended, "2026-11-21") is quiet
    assert not is_quiet(ended, "2026-11-20")
