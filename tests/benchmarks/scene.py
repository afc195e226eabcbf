"""What benchmarks are made of: generated pictures and tables, the stand-in service, the command, a watched process."""

import contextlib
import csv
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import psutil
from PIL import Image

COMMAND = (sys.executable, "-m", "flows.cli.command")
POLL_S = 0.2


def write_pictures(folder: Path, names: Sequence[str], size_px: int, seed: int = 0) -> None:
    """Write a JPEG a name: soft coloured blobs, each different, none blank."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for name in names:
        coarse = Image.fromarray(rng.integers(10, 240, (8, 8, 3), np.uint8))
        memory = io.BytesIO()
        coarse.resize((size_px, size_px), Image.Resampling.BICUBIC).save(memory, "JPEG", quality=85)
        (folder / f"{name}.jpg").write_bytes(memory.getvalue())


def write_csv(path: Path, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Path:
    """Write a table and return its path."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(rows)
    return path


def write_sky(folder: Path, count: int, size_px: int) -> tuple[Path, Path]:
    """Write pictures on a grid of positions 2 arcmin apart; return their folder and the table of positions."""
    names = [f"sky{number:06d}" for number in range(count)]
    write_pictures(folder / "images", names, size_px)
    rows = [(f"{name}.jpg", 10 + number % 200 / 30, number // 200 / 30 - 5) for number, name in enumerate(names)]
    return folder / "images", write_csv(folder / "positions.csv", ("file", "ra_deg", "dec_deg"), rows)


@contextlib.contextmanager
def serve_sky(images: Path, positions: Path, *, latency_ms: int, fail_rate: float = 0.0) -> Iterator[str]:
    """Run `starloom serve-sky` as a process of its own and give its address."""
    words = ["--port", "0", "--latency-ms", str(latency_ms), "--fail-rate", str(fail_rate)]
    words += ["--images", str(images), "--positions", str(positions)]
    with subprocess.Popen([*COMMAND, "serve-sky", *words], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield json.loads(server.stdout.readline())["url"]
        finally:
            server.send_signal(signal.SIGINT)


def stats(url: str) -> dict[str, Any]:
    """Return the counts of the stand-in service."""
    with urllib.request.urlopen(f"{url}/stats") as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def start(workspace: Path, *words: str) -> subprocess.Popen[str]:
    """Start the command in a workspace; its stderr goes to a file there."""
    workspace.mkdir(parents=True, exist_ok=True)
    with (workspace / "command.log").open("a") as log:
        return subprocess.Popen(
            [*COMMAND, "--workspace", str(workspace), *words], stdout=subprocess.PIPE, stderr=log, text=True
        )


def command(workspace: Path, *words: str) -> dict[str, Any]:
    """Run the command in a workspace and return its summary."""
    return finish(start(workspace, *words), workspace)


def finish(process: subprocess.Popen[str], workspace: Path) -> dict[str, Any]:
    """Wait for a command and return its summary.

    Raises
    ------
    RuntimeError
        It failed; the message is its last line.
    """
    output, _ = process.communicate()
    if process.returncode:
        last = (workspace / "command.log").read_text().strip().rsplit("\n", 1)[-1]
        words = [str(word) for word in cast(Sequence[object], process.args)]
        raise RuntimeError(f"{' '.join(words[2:])}: {last}")
    summary: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
    return summary


def flow_words(flow: str, **parameters: Any) -> list[str]:
    """Return the words of `starloom run FLOW -p NAME=VALUE ...`."""
    pairs = [
        f"{name}={value if isinstance(value, str | Path) else json.dumps(value)}" for name, value in parameters.items()
    ]
    return ["run", flow, *(word for pair in pairs for word in ("-p", pair))]


class PeakMemory:
    """Watches a process and its descendants; ``peak_mb`` is the largest sum seen of their proportional memory.

    Pages that processes share count once. Pages of files that are mapped are left out: the system takes
    those back when it needs them, so they grow with the files and not with what a program asks for. Processes of
    another session are left out too: the workspace's server serves any command.
    """

    def __init__(self, pid: int) -> None:
        self.peak_mb = 0.0
        self._root = psutil.Process(pid)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> float:
        """Stop watching and return the peak in MB."""
        self._done.set()
        self._thread.join()
        return self.peak_mb

    def _watch(self) -> None:
        while not self._done.wait(POLL_S):
            with contextlib.suppress(psutil.NoSuchProcess):
                family = [self._root, *self._root.children(recursive=True)]
                self.peak_mb = max(self.peak_mb, sum(_anonymous_mb(process.pid) for process in family))


def _anonymous_mb(pid: int) -> float:
    try:
        if os.getsid(pid) != os.getsid(0):
            return 0.0
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:  # it ended
        return 0.0
    kilobytes = {line.split(":")[0]: float(line.split()[1]) for line in text.splitlines()[1:]}
    return (kilobytes["Pss_Anon"] + kilobytes["Pss_Shmem"]) / 1024


def kill(process: subprocess.Popen[str]) -> None:
    """End a process as a power cut would."""
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()


def wait_until(condition: Any, timeout_s: float = 120) -> None:
    """Wait for a condition, failing after a while."""
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"nothing happened for {timeout_s} s")
        time.sleep(0.05)
