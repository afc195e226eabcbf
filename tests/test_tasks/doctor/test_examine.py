"""The report as lines and as JSON, and the exit code of the command."""

import json
from pathlib import Path

import pytest

from flows.cli.command import execute
from tasks.doctor.examine import Report
from tasks.doctor.finding import Finding, ok
from tasks.runtime.workspace import Workspace


def test_a_check_is_one_line_and_a_remedy_another() -> None:
    report = Report((ok("disk", "50 GB free"), Finding("Dask", "problem", "silent", "unset it")), {"batches": "here"})
    lines = report.to_lines()
    assert lines[0].split() == ["ok", "disk", "50", "GB", "free"]
    assert lines[1].split() == ["problem", "Dask", "silent"]
    assert lines[2].split() == ["->", "unset", "it"]
    assert lines[-1] == "problems: 1, warnings: 0"
    assert report.to_summary()["checks"][1] == {
        "subject": "Dask",
        "state": "problem",
        "value": "silent",
        "remedy": "unset it",
    }


@pytest.fixture
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment without the suite's Prefect server and without settings of a user."""
    for name in ("PREFECT_API_URL", "PREFECT_HOME", "STARLOOM_DASK_ADDRESS", "STARLOOM_INBOX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


def test_the_command_writes_one_line_of_json_and_its_exit_code_tells_of_problems(
    own_settings: None,
    workspace: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    code, written = execute(["doctor", "--json"]).code, capfd.readouterr().out
    assert written.count("\n") == 1
    report = json.loads(written)
    problems = sum(check["state"] == "problem" for check in report["checks"])
    assert (report["problems"], code) == (problems, 1 if problems else 0)
    monkeypatch.setenv("STARLOOM_INBOX", str(tmp_path / "absent"))
    outcome = execute(["doctor"])
    assert (outcome.code, outcome.error) == (1, f"{problems + 1} of the checks found a problem")
    assert "problem  inbox " in capfd.readouterr().out
    assert not workspace.root.exists()
