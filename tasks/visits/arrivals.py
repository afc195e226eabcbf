"""What has arrived in the inbox, found cheaply: by names, sizes and times of the newest nights; no bytes are read."""

from datetime import UTC, datetime
from pathlib import Path

from tasks.inbox.deliveries import list_visits
from tasks.inbox.looks import open_looks
from tasks.inbox.nights import evening, list_nights
from tasks.runtime.workspace import Workspace
from tasks.visits.records import VisitStore

NEWEST_NIGHTS = 2
"""A watcher looks at these only; the polling schedule looks at all."""


def visit_store(workspace: Workspace) -> VisitStore:
    """Return the records of the workspace's visits."""
    return VisitStore(workspace.root / "visits")


def unscored_visits(workspace: Workspace, inbox: Path) -> list[str]:
    """Return the complete visits of the newest nights that are not scored as they are, as NIGHT/VISIT.

    Raises
    ------
    InboxError
        The inbox cannot be read.
    """
    looks, store, found = open_looks(workspace, inbox), visit_store(workspace), list[str]()
    for night in list_nights(inbox, evening(datetime.now(UTC))).nights[-NEWEST_NIGHTS:]:
        complete = [visit for visit in list_visits(night, looks, with_digests=False).visits if visit.complete]
        records = store.read(night.name)
        found += [f"{night.name}/{visit.name}" for visit in complete if not records.is_done(visit)]
    return found
