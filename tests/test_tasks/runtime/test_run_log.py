"""The logger of a stage does without Prefect where there is none, so that workers start fast."""

import subprocess
import sys
from pathlib import Path

import pytest

WORKER = """
import importlib, sys
importlib.import_module(sys.argv[1])
from tasks.runtime.run_log import run_logger
run_logger().info("from a worker")
sys.exit("prefect" in sys.modules or "tensorflow" in sys.modules)
"""


@pytest.mark.parametrize("module", ["tasks.candidates.building.collect", "tasks.galaxies.building.collect"])
def test_what_workers_run_imports_neither_prefect_nor_tensorflow(module: str) -> None:
    command = [sys.executable, "-c", WORKER, module]
    assert subprocess.run(command, cwd=Path(__file__).parents[3]).returncode == 0
