"""Records of nights: steps are done once, a delivery that changed begins again, two processes never work at once."""

import sys
from pathlib import Path
from subprocess import PIPE, Popen

import pytest

from tasks.nightly.night_record import (
    NightBusyError,
    NightRecord,
    one_night,
    open_record,
    read_records,
    recorded_nights,
)
from tasks.runtime.workspace import Workspace


def record_of(workspace: Workspace, night: str = "2026-11-28") -> NightRecord:
    return open_record(workspace, "nightly", night)


def test_a_finished_step_is_not_done_again_by_the_next_process(workspace: Workspace) -> None:
    done = []

    def work() -> dict[str, int]:
        done.append(1)
        return {"stored": 3}

    record = record_of(workspace).begin("a")
    assert record.step("build", work) == {"stored": 3}
    assert record.step("build", work) == {"stored": 3}
    assert record_of(workspace).begin("a").step("build", work) == {"stored": 3}
    assert len(done) == 1


def test_a_step_that_fails_is_not_recorded(workspace: Workspace) -> None:
    def fail() -> None:
        raise RuntimeError("no power")

    record = record_of(workspace).begin("a")
    with pytest.raises(RuntimeError):
        record.step("build", fail)
    assert record_of(workspace).steps == {}


def test_another_delivery_of_a_finished_night_is_another_revision(workspace: Workspace) -> None:
    record = record_of(workspace).begin("a")
    record.step("build", lambda: 1)
    record.finish({"state": "done"})
    again = record_of(workspace)
    assert again.is_finished
    assert again.begin("a") is again, "the same delivery changes nothing"
    changed = again.begin("b")
    assert (changed.revision, changed.steps, changed.summary) == (2, {}, None)
    assert record_of(workspace) == changed


def test_files_that_come_while_a_night_is_open_are_no_other_revision(workspace: Workspace) -> None:
    for state in ("failed", "waiting", "no_data"):
        night = record_of(workspace, f"2026-11-0{len(state)}").begin("a").finish({"state": state})
        assert not night.is_finished
        assert night.begin("b").revision == 1


def test_records_are_read_oldest_first_and_open_ones_are_no_nights_yet(workspace: Workspace) -> None:
    for night in ("2026-11-28", "2026-11-03", "2026-11-10"):
        record_of(workspace, night).begin("a").finish({"state": "done"})
    record_of(workspace, "2026-11-12").begin("a")
    assert [record.night for record in read_records(workspace, "nightly")] == [
        *("2026-11-03", "2026-11-10", "2026-11-12", "2026-11-28")
    ]
    assert [night.day for night in recorded_nights(read_records(workspace, "nightly"))] == [3, 10, 28]
    assert read_records(workspace, "other") == []


HOLD = """
import sys
from pathlib import Path
from tasks.nightly.night_record import one_night
from tasks.runtime.workspace import Workspace
with one_night(Workspace(Path(sys.argv[1])), "nightly"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_nights_never_run_at_once_and_a_killed_one_holds_nothing(workspace: Workspace) -> None:
    command, pipes = [sys.executable, "-c", HOLD, str(workspace.root)], {"stdin": PIPE, "stdout": PIPE}
    with Popen(command, cwd=Path(__file__).parents[3], **pipes) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        message = "another process works on a night of dataset 'nightly'"
        with pytest.raises(NightBusyError, match=message), one_night(workspace, "nightly"):
            pass
        with one_night(workspace, "nightly-galaxies"):
            other.kill()
    with one_night(workspace, "nightly"):
        pass
