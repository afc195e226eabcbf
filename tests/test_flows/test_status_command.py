"""`starloom status`: text for people, JSON for programs, and nothing is made."""

import json
import subprocess
import sys

import pytest

from flows.cli.command import execute
from tasks.home.status import WorkspaceStatus
from tasks.runtime.workspace import Workspace


@pytest.mark.parametrize("words", [["status"], ["status", "--json"]])
def test_it_says_the_same_as_text_and_as_json(
    words: list[str], workspace: Workspace, capfd: pytest.CaptureFixture[str]
) -> None:
    assert execute(words).code == 0
    told = capfd.readouterr()
    assert told.out.count("\n") == 1
    status = WorkspaceStatus(**json.loads(told.out))
    assert status.begin == "starloom demo"
    assert ("Begin with: starloom demo" in told.err) == ("--json" not in words)
    assert ("--json" not in words) == bool(told.err)
    assert not workspace.root.exists()


def test_it_imports_neither_mlflow_nor_prefect_nor_a_plotting_library(workspace: Workspace) -> None:
    code = "import sys; from flows.cli.command import execute; execute(['status', '--json']); print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    imported = set(ran.stdout.splitlines()[-1].split())
    assert "tasks.home.status_reader" in imported
    assert not imported & {"mlflow", "prefect", "matplotlib", "tensorflow", "scipy", "pandas"}
