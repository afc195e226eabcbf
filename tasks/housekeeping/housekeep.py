"""A housekeeping: survey, plan, removal, page, summary."""

import time
from collections import Counter
from typing import Any

from tasks.housekeeping.disk import measure, trash_folders
from tasks.housekeeping.file_items import OWN_PAGE
from tasks.housekeeping.page import Account, housekeeping_page
from tasks.housekeeping.references import Item, plan_removal
from tasks.housekeeping.removal import Outcome, carry_out, finish_removals
from tasks.housekeeping.request import GB, HousekeepingRequest
from tasks.housekeeping.rules import Rules
from tasks.housekeeping.survey import survey_workspace
from tasks.housekeeping.turn import only_keeper
from tasks.runtime.progress import progress
from tasks.runtime.run_log import run_logger
from tasks.runtime.workspace import Workspace
from tasks.store.files import whole_file
from tasks.store.places import places_of


def housekeep(workspace: Workspace, request: HousekeepingRequest, now: float) -> dict[str, Any]:
    """Plan what a workspace forgets, remove it unless `plan_only`, write the page and return the summary.

    Parameters
    ----------
    workspace : Workspace
    request : HousekeepingRequest
    now : float
        Seconds since 1970, by which ages are told.

    Raises
    ------
    HousekeepingBusyError
        Another process keeps house in the workspace, or backs it up.
    """
    started, rules = time.monotonic(), Rules(request, now)
    with only_keeper(workspace, removes=not request.plan_only) as require_turn:
        if not request.plan_only:
            finish_removals(workspace, now)
        contents = survey_workspace(workspace, rules)
        total, _ = measure(places_of(workspace))
        trash, _ = measure(trash_folders(workspace.root))
        begun = trash + contents.removing_bytes
        plan = plan_removal(contents.items, total - begun, request.budget_bytes)
        outcome = Outcome()
        if not request.plan_only:
            with progress("removing", len(plan.removed)) as advance:
                outcome = carry_out(workspace, plan, contents, require_turn, advance)
    removable = begun + plan.removed_bytes
    removed = 0 if request.plan_only else trash + sum(item.size_bytes for item in outcome.removed)
    account = Account(rules, contents, plan, outcome, total, removable if request.plan_only else removed)
    report = workspace.reports / f"{OWN_PAGE}{'-plan' if request.plan_only else ''}.html"
    with whole_file(report) as path:
        path.write_text(housekeeping_page(account), encoding="utf-8")
    for problem in contents.problems:
        run_logger().warning("nothing is removed that this may need: %s", problem)
    left = total - removable
    if request.budget_bytes is not None and left > request.budget_bytes:
        run_logger().warning(
            "%.3f GB cannot go, more than budget_gb=%g; %s tells why each is kept", left / GB, request.budget_gb, report
        )
    return {
        "plan_only": request.plan_only,
        "budget_gb": request.budget_gb,
        "size_gb": _gb(total),
        "removable_gb": _gb(removable),
        "removed_gb": _gb(removed),
        "items": _counts(plan.removed),
        "kept": dict(Counter(plan.kept.values()).most_common()),
        "skipped": dict(outcome.skipped),
        "problems": contents.problems,
        "report": str(report),
        "seconds": round(time.monotonic() - started, 1),
    }


def _counts(items: list[Item]) -> dict[str, int]:
    """Return the number of things by kind; raw bytes of one day are an item of many files."""
    counts: Counter[str] = Counter()
    for item in items:
        counts[item.kind] += item.count
    return dict(sorted(counts.items()))


def _gb(size: int) -> float:
    return round(size / GB, 6)
