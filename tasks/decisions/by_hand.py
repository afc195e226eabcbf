"""Decisions of a person: another champion, the one before, a night accepted.

Each needs a reason, and goes the way of the gate's.
"""

import getpass
from collections.abc import Callable, Sequence
from datetime import date, datetime

from tasks.decisions.aliases import (
    OUTSIDE,
    DecisionError,
    Telling,
    carry_out,
    champion_of,
    finish_interrupted,
    record_outside_moves,
    tell_nobody,
)
from tasks.decisions.decision import Decision
from tasks.decisions.ledger import ledger_lock, read_ledger
from tasks.decisions.ledger_rows import LedgerRow, night_date
from tasks.runtime.workspace import Workspace
from tasks.tracking.model_registry import ModelRef, UnknownModelError, require_name, resolve_model


def promote_by_hand(
    workspace: Workspace,
    name: str,
    model: str,
    reason: str,
    by: str | None,
    at: datetime,
    tell: Telling = tell_nobody,
) -> LedgerRow:
    """Make a registered model of a name its champion and return the row of the ledger.

    `model` has the forms of `resolve_model`; `by` is the user if it is None.

    Raises
    ------
    DecisionError
        There is no reason, or the model has another name or is the champion.
    UnknownModelError, SavedModelError
        There is no such model, or it lacks its card or differs from it.
    """
    reason, by = _stated(reason, "promote"), _user(by)

    def decide() -> Decision:
        target = _model_of(workspace, name, model)
        _refuse_present(workspace, target)
        return Decision(at, name, "promote", "PROMOTE", by, (reason,), champion_after=target.uri)

    return _decide_once(workspace, name, decide, at, (name, "promote", None, by, reason), tell)


def roll_back(
    workspace: Workspace,
    name: str,
    model: str | None,
    reason: str,
    by: str | None,
    at: datetime,
    tell: Telling = tell_nobody,
) -> LedgerRow:
    """Make the champion before the present one champion again, or `model`; return the row of the ledger.

    The champion before is the ledger's, see `earlier_champions`.

    Raises
    ------
    DecisionError
        There is no reason, no champion before, or the model has another name or is the champion.
    UnknownModelError, SavedModelError
        There is no such model, or it lacks its card or differs from it.
    """
    reason, by = _stated(reason, "rollback"), _user(by)

    def decide() -> Decision:
        earlier = earlier_champions(read_ledger(workspace, name).decisions)
        if model is None and not earlier:
            raise DecisionError(
                f"{name} has no champion before {champion_of(workspace, name) or 'the present one'} in the ledger: "
                "nothing to roll back to; name one with -p model="
            )
        target = _model_of(workspace, name, model or earlier[-1])
        _refuse_present(workspace, target)
        reasons = (
            (reason,) if target.uri in earlier else (reason, f"{target.uri} was not champion before, by the ledger")
        )
        return Decision(at, name, "rollback", "PROMOTE", by, reasons, champion_after=target.uri)

    return _decide_once(workspace, name, decide, at, (name, "rollback", None, by, reason), tell)


def accept_night(
    workspace: Workspace,
    name: str,
    night: str,
    reason: str,
    by: str | None,
    at: datetime,
    today: date,
    tell: Telling = tell_nobody,
) -> LedgerRow:
    """Accept a night whose labels looked wrong, for the retraining of the models of a name; return the row.

    Parameters
    ----------
    today : date
        A later night is refused.

    Raises
    ------
    LedgerError
        The night is no date.
    DecisionError
        There is no reason, the night is in the future, or was accepted before.
    UnknownModelError
        No model has the name.
    """
    reason, by = _stated(reason, "accept"), _user(by)
    if night_date(night) > today:
        raise DecisionError(f"night={night} is in the future, today is {today}: give a night that is over")

    def decide() -> Decision:
        for row in read_ledger(workspace, name).decisions:
            if row.kind == "accept" and row.night == night:
                raise DecisionError(
                    f"night {night} was accepted for {name} on {row.at:%Y-%m-%d} by {row.by} "
                    f"(row {row.sequence}: {row.reasons[0]}); nothing is left to do"
                )
        return Decision(at, name, "accept", "ACCEPT", by, (reason,), night=night)

    return _decide_once(workspace, name, decide, at, (name, "accept", night, by, reason), tell)


def accepted_nights(workspace: Workspace, name: str) -> set[str]:
    """Return the nights, YYYY-MM-DD, that a person accepted for the retraining of the models of a name."""
    return {row.night for row in read_ledger(workspace, name).decisions if row.kind == "accept" and row.night}


def earlier_champions(decisions: Sequence[Decision]) -> list[str]:
    """Return the champions that a rollback may go back to, the latest last, from the decisions on one name in order.

    A rollback takes away what came after its model: rolling back twice goes back twice, never forth again.
    """
    in_use: list[str | None] = []
    for decision in decisions:
        before, after = decision.champion_before, decision.champion_after
        if (after is None and decision.kind != OUTSIDE) or (in_use and after == in_use[-1]):
            continue
        if before is not None and (not in_use or in_use[-1] != before):
            in_use.append(before)  # the row that made it champion is lost
        if decision.kind == "rollback" and after in in_use:
            while in_use[-1] != after:
                in_use.pop()
        else:
            in_use.append(after)
    present = in_use[-1] if in_use else None
    return [address for address in in_use[:-1] if address not in (None, present)]


def _decide_once(
    workspace: Workspace,
    name: str,
    decide: Callable[[], Decision],
    at: datetime,
    request: tuple[str | None, ...],
    tell: Telling,
) -> LedgerRow:
    """Carry out what `decide` returns; if a killed process left the same request unfinished, finish that one instead.

    `request` is name, kind, night, user and reason.
    """
    with ledger_lock(workspace):
        finished = finish_interrupted(workspace, tell)
        if finished and (finished.name, finished.kind, finished.night, finished.by, finished.reasons[0]) == request:
            return finished
        require_name(workspace, name)
        record_outside_moves(workspace, name, at)
        return carry_out(workspace, decide(), tell)


def _stated(reason: str, flow: str) -> str:
    stated = reason.strip()
    if not stated:
        raise DecisionError(f"{flow} needs a reason, which the ledger keeps: say -p reason='...'")
    return stated


def _user(by: str | None) -> str:
    if by is not None and by.strip():
        return by.strip()
    try:
        return getpass.getuser()
    except (OSError, KeyError) as error:
        raise DecisionError("this user has no name, which the ledger keeps: say who decides with -p by=NAME") from error


def _model_of(workspace: Workspace, name: str, model: str) -> ModelRef:
    """Return the model with an address, refused if it is of another name."""
    try:
        ref = resolve_model(workspace, model, name)
    except UnknownModelError as unknown:
        try:
            ref = resolve_model(workspace, model, None)  # a run id is looked up under `name` alone
        except UnknownModelError:
            raise unknown from None
    if ref.name != name:
        raise DecisionError(f"model={model} is {ref.uri}, not a model of name={name}: say -p name={ref.name}")
    return ref


def _refuse_present(workspace: Workspace, target: ModelRef) -> None:
    if target.uri != champion_of(workspace, target.name):
        return
    rows = [row for row in read_ledger(workspace, target.name).decisions if row.champion_after == target.uri]
    since = next((row for row in reversed(rows) if row.champion_before != target.uri), None)
    row = f" since row {since.sequence} of the ledger ({since.kind} by {since.by}: {since.reasons[0]})" if since else ""
    raise DecisionError(f"{target.uri} is the champion of {target.name} already{row}; nothing was changed")
