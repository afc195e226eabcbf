"""Candidates that come more than once, in builds and in nights: what is said of them, and the error where they differ.

Where they are found: `tasks.candidates.building.repetitions`, `tasks.night.repetitions`.
"""

from collections.abc import Callable, Sequence

from realbogus.records import SourceError
from tasks.runtime.run_log import run_logger

PlaceOf = Callable[[str, Sequence[int]], list[str]]
"""Takes an id and the numbers of two batches or blocks that hold it; returns where it stands, such as two files."""

MAX_LOGGED = 20


def different_error(sample_id: str, what: str, places: Sequence[str]) -> SourceError:
    """Return the error for two candidates of one id that differ in `what`, such as ``pixels``."""
    return SourceError(
        f"id {sample_id} comes twice with different {what}, in {' and '.join(places)}: remove one of them, or give "
        "them ids of their own"
    )


def log_repeated(ids: Sequence[str], consequence: str) -> None:
    """Log the ids of repeated candidates, one for each row left out, and what becomes of them, such as `count once`."""
    if not ids:
        return
    shown = ", ".join(ids[:MAX_LOGGED])
    more = f" and {len(ids) - MAX_LOGGED:,} more" if len(ids) > MAX_LOGGED else ""
    run_logger().warning(
        "%d candidates come again with the same pixels and %s: %s%s", len(ids), consequence, shown, more
    )
