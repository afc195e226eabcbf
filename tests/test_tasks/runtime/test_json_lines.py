"""Lines for programs: every line on stderr is one JSON object, the error too, and stdout stays as it is."""

import json
import logging
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from tasks.runtime.json_lines import COUNTS, LOG_VARIABLE, JsonFormatter

KEYS = ["time", "level", "logger", "message", "flow", "run_id", "stage"]


def line_of(message: str, level: int = logging.INFO, **facts: Any) -> dict[str, Any]:
    record = logging.LogRecord("tasks.stages", level, __file__, 1, message, (), None)
    record.__dict__.update(facts)
    text = JsonFormatter().format(record)
    assert "\n" not in text
    told: dict[str, Any] = json.loads(text)
    assert list(told)[: len(KEYS)] == KEYS
    return told


def test_a_line_has_flow_run_and_stage_as_prefect_notes_them() -> None:
    told = line_of("a\nb", logging.WARNING, flow_name="train-galaxy", flow_run_id="1a", task_run_name="fit")
    assert datetime.fromisoformat(told["time"]).utcoffset() is not None
    assert [told[name] for name in KEYS[1:]] == ["warning", "tasks.stages", "a\nb", "train-galaxy", "1a", "fit"]


def test_after_its_run_a_line_still_names_it_but_no_stage() -> None:
    line_of("done", flow_name="verify", flow_run_id="2b", task_run_name="verify")
    told = line_of("error", logging.ERROR)
    assert [told[name] for name in KEYS[4:]] == ["verify", "2b", None]


def test_counts_of_a_stage_are_numbers() -> None:
    told = line_of("collecting: 3 of 5", **{COUNTS: {"done": 3, "total": 5}})
    assert (told["done"], told["total"]) == (3, 5)


def starloom(*words: str, **environment: str) -> tuple[int, str, list[dict[str, Any]]]:
    ran = subprocess.run(
        [sys.executable, "-m", "flows.cli.command", *words],
        env={"PYTHONPATH": str(Path(__file__).parents[3]), **environment},
        capture_output=True,
        text=True,
    )
    return ran.returncode, ran.stdout, [json.loads(line) for line in ran.stderr.splitlines()]


def test_a_command_writes_nothing_else_to_stderr(tmp_path: Path) -> None:
    (tmp_path / "w" / "catalogs").mkdir(parents=True)
    (tmp_path / "w" / "catalogs" / "one.csv").write_text("ra")
    words = ("backup", str(tmp_path / "b"), "--workspace", str(tmp_path / "w"))
    code, output, lines = starloom(*words, "--log", "json")
    assert (code, json.loads(output)["files"]) == (0, 1)
    assert [(line["level"], line["done"], line["ended"]) for line in lines] == [("info", 1, True)]
    code, output, lines = starloom("restore", str(tmp_path), TMPDIR=str(tmp_path), **{LOG_VARIABLE: "json"})
    assert (code, output) == (1, "")
    assert lines[-1]["level"] == "error"
    assert lines[-1]["message"].startswith(f"{tmp_path} holds no backup of a workspace")
    assert [line["message"].partition(":")[0] for line in lines[:-1]] == ["traceback"]


def test_another_format_is_refused(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "flows.cli.command", "status"],
        env={"PYTHONPATH": str(Path(__file__).parents[3]), LOG_VARIABLE: "xml"},
        capture_output=True,
        text=True,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (2, "", "error: STARLOOM_LOG=xml: text or json\n")
