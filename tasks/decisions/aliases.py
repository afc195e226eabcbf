"""The alias ``champion`` and the ledger: every move goes through `carry_out`, others are found and recorded.

A decision is written to ``decisions/unfinished.json`` before anything else, and is made from then on: a process that
dies later leaves the rest to the next one, which appends the row if it is not there, moves the alias if it still stands
where the decision found it, writes the run in MLflow and tells of it. The row goes before the alias. So no alias is
moved without a row, and a move of ours is never taken for one from outside.
"""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from tasks.decisions.decision import Decision, Kind
from tasks.decisions.decision_runs import record_run
from tasks.decisions.ledger import append, decisions_folder, ledger_lock, read_ledger
from tasks.decisions.ledger_rows import LedgerError, LedgerRow, checked_decision
from tasks.learning.models.saved_models import SavedModelError, checked_card
from tasks.runtime.workspace import Workspace
from tasks.store.files import sync, write_json
from tasks.tracking.model_registry import (
    CHAMPION,
    ModelRef,
    UnknownModelError,
    alias_address,
    promote,
    resolve_model,
)

OUTSIDE: Kind = "outside_gate"
Telling = Callable[[LedgerRow], object]
"""Tells a person of a decision; until it has returned, the decision is not finished."""


def tell_nobody(_: LedgerRow) -> None:
    """Leave the row to the ledger."""


class DecisionError(ValueError):
    """A decision cannot be carried out; the message says why."""


def champion_of(workspace: Workspace, name: str) -> str | None:
    """Return the champion in MLflow, ``models:/NAME/VERSION``; None where the name has none."""
    return alias_address(workspace, name, CHAMPION)


def recorded_champion(decisions: Sequence[Decision]) -> str | None:
    """Return the champion that the decisions on one name, in their order, leave."""
    for decision in reversed(decisions):
        if decision.champion_after is not None or decision.kind == OUTSIDE:
            return decision.champion_after
    return None


def record_outside_moves(workspace: Workspace, name: str, at: datetime | None = None) -> list[LedgerRow]:
    """Append a row where the alias ``champion`` is not where the ledger left it, and return it, or nothing.

    The first champion that the ledger sees is of kind ``first``, a later difference ``outside_gate``. An interrupted
    decision is finished first. An alias that was moved away and back between two calls leaves no trace.

    Parameters
    ----------
    at : datetime, optional
        Time of the row; None: now.
    """
    with ledger_lock(workspace):
        finish_interrupted(workspace)
        found = _outside_move(workspace, name, at or datetime.now(UTC))
        return [_perform(workspace, found)] if found else []


def carry_out(workspace: Workspace, decision: Decision, tell: Telling = tell_nobody) -> LedgerRow:
    """Move the alias if the verdict is PROMOTE, append the decision to the ledger, write it to MLflow, and tell it.

    Moves behind the ledger's back are recorded first. What the decision leaves out is filled in: the champion before
    and after, and the sha256 of both models. A PROMOTE that was decided against another champion than the present one
    becomes a HOLD.

    Raises
    ------
    UnknownModelError, SavedModelError
        The model to promote is not registered, or it lacks its card or differs from it.
    DecisionError
        It has another name, or is the champion.
    LedgerError
        The decision cannot be a row.
    """
    with ledger_lock(workspace):
        record_outside_moves(workspace, decision.name, decision.at)
        return _perform(workspace, _completed(workspace, decision, champion_of(workspace, decision.name)), tell)


def finish_interrupted(workspace: Workspace, tell: Telling = tell_nobody) -> LedgerRow | None:
    """Finish the decision of a process that died while it was carried out, and return its row, if there was one."""
    with ledger_lock(workspace):
        if not _unfinished(workspace).exists():
            return None
        decision = _read_unfinished(_unfinished(workspace))
        key = (decision.at, decision.name, decision.kind)
        rows = read_ledger(workspace, decision.name).decisions
        row = next((row for row in reversed(rows) if (row.at, row.name, row.kind) == key), None)
        return _finish(workspace, row or append(workspace, decision), tell)


def _perform(workspace: Workspace, decision: Decision, tell: Telling = tell_nobody) -> LedgerRow:
    decision = checked_decision(decision)
    write_json(_unfinished(workspace), {**asdict(decision), "at": decision.at.isoformat()})
    return _finish(workspace, append(workspace, decision), tell)


