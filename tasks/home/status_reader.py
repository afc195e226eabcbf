"""Reading the state of a workspace from all its sources."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from tasks.home.datasets import read_datasets
from tasks.home.decisions import read_decisions
from tasks.home.disk import DiskMeter
from tasks.home.file_memory import FileMemory, Found, fault_text
from tasks.home.models import read_models
from tasks.home.nights import read_nights, read_scorings
from tasks.home.queues import AnswerCounts, read_queues
from tasks.home.reports import read_reports
from tasks.home.runs import read_runs
from tasks.home.services import read_services
from tasks.home.status import DiskStatus, Section, ServiceStatus, WorkspaceStatus
from tasks.runtime.workspace import Workspace
from tasks.server.prefect_server import processes_folder
from tasks.server.process_guard import living_processes

RowT = TypeVar("RowT")
BEGIN = "starloom demo"
ABSENT = {
    "nights": ("No night was worked on.", "starloom run nightly-retrain"),
    "scorings": ("No night was scored.", "starloom run score-night -p path=NIGHT"),
    "models": ("No model is registered.", "starloom run train-galaxy -p dataset=NAME"),
    "datasets": ("No dataset was built.", "starloom run build-galaxy-dataset"),
    "decisions": ("Nothing was decided.", "starloom run nightly-retrain"),
    "runs": ("No flow runs, and none is planned.", "starloom up"),
    "queues": ("Nothing waits for labels.", "starloom label -p dataset=NAME"),
    "reports": ("No report was written; builds, trainings and nights write them.", None),
}
"""Why a section is empty, and what makes its first row."""


@dataclass
class StatusReader:
    """Reads the state of a workspace, again and again; what cannot have changed is read once. Threads may share it.

    Attributes
    ----------
    workspace : Workspace
    patience_s : float
        Time that the first reading waits for the sizes on the disk.
    """

    workspace: Workspace
    patience_s: float = 0.0
    _memory: FileMemory = field(default_factory=FileMemory, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        self._answers = AnswerCounts(self.workspace)
        self._disk = DiskMeter(self.workspace, self.patience_s)

    def read(self) -> WorkspaceStatus:
        """Return the state of the workspace."""
        with self._lock:
            return self._read()

    def _read(self) -> WorkspaceStatus:
        workspace, memory = self.workspace, self._memory
        processes: list[dict[str, Any]] = []

        def services() -> Found[ServiceStatus]:
            processes.extend(living_processes(processes_folder(workspace)))
            return read_services(workspace, processes), []

        sections: dict[str, Any] = {
            "services": _section("services", services),
            "nights": _section("nights", lambda: read_nights(workspace, memory)),
            "scorings": _section("scorings", lambda: read_scorings(workspace, memory)),
            "models": _section("models", lambda: (read_models(workspace), [])),
            "datasets": _section("datasets", lambda: read_datasets(workspace, memory)),
            "decisions": _section("decisions", lambda: read_decisions(workspace)),
            "runs": _section("runs", lambda: read_runs(workspace, processes)),
            "queues": _section("queues", lambda: read_queues(workspace, memory, self._answers)),
            "reports": _section("reports", lambda: read_reports(workspace, memory)),
        }
        is_new = not any(sections[name].rows or sections[name].faults for name in ("datasets", "models", "scorings"))
        return WorkspaceStatus(
            workspace=str(workspace.root),
            at=datetime.now(UTC),
            begin=BEGIN if is_new else None,
            disk=self._read_disk(),
            **sections,
        )

    def _read_disk(self) -> DiskStatus:
        try:
            return self._disk.read()
        except OSError as error:
            return DiskStatus(faults=(fault_text("disk", error),))


def _section(name: str, read: Callable[[], tuple[Sequence[RowT], list[str]]]) -> Section[RowT]:
    """Return a section; where nothing can be read it has a fault and no row."""
    try:
        rows, faults = read()
    # The state is shown so that what is wrong can be found: whatever one source raises, the others stand beside it.
    except Exception as error:
        rows, faults = [], [fault_text(name, error)]
    absent, command = ABSENT.get(name, (None, None)) if not rows and not faults else (None, None)
    return Section(rows=tuple(rows), absent=absent, command=command, faults=tuple(faults))
