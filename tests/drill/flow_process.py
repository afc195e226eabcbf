"""A flow as a process of its own: started, watched until something is seen, killed, and what it leaves.

`python -m tests.drill.flow_process FLOW PARAMETERS` is `starloom run` without a Prefect server of its own: it takes the
one of ``PREFECT_API_URL``, so that the tests share one. The drill itself starts the command.
"""

import atexit
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from flows.cli.flow_catalogue import load_flow
from tasks.runtime.workspace import ENVIRONMENT_NAME, Workspace

SOURCE = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "flows.cli.command")
WITHOUT_SERVER = (sys.executable, "-m", "tests.drill.flow_process")
MARK = "STARLOOM_DRILL"
"""Variable in the environment of every process of a trial."""
PATIENCE_S = 1800.0
_GONE_S = 30.0
_POLL_S = 0.005


class NotReachedError(RuntimeError):
    """The flow ended before the point at which it was to be disturbed."""


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes
    ----------
    code : int
        Exit code; negative: the signal that killed it.
    said : str
        Last line of stderr.
    summary : dict or None
        Last line of stdout.
    seconds : float
    """

    code: int
    said: str
    summary: dict[str, Any] | None
    seconds: float

    @property
    def failure(self) -> str | None:
        """The messages of nights that failed, of which the summary tells; the command ends with 0 then."""
        summary = self.summary or {}
        if summary.get("state") != "failed":
            return None
        entries = [summary, *summary.get("nights", [])]
        return "; ".join(str(entry["message"]) for entry in entries if entry.get("message"))


@dataclass
class FlowProcess:
    """A running command, whose streams go to files."""

    process: subprocess.Popen[bytes]
    logs: Path
    begun: float = field(default_factory=time.monotonic)

    def wait_until(self, seen: Callable[[], bool], what: str) -> None:
        """Return as soon as something is seen.

        Raises
        ------
        NotReachedError
            The command ended before.
        """
        while not seen():
            if self.process.poll() is not None:
                raise NotReachedError(f"ended (exit {self.process.returncode}, {self._last_line()!r}) before {what}")
            if time.monotonic() > self.begun + PATIENCE_S:
                raise TimeoutError(f"no {what} within {PATIENCE_S:.0f} s")
            time.sleep(_POLL_S)

    def kill(self) -> Ended:
        """End it as a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        return self.end()

    def end(self) -> Ended:
        """Wait for its end."""
        try:
            code = self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGKILL)
            raise TimeoutError(f"it still ran after {PATIENCE_S:.0f} s") from None
        lines = (self.logs / "stdout").read_text(errors="replace").strip().splitlines()
        summary = json.loads(lines[-1]) if code == 0 and lines else None
        return Ended(code, self._last_line(), summary, time.monotonic() - self.begun)

    def _last_line(self) -> str:
        lines = (self.logs / "stderr").read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""


@dataclass(frozen=True)
class Launcher:
    """Starts flows in a workspace.

    Attributes
    ----------
    logs : Path
        Folder of the streams, one folder a process.
    with_server : bool
        Run the command, which has its own Prefect server; else the flow with the server of ``PREFECT_API_URL``, and in
        this process where it is not to be disturbed.
    token : str
        Marks the processes of a trial.
    """

    logs: Path
    with_server: bool = True
    token: str = field(default_factory=lambda: uuid.uuid4().hex)

    def start(
        self, workspace: Workspace, flow: str, parameters: Mapping[str, Any], settings: Mapping[str, str] | None = None
    ) -> FlowProcess:
        """Start a flow; `settings` are added to the environment."""
        if self.with_server:
            return self._start([*COMMAND, "run", flow, *parameter_words(parameters)], workspace, settings)
        return self._start([*WITHOUT_SERVER, flow, json.dumps(parameters)], workspace, settings)

    def run(self, workspace: Workspace, flow: str, parameters: Mapping[str, Any]) -> Ended:
        """Run a flow to its end."""
        if self.with_server:
            return self.start(workspace, flow, parameters).end()
        begun = time.monotonic()
        before = os.environ.get(ENVIRONMENT_NAME)
        os.environ[ENVIRONMENT_NAME] = workspace.name
        try:
            summary = load_flow(flow)(**parameters)
        finally:
            os.environ.pop(ENVIRONMENT_NAME)
            os.environ.update({} if before is None else {ENVIRONMENT_NAME: before})
        return Ended(0, "", json.loads(json.dumps(summary)), time.monotonic() - begun)

    def stop_services(self, workspace: Workspace) -> None:
        """End the Prefect server of a workspace."""
        if self.with_server:
            self._start([*COMMAND, "down"], workspace, None).end()

    def left_over(self) -> list[str]:
        """Return the command lines of processes of this trial that do not end by themselves within a while.

        The workspace's Prefect server is none of them: it serves the next command.
        """
        deadline = time.monotonic() + _GONE_S
        while (there := self._living()) and time.monotonic() < deadline:
            time.sleep(0.2)
        return there

    def end_left_over(self) -> None:
        """Kill what is left of this trial, the Prefect server included."""
        for process in self._marked():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def _start(self, words: list[str], workspace: Workspace, settings: Mapping[str, str] | None) -> FlowProcess:
        logs = self.logs / f"{len(list(self.logs.glob('*'))):02d}"
        logs.mkdir(parents=True)
        own = {ENVIRONMENT_NAME: workspace.name, MARK: self.token, "PYTHONPATH": str(SOURCE)}
        inherited = {
            name: value for name, value in os.environ.items() if not (self.with_server and name.startswith("PREFECT_"))
        }
        with (logs / "stdout").open("wb") as output, (logs / "stderr").open("wb") as errors:
            process = subprocess.Popen(
                words,
                env=inherited | own | dict(settings or {}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                cwd=SOURCE,
                start_new_session=True,
            )
        return FlowProcess(process, logs)

    def _marked(self) -> list[psutil.Process]:
        marked = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.environ().get(MARK) == self.token and process.status() != psutil.STATUS_ZOMBIE:
                    marked.append(process)
        return marked

    def _living(self) -> list[str]:
        lines = []
        for process in self._marked():
            with contextlib.suppress(psutil.Error):
                words = process.cmdline()
                if "tasks.server.prefect_server_main" not in words:
                    lines.append(" ".join(words)[:120])
        return lines


def parameter_words(parameters: Mapping[str, Any]) -> list[str]:
    """Return the words ``-p NAME=VALUE`` of the command line."""
    pairs = (f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in parameters.items())
    return [word for pair in pairs for word in ("-p", pair)]


def main() -> None:
    """Run one flow as the command does, on the Prefect server of ``PREFECT_API_URL``."""
    from flows.cli.exit_status import exit_process, run_command
    from tasks.server.process_guard import guard_children

    outcomes: list[Any] = []
    atexit.register(exit_process, outcomes)
    name, parameters = sys.argv[1], json.loads(sys.argv[2])

    def work(_: Any) -> Any:
        with guard_children():
            return load_flow(name)(**parameters)

    outcomes.append(run_command(work, Workspace.current().root / "last-failure.txt"))


if __name__ == "__main__":
    main()