def _finish(workspace: Workspace, row: LedgerRow, tell: Telling) -> LedgerRow:
    """Do what follows the row; each step does nothing where it was done."""
    if row.verdict == "PROMOTE" and row.champion_after and champion_of(workspace, row.name) == row.champion_before:
        with suppress(UnknownModelError):  # deleted since the decision: the next call records where the alias stands
            promote(workspace, row.champion_after)
    record_run(workspace, row)
    tell(row)
    _unfinished(workspace).unlink()
    sync(decisions_folder(workspace))
    return row


def _unfinished(workspace: Workspace) -> Path:
    return decisions_folder(workspace) / "unfinished.json"


def _read_unfinished(path: Path) -> Decision:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        at, reasons = datetime.fromisoformat(values["at"]), tuple(values["reasons"])
        return Decision(**{**values, "at": at, "reasons": reasons})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise LedgerError(
            f"{path}, the decision that an interrupted process was carrying out, cannot be read ({error}): compare the "
            "champion with the ledger by `starloom run show-decisions` of a copy, then delete the file"
        ) from error


def _outside_move(workspace: Workspace, name: str, at: datetime) -> Decision | None:
    ledger = read_ledger(workspace, name)
    recorded, present = recorded_champion(ledger.decisions), champion_of(workspace, name)
    if recorded == present:
        return None
    kind: Kind
    if recorded is None:
        kind, by, reason = "first", "training", f"{present} is the first champion that the ledger has of {name}"
    else:
        kind, by = OUTSIDE, "unknown"
        reason = f"the alias champion of {name} was found at {present or 'no model'}; the ledger left it at {recorded}"
    reasons = [reason]
    if ledger.damage:
        reasons.append(f"the ledger is damaged, a lost row may tell more: {'; '.join(ledger.damage)}")
    found = Decision(
        at=at,
        name=name,
        kind=kind,
        verdict="RECORD",
        by=by,
        reasons=tuple(reasons),
        champion_before=recorded,
        champion_after=present,
    )
    return _with_digests(workspace, found, {"champion": recorded, "found": present})


def _completed(workspace: Workspace, decision: Decision, present: str | None) -> Decision:
    """Return the decision with what it leaves out, checked against the champion in use."""
    before = decision.champion_before or present
    if before != present:
        note = f"the champion is {present or 'no model'} by now, not {before}, which this decision compares with"
        reasons = (*decision.reasons, note)
        verdict = "HOLD" if decision.verdict == "PROMOTE" else decision.verdict
        decision = replace(decision, verdict=verdict, reasons=reasons)
    if decision.verdict != "PROMOTE":
        held = replace(decision, champion_before=present, champion_after=present)
        return _with_digests(workspace, held, {"champion": before, "challenger": held.challenger})
    target = _promotable(workspace, decision, present)
    promoted = replace(decision, champion_before=before, champion_after=target.uri, challenger=target.uri)
    return _with_digests(workspace, promoted, {"champion": before, "challenger": target.uri})


def _promotable(workspace: Workspace, decision: Decision, present: str | None) -> ModelRef:
    """Return the model that a decision promotes, checked."""
    address = decision.champion_after or decision.challenger
    if address is None:
        raise DecisionError(f"a decision to promote a model of {decision.name} names no model")
    ref = resolve_model(workspace, address, decision.name)
    if ref.name != decision.name:
        raise DecisionError(
            f"{ref.uri} is a model of {ref.name}, not of name={decision.name}: it cannot be its champion"
        )
    if ref.uri == present:
        raise DecisionError(f"{ref.uri} is the champion of {ref.name} already")
    checked_card(ref.folder)
    return ref


def _with_digests(workspace: Workspace, decision: Decision, addresses: dict[str, str | None]) -> Decision:
    """Return the decision with the sha256 of models that it does not give; of one that cannot be read, why."""
    digests, reasons = dict(decision.digests), list(decision.reasons)
    for what, address in addresses.items():
        if address is None or what in digests:
            continue
        try:
            digests[what] = checked_card(resolve_model(workspace, address, decision.name).folder)["sha256"]
        except (UnknownModelError, SavedModelError, OSError) as error:
            reasons.append(f"no digest of {address}: {error}")
    return replace(decision, digests=digests, reasons=tuple(reasons))
