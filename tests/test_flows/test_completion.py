"""Completion: a shell gets the words that fit. `test_flow_parameters.py` compares its table with the flows."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.cli.command import execute
from flows.cli.completion import SCRIPTS, join_at_equals
from flows.cli.flow_catalogue import flow_names
from tasks.runtime.workspace import Workspace

IMPORTED_LATE = {"prefect", "pydantic", "numpy", "pyarrow", "mlflow", "tensorflow", "dask", "rich"}


@pytest.fixture
def with_dataset(workspace: Workspace) -> Workspace:
    """A workspace with one published dataset and one that is not finished."""
    for name in ("sky", "unfinished"):
        (workspace.datasets / name / "staging").mkdir(parents=True)
    (workspace.datasets / "sky" / "CURRENT").write_text("1")
    return workspace


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["ver"], ["verify"]),
        (["run", "train-"], ["train-galaxy", "train-realbogus"]),
        (["run", "train-galaxy", ""], ["-p"]),
        (["run", "train-galaxy", "--q"], ["--quiet"]),
        (["run", "train-galaxy", "-p", "de"], ["device="]),
        (["run", "train-galaxy", "-p", "device="], ["device=auto", "device=cpu", "device=gpu"]),
        (["run", "train-galaxy", "-p", "device", "=", "g"], ["device=gpu"]),
        (["run", "-p", "seed=1", "train-galaxy", "-p", "gr"], ["grey="]),
        (["run", "train-galaxy", "-p", "dataset="], ["dataset=sky"]),
        (["run", "train-galaxy", "-p", "scheme=deck-1"], ["scheme=deck-11"]),
        (["run", "no-such-flow", "-p", ""], []),
        (["label", "-p", "source=e"], ["source=entropy"]),
        (["verify", ""], ["sky"]),
        (["up", "--train-"], ["--train-on"]),
        (["completion", "z"], ["zsh"]),
        (["run", "verify", "--workspace", ""], []),
        (["--workspace", ""], []),
    ],
)
def test_a_word_becomes_what_the_command_takes_there(
    with_dataset: Workspace, words: list[str], expected: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["complete", "--", *words]).code == 0
    assert capsys.readouterr().out.split() == expected


def test_every_flow_and_subcommand_is_offered(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    execute(["complete", "--", "run", ""])
    assert capsys.readouterr().out.split() == flow_names()
    execute(["complete", "--", ""])
    offered = capsys.readouterr().out.split()
    assert {"run", "doctor", "verify", "--workspace"} <= set(offered)


def test_datasets_are_those_of_the_named_workspace(
    with_dataset: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    execute(["complete", "--", "--workspace", str(tmp_path / "other"), "verify", ""])
    assert capsys.readouterr().out == ""


def test_words_that_bash_parted_are_joined() -> None:
    assert join_at_equals(["-p", "a", "=", "b", "-p", "c", "="]) == ["-p", "a=b", "-p", "c="]
    assert join_at_equals(["-p", "a=b", ""]) == ["-p", "a=b", ""]


BASH = """\
starloom() { "$PYTHON" -X importtime -m flows.cli.command "$@" 2>> "$IMPORTS"; }
source <(starloom completion bash)
complete -p starloom
ask() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _starloom 2> /dev/null; echo "${COMPREPLY[*]}"; }
ask starloom run train-g
ask starloom run train-galaxy -p network = c
ask starloom run train-galaxy -p network =
COMP_WORDBREAKS=${COMP_WORDBREAKS//=}
ask starloom run train-galaxy -p network=c
"""


def test_bash_completes_with_the_printed_script_and_imports_nothing_heavy(workspace: Workspace, tmp_path: Path) -> None:
    imports = tmp_path / "imports"
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    environment = buffered | {"PYTHON": sys.executable, "IMPORTS": str(imports)}
    root = Path(__file__).parents[2]
    ran = subprocess.run(["bash", "-c", BASH], cwd=root, env=environment, check=True, capture_output=True, text=True)
    registered, flow, after_equals, at_equals, whole = ran.stdout.splitlines()
    assert registered.endswith("-F _starloom starloom")
    assert (flow, after_equals, whole) == ("train-galaxy", "cnn", "network=cnn")
    assert at_equals.split()[:2] == ["cnn", "xception"]
    lines = imports.read_text().splitlines()
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in lines if "|" in line}
    assert {"argparse", "flows"} <= imported
    assert not imported & IMPORTED_LATE


def test_every_script_asks_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    for shell, script in SCRIPTS.items():
        assert execute(["completion", shell]).code == 0
        assert capsys.readouterr().out == script
        assert "starloom complete -- " in script
