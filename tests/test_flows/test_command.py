"""The command as a user has it: streams, exit codes, and nothing left running."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from prefect import get_client
from prefect.client.schemas.sorting import FlowRunSort
from pydantic import ValidationError

import flows
from flows.cli.command import execute
from flows.cli.demo_report import classifier_rows, galaxy_rows
from flows.cli.exit_status import describe_error
from tasks.candidates.relabelling.relabel import CandidateRelabelRequest
from tasks.home.status import WorkspaceStatus
from tasks.runtime.workspace import Workspace
from tasks.server.prefect_server import stop_services
from tasks.server.slots import device_slots

MORE_FLOWS = Path(__file__).with_name("more_flows")
STARLOOM = f"import flows; flows.__path__.append({str(MORE_FLOWS)!r}); from flows.cli.command import main; main()"
PATIENCE_S = 240
EVERY_TEN_S = "* * * * * */10"

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Give a function that starts the command, with the flow `pause` among its flows, and kill what it leaves."""
    with contextlib.ExitStack() as stack:

        def start_command(*words: str) -> subprocess.Popen[str]:
            command = stack.enter_context(launch(*words))
            stack.callback(command.kill)
            return command

        yield start_command


def launch(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", STARLOOM, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(command: subprocess.Popen[str]) -> tuple[int, str, list[str]]:
    """Return exit code, stdout and the lines of stderr."""
    output, errors = command.communicate(timeout=PATIENCE_S)
    return command.returncode, output, errors.splitlines()


def wait_for_child(command: subprocess.Popen[str]) -> psutil.Process:
    """Return the child process of the flow `pause` once it runs."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        for child in psutil.Process(command.pid).children():
            if child.name() == "sleep":
                return child
        time.sleep(0.05)
    raise TimeoutError(finish(command))


def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.fixture
def served(prefect_api: str, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """The workspace of the suite's Prefect server, so that commands need not start another."""
    root = Path(os.environ["PREFECT_HOME"]).parent
    monkeypatch.setenv("STARLOOM_WORKSPACE", str(root))
    return Workspace(root)


@pytest.fixture
def with_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flows, "__path__", [*flows.__path__, str(MORE_FLOWS)])


def test_help_is_there_at_once() -> None:
    words = [sys.executable, "-X", "importtime", "-c", STARLOOM, "--help"]
    told = subprocess.run(words, check=True, capture_output=True, text=True).stderr
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in told.splitlines() if "|" in line}
    assert {"argparse", "flows"} <= imported
    assert not imported & {"prefect", "pydantic", "numpy", "pyarrow", "mlflow", "tensorflow", "dask"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "paus"], "unknown flow 'paus'; there are: accept, backfill-class-scheme, build-galaxy-dataset"),
        (["run", "paus"], "verify. Did you mean pause?"),
        (["run", "pause", "-p", "txt=a"], "seconds, failure. Did you mean text?"),
        (["run", "pause", "-p", "txt=a"], "unknown parameter 'txt'; there are: text, number, seconds, failure"),
        (["run", "pause", "-p", "text"], "expected name=value"),
        (["run"], "run which flow?"),
    ],
)
def test_wrong_use_says_what_there_is_and_starts_nothing(
    with_pause: None, workspace: Workspace, words: list[str], message: str
) -> None:
    outcome = execute(words)
    assert outcome.code == 2
    assert message in str(outcome.error)
    assert not workspace.root.exists()


@pytest.mark.parametrize("words", [["--workspace", "{}", "down"], ["down", "--workspace", "{}"]])
def test_the_workspace_is_named_before_or_after_the_command(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STARLOOM_WORKSPACE", "elsewhere")
    assert execute([word.format(tmp_path / "here") for word in words]).code == 0
    assert os.environ["STARLOOM_WORKSPACE"] == str(tmp_path / "here")
    assert json.loads(capfd.readouterr().out) == {"ended": []}


def test_the_help_of_a_flow_names_its_parameters(with_pause: None, capfd: pytest.CaptureFixture[str]) -> None:
    assert execute(["run", "pause", "--help"]).code == 0
    text = capfd.readouterr().out
    assert "number: whole number; default 0" in text
    assert "Any words" in text


def test_a_killed_run_leaves_no_child_and_is_marked_crashed_by_the_next(served: Workspace, start: Start) -> None:
    killed = start("run", "pause", "-p", "seconds=600")
    child = wait_for_child(killed)
    killed.kill()
    assert finish(killed)[1] == ""
    code, output, errors = finish(start("run", "pause", "-p", "text=007", "-p", "number=4"))
    assert (code, json.loads(output)) == (0, {"text": "007", "number": 5})
    assert output.count("\n") == 1
    assert {"printed by a stage", "printed by a child", "pause:", "number  5"} <= set(errors)
    assert len([line for line in errors if "View at" in line]) == 1
    assert gone(child)
    with get_client(sync_client=True) as client:
        states = [
            (run.name, run.state_name)
            for run in client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC)
            if run.parameters.get("seconds") == 600
        ]
    assert states == [("0", "Crashed")]


