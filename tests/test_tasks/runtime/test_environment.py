"""The environment of a process: paths of the workspace, log lines, the version of the code."""

import io
import logging
import re
import sys
from pathlib import Path

import pytest

from tasks.runtime.allocator import return_what_is_freed
from tasks.runtime.logs import TerminalFormatter, TerminalHandler, is_shown, show_on_terminal
from tasks.runtime.progress import progress
from tasks.runtime.provenance import code_version
from tasks.runtime.run_log import run_logger
from tasks.runtime.workspace import ENVIRONMENT_NAME, STATE_ENVIRONMENT_NAME, Workspace, WorkspaceError


def test_the_workspace_is_the_named_folder_or_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT_NAME, str(tmp_path / "a" / ".." / "b"))
    assert Workspace.current().root == tmp_path / "b"
    monkeypatch.chdir(tmp_path)
    for unset in (lambda: monkeypatch.setenv(ENVIRONMENT_NAME, ""), lambda: monkeypatch.delenv(ENVIRONMENT_NAME)):
        unset()
        assert Workspace.current().root == tmp_path / "workspace"


def test_an_address_puts_the_state_into_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STATE_ENVIRONMENT_NAME, str(tmp_path))
    monkeypatch.setenv(ENVIRONMENT_NAME, "s3://bucket/a/b/")
    there = Workspace.current()
    assert (there.address, there.root.parent) == ("s3://bucket/a/b", tmp_path)
    assert there == Workspace.named(there.name)
    assert Workspace.named("s3://bucket/a-b").root != there.root
    for wrong in (
        "s3://",
        "s3://b",
        "s3:///a",
        "gs://bucket/a",
        "s3://bucket/a/../b",
        "s3://bucket//a",
        "s3://bucket/a?b",
    ):
        with pytest.raises(WorkspaceError, match="is no address of a workspace"):
            Workspace.named(wrong)


def test_every_kind_of_thing_has_its_place_in_the_workspace(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    for name in ("catalogs", "datasets", "raw", "reports", "scores", "prefect", "mlartifacts"):
        assert getattr(workspace, name) == tmp_path / name
    assert workspace.mlflow_uri == f"sqlite:///{tmp_path}/mlflow.db"


def test_the_code_version_has_release_and_digest() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+\+[0-9a-f]{8}", code_version())


@pytest.mark.parametrize(
    ("level", "stage", "text"),
    [
        (logging.INFO, None, "ready"),
        (logging.DEBUG, None, "ready"),
        (logging.INFO, "collect-0", "collect-0: ready"),
        (logging.WARNING, None, "warning: ready"),
        (logging.ERROR, "collect-0", "error: collect-0: ready"),
    ],
)
def test_a_log_line_has_time_level_stage_and_message(level: int, stage: str | None, text: str) -> None:
    record = logging.LogRecord("starloom", level, __file__, 1, "re%s", ("ady",), None)
    if stage:
        record.task_run_name = stage
    line = TerminalFormatter(datefmt="%H:%M:%S").format(record)
    assert re.fullmatch(r"\d\d:\d\d:\d\d  " + re.escape(text), line)


@pytest.mark.parametrize(
    ("name", "message", "shown"),
    [
        ("prefect.task_runs", "Task run failed with exception: ValueError('x')", None),
        ("prefect.flow_runs", "Encountered exception during execution: ValueError('x')", None),
        ("prefect.task_runs", "Finished in state Failed('Task run encountered: x')", "Finished in state Failed"),
        ("prefect.flow_runs", "Finished in state Completed()", "Finished in state Completed()"),
        ("prefect.task_runs", "a stage's own error", "a stage's own error"),
        ("EventsWorker", "Still processing items: 2 items remaining...", None),
        ("EventsWorker", "Service 'EventsWorker' failed", "Service 'EventsWorker' failed"),
        ("tasks.stages", "Task run failed with thunder", "Task run failed with thunder"),
    ],
)
def test_an_engine_does_not_tell_the_error_that_the_command_tells(name: str, message: str, shown: str | None) -> None:
    record = logging.LogRecord(name, logging.ERROR, __file__, 1, message, (), None)
    assert is_shown(record) is (shown is not None)
    if shown is not None:
        assert TerminalFormatter().format(record).endswith(f"error: {shown}")


def test_a_workspace_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    Workspace(tmp_path / "new" / "one").require_writable()
    assert list((tmp_path / "new" / "one").iterdir()) == []
    message = f"the workspace {tmp_path}/file/one cannot be written .*--workspace DIR or STARLOOM_WORKSPACE"
    with pytest.raises(WorkspaceError, match=message):
        Workspace(tmp_path / "file" / "one").require_writable()


def test_log_lines_go_to_the_present_stderr_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    before = list(root.handlers)
    try:
        show_on_terminal()
        show_on_terminal()
        [handler] = [handler for handler in root.handlers if isinstance(handler, TerminalHandler)]
        replaced = io.StringIO()
        monkeypatch.setattr(sys, "stderr", replaced)
        handler.emit(logging.LogRecord("starloom", logging.INFO, __file__, 1, "ready", (), None))
        assert replaced.getvalue().endswith("  ready\n")
    finally:
        root.handlers[:] = before


def test_outside_of_a_run_a_stage_logs_like_any_module() -> None:
    assert run_logger().name == "tasks.runtime.run_log"


def test_no_bar_is_drawn_where_stderr_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("collecting", 3) as advance:
        advance(3)
    assert "collecting" not in capsys.readouterr().err


def test_arrow_allocates_from_the_system_when_freed_memory_is_to_be_returned() -> None:
    import pyarrow as pa

    before = pa.default_memory_pool()
    try:
        return_what_is_freed()
        assert pa.default_memory_pool().backend_name == "system"
    finally:
        pa.set_memory_pool(before)
