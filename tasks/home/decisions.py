"""The newest rows of the decision ledger."""

from tasks.decisions.ledger import newest_rows
from tasks.decisions.ledger_rows import LedgerRow
from tasks.home.figures import gate_figures
from tasks.home.file_memory import Found
from tasks.home.status import DecisionStatus
from tasks.runtime.workspace import Workspace

DECISIONS_SHOWN = 10


def read_decisions(workspace: Workspace) -> Found[DecisionStatus]:
    """Return the newest rows, the newest first, and what is wrong with their parts."""
    rows, damage = newest_rows(workspace, DECISIONS_SHOWN)
    return [_status(row) for row in rows], damage


def _status(row: LedgerRow) -> DecisionStatus:
    return DecisionStatus(
        sequence=row.sequence,
        at=row.at,
        night=row.night,
        name=row.name,
        verdict=row.verdict,
        kind=row.kind,
        by=row.by,
        reasons=row.reasons,
        champion_before=row.champion_before,
        champion_after=row.champion_after,
        challenger=row.challenger,
        figures=gate_figures(row.figures),
    )
