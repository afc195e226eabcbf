"""Stages of decisions: a person's, the page of all, the artifact on a run's page."""

import time
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.decisions.aliases import Telling, champion_of, record_outside_moves
from tasks.decisions.by_hand import accept_night, promote_by_hand, roll_back
from tasks.decisions.decisions_page import COLUMNS, decisions_page, table_rows, write_decisions_page
from tasks.decisions.ledger import read_ledger
from tasks.decisions.ledger_rows import LedgerRow
from tasks.inbox.nights import TIMEZONE
from tasks.runtime.run_artifacts import put_table
from tasks.runtime.run_log import run_logger
from tasks.runtime.workspace import Workspace
from tasks.tracking.model_registry import registered_names, require_name


@task(name="promote", description="Make a registered model the champion", cache_policy=NO_CACHE)
def promote_model(workspace: Workspace, name: str, model: str, reason: str, by: str | None) -> dict[str, Any]:
    """Promote a model and return the summary."""
    row = promote_by_hand(workspace, name, model, reason, by, datetime.now(UTC), _page(workspace))
    return _summary(workspace, row)


@task(name="rollback", description="Make an earlier model the champion again", cache_policy=NO_CACHE)
def roll_back_model(workspace: Workspace, name: str, model: str | None, reason: str, by: str | None) -> dict[str, Any]:
    """Roll back and return the summary."""
    row = roll_back(workspace, name, model, reason, by, datetime.now(UTC), _page(workspace))
    return _summary(workspace, row)


@task(name="accept", description="Accept a night that was set aside", cache_policy=NO_CACHE)
def accept(workspace: Workspace, name: str, night: str, reason: str, by: str | None) -> dict[str, Any]:
    """Accept a night and return the summary."""
    today = datetime.now(ZoneInfo(TIMEZONE)).date()
    row = accept_night(workspace, name, night, reason, by, datetime.now(UTC), today, _page(workspace))
    if not any(other.night == night and other.kind != "accept" for other in read_ledger(workspace, name).decisions):
        run_logger().warning(
            "the ledger has no other decision on %s of night %s: is it the night you mean?", name, night
        )
    return {"night": night, **_summary(workspace, row)}


@task(name="show-decisions", description="Compare the aliases with the ledger, write its page", cache_policy=NO_CACHE)
def show_ledger(workspace: Workspace, name: str | None, last: int) -> dict[str, Any]:
    """Record aliases that were moved outside, write the page, show the newest `last` rows; return the summary.

    Raises
    ------
    UnknownModelError
        No model has the name.
    """
    started = time.monotonic()
    if name is not None:
        require_name(workspace, name)
    names = registered_names(workspace) if name is None else [name]
    recorded = [row for each in names for row in record_outside_moves(workspace, each)]
    ledger = read_ledger(workspace, name)
    newest = ledger.decisions[len(ledger.decisions) - min(last, len(ledger.decisions)) :]
    put_table("decisions", ("model", *COLUMNS), _artifact_rows(newest))
    return {
        "rows": len(ledger.decisions),
        "champions": {each: champion_of(workspace, each) for each in names},
        "recorded": [row.sequence for row in recorded],
        "decisions": [_as_json(row) for row in reversed(newest)],
        "report": str(write_decisions_page(workspace)),
        "faults": ledger.faults,
        "seconds": round(time.monotonic() - started, 1),
    }


def _page(workspace: Workspace) -> Telling:
    """Return what writes the page of all decisions."""
    return lambda _: write_decisions_page(workspace)


def _summary(workspace: Workspace, row: LedgerRow) -> dict[str, Any]:
    put_table("decisions", ("model", *COLUMNS), _artifact_rows([row]))
    return {
        "name": row.name,
        "verdict": row.verdict,
        "champion_before": row.champion_before,
        "champion_after": row.champion_after,
        "reason": row.reasons[0],
        "reasons": list(row.reasons),
        "by": row.by,
        "sequence": row.sequence,
        "row_sha256": row.row_sha256,
        "report": str(decisions_page(workspace)),
        "faults": read_ledger(workspace).faults,
    }


def _artifact_rows(rows: list[LedgerRow]) -> list[list[Any]]:
    return [[row.name, *cells] for row, cells in zip(reversed(rows), table_rows(rows), strict=True)]


def _as_json(row: LedgerRow) -> dict[str, Any]:
    return {
        "sequence": row.sequence,
        "at": row.at.isoformat(),
        "night": row.night,
        "name": row.name,
        "kind": row.kind,
        "verdict": row.verdict,
        "by": row.by,
        "champion_before": row.champion_before,
        "champion_after": row.champion_after,
        "challenger": row.challenger,
        "reasons": list(row.reasons),
        "row_sha256": row.row_sha256,
    }
