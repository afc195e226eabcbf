"""The newest pages in the workspace's reports."""

import html
import re
from datetime import UTC, datetime
from pathlib import Path

from tasks.home.file_memory import FileMemory, Found, read_each
from tasks.home.status import ReportStatus
from tasks.runtime.workspace import Workspace

REPORTS_SHOWN = 60
_HEAD_BYTES = 4096
_TITLE = re.compile(r"<title>(.*?)</title>", re.S)


def read_reports(workspace: Workspace, memory: FileMemory) -> Found[ReportStatus]:
    """Return the newest reports, the newest first."""
    files = sorted(workspace.reports.glob("*.html"), key=lambda path: path.stat().st_mtime, reverse=True)
    return read_each(files[:REPORTS_SHOWN], lambda path: memory.read(path, _report), lambda path: f"report {path.name}")


def _report(path: Path) -> ReportStatus:
    with path.open("rb") as stream:
        found = _TITLE.search(stream.read(_HEAD_BYTES).decode("utf-8", "replace"))
    written_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    title = " ".join(html.unescape(found[1]).split()) if found else ""
    return ReportStatus(file=path.name, title=title or path.stem, written_at=written_at)
