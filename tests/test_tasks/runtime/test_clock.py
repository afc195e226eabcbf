"""A wall clock that is set back while jobs run on a local cluster, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.drill.clock import clock_settings, no_compiler

JOBS = """
import sys
import time
from pathlib import Path

from tasks.runtime.cluster import ITEMS_WORTH_A_CLUSTER, ClusterError, cluster


def wait(number: int) -> int:
    time.sleep(0.2)
    return number


if __name__ == "__main__":
    with cluster(ITEMS_WORTH_A_CLUSTER) as executor:
        try:
            for done, _ in enumerate(executor.map(wait, range(1000))):
                if done == 4:
                    Path(sys.argv[1]).touch()
        except ClusterError as error:
            print(error)
"""


@pytest.mark.skipif(no_compiler() is not None, reason=str(no_compiler()))
def test_jobs_are_given_up_with_the_reason(tmp_path: Path) -> None:
    script, flag = tmp_path / "jobs.py", tmp_path / "the-clock-has-jumped"
    script.write_text(JOBS)
    settings = clock_settings(tmp_path, flag) | {"PYTHONPATH": os.pathsep.join(sys.path)}
    settings |= {name: value for name, value in os.environ.items() if not name.startswith("STARLOOM_DASK")}
    ended = subprocess.run(
        [sys.executable, script, flag], env=settings, capture_output=True, text=True, timeout=120, check=True
    )
    assert ended.stdout.startswith("the clock of this machine went back by 86,400 s, and Dask's messages wait")
