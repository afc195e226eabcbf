"""What the command adds: `starloom run` against the same flow function in Python, and how soon help is there.

Seconds depend on the machine; the ratios are to what Python itself takes there: to start, and to import the flow.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tasks.runtime.workspace import ENVIRONMENT_NAME
from tests.benchmarks.scene import COMMAND, command, flow_words, write_csv, write_pictures

PICTURES = 100
IMPORTED = "import flows.build_galaxy_dataset"
IN_PYTHON = """
import json, sys, time
from tasks.server.prefect_server import prefect_server
from tasks.runtime.workspace import Workspace
prefect_server(Workspace.current())
from flows.build_galaxy_dataset import build_galaxy_dataset
begin = time.perf_counter()
build_galaxy_dataset(**json.loads(sys.argv[1]))
print(time.perf_counter() - begin)
"""


def run(repeats: int = 3) -> dict[str, float]:
    """Return medians in seconds: help, a flow in Python, and what the command adds with and without a server."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [(f"{number:04d}", ("elliptical", "clockwise")[number % 2]) for number in range(PICTURES)]
        write_pictures(folder / "images", [identifier for identifier, _ in rows], 64)
        labels = write_csv(folder / "labels.csv", ("OBJID", "gz1_majority"), rows)
        workspace = folder / "workspace"
        cold, warm, function = [], [], []
        try:
            for turn in range(repeats):
                parameters = _parameters(labels, folder / "images")
                cold.append(_timed_command(workspace, parameters | {"dataset": f"cold{turn}"}))
                warm.append(_timed_command(workspace, parameters | {"dataset": f"warm{turn}"}))
                function.append(_timed_function(workspace, parameters | {"dataset": f"python{turn}"}))
                command(workspace, "down")
        finally:
            command(workspace, "down")
    in_python = statistics.median(function)
    turns = [(_timed([*COMMAND, "--help"]), _timed([sys.executable, "-c", ""])) for _ in range(repeats + 2)]
    imported = statistics.median(_timed([sys.executable, "-c", IMPORTED]) for _ in range(repeats))
    adds, adds_cold = (statistics.median(seconds) - in_python for seconds in (warm, cold))
    return {
        "help_s": statistics.median(help_s for help_s, _ in turns),
        "help_of_python": statistics.median(help_s / python_s for help_s, python_s in turns),
        "flow_in_python_s": in_python,
        "import_s": imported,
        "command_adds_s": adds,
        "command_adds_of_import": adds / imported,
        "command_and_server_add_s": adds_cold,
        "command_and_server_add_of_import": adds_cold / imported,
    }


def _parameters(labels: Path, images: Path) -> dict[str, str | int]:
    return {
        "source": "archive",
        "catalog": str(labels),
        "images": str(images),
        "scheme": "gz1-majority-2class",
        "size_px": 32,
    }


def _timed_command(workspace: Path, parameters: dict[str, str | int]) -> float:
    begin = time.perf_counter()
    command(workspace, *flow_words("build-galaxy-dataset", **parameters))
    return time.perf_counter() - begin


def _timed_function(workspace: Path, parameters: dict[str, str | int]) -> float:
    """Time the flow function where it is imported already, on the workspace's server as it runs."""
    words = [sys.executable, "-c", IN_PYTHON, json.dumps(parameters)]
    environment = os.environ | {ENVIRONMENT_NAME: str(workspace)}
    answer = subprocess.run(words, check=True, capture_output=True, text=True, env=environment)
    return float(answer.stdout.strip().splitlines()[-1])


def _timed(words: list[str]) -> float:
    begin = time.perf_counter()
    subprocess.run(words, check=True, capture_output=True)
    return time.perf_counter() - begin