def test_a_failed_run_says_why_in_its_last_line(served: Workspace, start: Start) -> None:
    code, output, errors = finish(start("run", "pause", "--quiet", "-p", "failure=no sky tonight"))
    assert (code, output) == (1, "")
    assert not any("View at" in line for line in errors)
    assert errors[-1] == "error: no sky tonight"
    assert not any(line.startswith("Traceback") for line in errors)
    assert "no sky tonight" in (served.prefect / "last-failure.txt").read_text()


def test_a_run_that_is_told_to_end_ends_its_children(served: Workspace, start: Start) -> None:
    command = start("run", "pause", "-p", "seconds=600")
    child = wait_for_child(command)
    command.send_signal(signal.SIGINT)
    code, output, errors = finish(command)
    assert (code, output, errors[-1]) == (130, "", "error: interrupted")
    assert gone(child)


def test_messages_name_the_type_where_the_text_says_little() -> None:
    assert describe_error(ValueError("no such\ncolumn")) == "no such column"
    assert describe_error(KeyError("ra")) == "KeyError: 'ra'"
    assert describe_error(FileNotFoundError(2, "No such file", "a.csv")) == "[Errno 2] No such file: 'a.csv'"
    assert describe_error(AssertionError()) == "AssertionError"


def test_refused_settings_are_told_by_name_and_value() -> None:
    asked: list[tuple[dict[str, Any], str]] = [
        ({"suspect_threshold": 0.4}, "suspect_threshold=0.4: input should be greater than 0.5"),
        ({"handling": "remove", "loss_lds": 1}, "handling=remove with loss_lds=1.0: a removed candidate takes part"),
    ]
    for settings, words in asked:
        with pytest.raises(ValidationError) as caught:
            CandidateRelabelRequest(dataset="made", **settings)
        assert describe_error(caught.value).startswith(words)


def test_the_demo_table_has_counts_interval_and_addresses(workspace: Workspace) -> None:
    summary = {
        "build": {
            "dataset": "demo",
            "version": 1,
            "path": "datasets/demo/versions/000001",
            "objects": 1000,
            "stored": 900,
            "rejected": {"scheme:votes": 100},
            "classes": {"smooth": 600, "spiral": 300},
            "split": {"train": 720, "validation": 90, "test": 90},
        },
        "train": {
            "model_uri": "models:/galaxy-deck-3/1",
            "test": {"accuracy": 0.9, "accuracy_low": 0.82, "accuracy_high": 0.95},
        },
        "evaluate": {"count": 90, "report": "reports/a.html"},
    }
    table = dict(galaxy_rows(summary, workspace))
    assert table["galaxies"] == "1000 requested, 900 stored, rejected: scheme:votes 100"
    assert "0.900 (95 %: 0.820 to 0.950) on 90 simulated galaxies" in table["test accuracy"]
    assert "predicting 'smooth' for all gives 0.667" in table["test accuracy"]
    assert table["report"] == "reports/a.html"
    assert workspace.mlflow_uri in table["MLflow"]


def test_the_demo_table_of_the_classifier_tells_rates_and_why_one_model_judges_all() -> None:
    test = {"auc": 0.99, "auc_low": 0.98, "auc_high": 0.995, "real": 43, "bogus": 67}
    test |= {"fpr_at_tpr90": 0.03, "fpr_at_tpr90_low": 0.0, "fpr_at_tpr90_high": 0.07}
    cascade: dict[str, Any] = {"first": None, "why": "35 reals tell too little"}
    summaries: dict[str, Any] = {
        "train": {"test": test, "model_uri": "models:/realbogus/1", "report": "reports/a.html"},
        "first": {"model_uri": "models:/realbogus-first/1"},
        "night": {"count": 20000, "reals": 205},
        "score": {
            **{"operations": {"detections": {"before": 20000, "after": 400}}, "cascade": cascade},
            **{"seconds": 9.6, "path": "scores/a.parquet", "report": "reports/night.html"},
        },
    }
    table = dict(classifier_rows(summaries))
    assert (
        "AUC 0.990 (95 %: 0.980 to 0.995), FPR 3.0% at TPR 90 % (0.0% to 7.0%); 43 reals and 67 bogus" in table["test"]
    )
    assert table["night"].endswith("scored in 10 s: 20000 before the classifier, 400 after")
    assert table["first model"] == "35 reals tell too little"
    cascade |= {"first": "realbogus-first/1", "discarded": 17000}
    assert dict(classifier_rows(summaries))["first model"] == "realbogus-first/1 discarded 17000"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of one flow, whose Prefect address is a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pause.py").write_text((MORE_FLOWS / "pause.py").read_text())
    (folder / "pyproject.toml").write_text(
        f'[tool.prefect.api]\nurl = "http://127.0.0.1:{port}/api"\n[tool.prefect.plugins]\nenabled = true\n'
    )
    (folder / "prefect.yaml").write_text(
        "name: one\ndeployments:\n"
        "  - name: pause\n    entrypoint: pause:pause\n    work_pool: {name: local}\n"
        "    schedules:\n"
        "      - {slug: daily, cron: '0 16 * * *', timezone: Asia/Tokyo, parameters: {text: a night}}\n"
        f"      - {{slug: soon, cron: '{EVERY_TEN_S}', timezone: Asia/Tokyo, parameters: {{text: soon}}}}\n"
    )
    return folder


