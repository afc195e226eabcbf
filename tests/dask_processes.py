"""A Dask cluster outside this process: a scheduler and workers that the test starts and ends."""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PATIENCE_S = 240


@dataclass(frozen=True)
class OutsideCluster:
    """The address of a scheduler, its process, and those of its workers."""

    address: str
    scheduler: subprocess.Popen[bytes]
    workers: list[subprocess.Popen[bytes]]


@contextlib.contextmanager
def outside_cluster(folder: Path, workers: int, hidden: str = "no_module") -> Iterator[OutsideCluster]:
    """Run a scheduler and that many workers, each a process with one thread, which cannot import `hidden`."""
    file = folder / "scheduler.json"
    with contextlib.ExitStack() as stack:

        def start(what: str, *words: str) -> subprocess.Popen[bytes]:
            begin = f"import sys; sys.modules[{hidden!r}] = None; from distributed.cli.dask_{what} import main; main()"
            command = [sys.executable, "-c", begin, "--no-dashboard", *words]
            process = stack.enter_context(subprocess.Popen(command, stderr=subprocess.DEVNULL))
            stack.callback(process.kill)
            return process

        scheduler = start("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file))
        address = _address(file)
        started = [start("worker", address, "--nthreads", "1", "--no-nanny") for _ in range(workers)]
        yield OutsideCluster(address, scheduler, started)


def _address(file: Path) -> str:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
            return str(json.loads(file.read_text())["address"])
        time.sleep(0.05)
    raise TimeoutError(f"no scheduler wrote {file}")
