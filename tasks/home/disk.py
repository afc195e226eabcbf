"""Sizes of the workspace's folders. Walking through millions of files takes minutes, so it is done beside the rest."""

import shutil
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tasks.home.status import DiskStatus, FolderSize
from tasks.housekeeping.disk import measure
from tasks.runtime.workspace import Workspace

AGAIN_S = 60.0
"""Least time from one measurement to the next."""
MOST_SHARE = 0.05
"""Of the time may be spent on measuring: a long measurement is followed by a longer pause."""


@dataclass
class DiskMeter:
    """Measures folder by folder in a thread of its own, and tells what is known."""

    workspace: Workspace
    patience_s: float
    """Time that the first reading waits for a measurement."""
    _sizes: dict[str, int] = field(default_factory=dict, repr=False)
    _measured_at: datetime | None = None
    _next_s: float = float("-inf")
    _thread: threading.Thread | None = None

    def read(self) -> DiskStatus:
        """Return the newest sizes, and begin to measure again if they are old."""
        if self._thread is None or not self._thread.is_alive():
            if time.monotonic() >= self._next_s:
                self._thread = threading.Thread(target=self._measure, daemon=True)
                self._thread.start()
            if self._measured_at is None and self._thread is not None:
                self._thread.join(self.patience_s)
        rows = [FolderSize(name=name, size=size) for name, size in self._sizes.copy().items() if size]
        root = self.workspace.root
        return DiskStatus(
            rows=tuple(sorted(rows, key=lambda row: -row.size)),
            free=shutil.disk_usage(root).free if root.is_dir() else None,
            measured_at=self._measured_at,
        )

    def _measure(self) -> None:
        began, sizes = time.monotonic(), {}
        for path in sorted(self.workspace.root.glob("*")):
            sizes[path.name], _ = measure([path])
            if self._measured_at is None:
                self._sizes = sizes.copy()
        self._sizes, self._measured_at = sizes, datetime.now(UTC)
        now = time.monotonic()
        self._next_s = now + max(AGAIN_S, (now - began) / MOST_SHARE)