@pytest.fixture
def clean_environment(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave the suite's Prefect server out of the environment, as a user's shell has it."""
    for name in ("PREFECT_API_URL", "PREFECT_HOME"):
        monkeypatch.delenv(name, raising=False)
    yield
    stop_services(workspace)


def require_schedules_and_limit(url: str) -> None:
    """The API shows the active schedules, their next runs with their parameters, and the processor's one slot."""
    with httpx.Client(base_url=f"{url}/api", timeout=60) as client:
        (deployment,) = client.post("/deployments/filter", json={}).json()
        schedules = {(schedule["slug"], schedule["active"]) for schedule in deployment["schedules"]}
        assert schedules == {("daily", True), ("soon", True)}
        waiting = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
        runs = client.post("/flow_runs/filter", json=waiting).json()
        daily = [run["expected_start_time"] for run in runs if run["parameters"]["text"] == "a night"]
        assert {datetime.fromisoformat(time).astimezone(UTC).hour for time in daily} == {7}
        limit = client.get(f"/v2/concurrency_limits/{device_slots('cpu', 1)[0]}").json()
        assert (limit["limit"], limit["active_slots"]) == (1, 0)


def require_home_page(addresses: dict[str, str]) -> None:
    """The home page names the services, the runs that ended and those that come."""
    status = WorkspaceStatus(**httpx.get(f"{addresses['home']}/status.json", timeout=60).json())
    assert {row.name: row.address for row in status.services.rows} == addresses
    assert status.runs.faults == ()
    groups = {row.group for row in status.runs.rows if row.flow == "pause"}
    assert {"scheduled", "ended"} <= groups
    assert all(row.address and row.address.startswith(addresses["prefect"]) for row in status.runs.rows)
    assert "Flow runs" in httpx.get(addresses["home"], timeout=60).text


def wait_for_a_scheduled_run(url: str) -> dict[str, Any]:
    """Return a finished run that nobody but a schedule asked for."""
    finished = {"flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}
    deadline = time.monotonic() + PATIENCE_S
    with httpx.Client(base_url=f"{url}/api", timeout=60) as client:
        while time.monotonic() < deadline:
            for run in client.post("/flow_runs/filter", json=finished).json():
                if run["auto_scheduled"]:
                    return dict(run)
            time.sleep(0.5)
    raise TimeoutError("no scheduled run has finished")


def test_up_runs_a_deployment_by_its_bare_name_and_on_a_schedule_and_down_ends_it(
    project: Path, workspace: Workspace, clean_environment: None, monkeypatch: pytest.MonkeyPatch, start: Start
) -> None:
    monkeypatch.chdir(project)
    command = start("up")
    assert command.stdout is not None
    addresses = json.loads(command.stdout.readline() or "{}")
    assert addresses, finish(command)
    assert addresses["prefect"] in (project / "pyproject.toml").read_text()
    assert next(iter(addresses)) == "home"
    prefect = [sys.executable, "-m", "prefect", "deployment", "run", "--watch", "pause"]
    ran = subprocess.run(prefect, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert wait_for_a_scheduled_run(addresses["prefect"])["parameters"]["text"] == "soon"
    require_schedules_and_limit(addresses["prefect"])
    require_home_page(addresses)
    children = psutil.Process(command.pid).children(recursive=True)
    assert stop_services(workspace)[0] == command.pid
    code, _, errors = finish(command)
    assert code == 130
    assert errors[0] == f"home page: {addresses['home']} (the other services are starting)"
    assert "  0 16 * * * (Asia/Tokyo): pause" in errors
    assert all(gone(child) for child in children)
    assert not (workspace.prefect / "server.json").exists()
    assert stop_services(workspace) == []


def test_a_read_only_workspace_is_one_line_and_its_traceback_lies_elsewhere(
    with_pause: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("STARLOOM_WORKSPACE", str(tmp_path / "file" / "workspace"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    outcome = execute(["run", "pause"])
    assert outcome.code == 1
    assert str(outcome.error).startswith(f"the workspace {tmp_path}/file/workspace cannot be written")
    lines = capfd.readouterr().err.splitlines()
    (kept,) = tmp_path.glob("starloom-*-last-failure.txt")
    assert lines == [f"traceback: {kept}"]
    assert "WorkspaceError" in kept.read_text()
