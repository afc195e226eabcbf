"""What a person decides: promote, go back, accept a night; each with a reason, and refused where it makes no sense."""

import getpass
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.decisions.aliases import DecisionError, champion_of
from tasks.decisions.by_hand import accept_night, accepted_nights, earlier_champions, promote_by_hand, roll_back
from tasks.decisions.decision import Decision
from tasks.decisions.ledger import read_ledger
from tasks.decisions.ledger_rows import LedgerError, LedgerRow
from tasks.runtime.workspace import Workspace
from tasks.store.errors import DiskFullError
from tasks.tracking.model_registry import UnknownModelError, promote, resolve_model

NAME = "realbogus"
ONE, TWO, THREE = (f"models:/{NAME}/{version}" for version in (1, 2, 3))
NOON = datetime(2026, 11, 28, 3, tzinfo=UTC)
TODAY = date(2026, 11, 28)


def promoted(
    workspace: Workspace, model: str, reason: str = "better", name: str = NAME, by: str | None = "anna"
) -> Any:
    return promote_by_hand(workspace, name, model, reason, by, NOON)


def back(workspace: Workspace, model: str | None = None, reason: str = "worse") -> LedgerRow:
    return roll_back(workspace, NAME, model, reason, "anna", NOON)


def accepted(workspace: Workspace, night: str = "2026-11-27", reason: str = "seen", name: str = NAME) -> LedgerRow:
    return accept_night(workspace, name, night, reason, "anna", NOON, TODAY)


def test_promote_takes_every_address_and_keeps_who_and_why(own: Workspace) -> None:
    row = promoted(own, "challenger", " it finds more ", by=None)
    assert (row.kind, row.verdict, row.champion_before, row.champion_after) == ("promote", "PROMOTE", ONE, THREE)
    assert (row.by, row.reasons, row.sequence) == (getpass.getuser(), ("it finds more",), 2)
    for address in (TWO, resolve_model(own, ONE, None).run_id, f"{NAME}@challenger"):
        assert promoted(own, address).champion_after == champion_of(own, NAME)
    assert champion_of(own, NAME) == THREE
    assert read_ledger(own).faults == []


def test_rolling_back_twice_goes_back_twice_and_never_forth(own: Workspace) -> None:
    promoted(own, TWO)
    promoted(own, THREE)
    for target in (TWO, ONE):
        row = back(own)
        assert (row.kind, row.verdict, row.champion_after) == ("rollback", "PROMOTE", target)
        assert champion_of(own, NAME) == target
    with pytest.raises(
        DecisionError, match=rf"{NAME} has no champion before {ONE} in the ledger: nothing to roll back"
    ):
        back(own)
    named = back(own, THREE)
    assert named.reasons == ("worse", f"{THREE} was not champion before, by the ledger")
    assert champion_of(own, NAME) == THREE


def test_what_could_not_be_told_is_told_when_it_is_said_again_and_done_once(own: Workspace) -> None:
    promoted(own, TWO)
    promoted(own, THREE)

    def fail(_: LedgerRow) -> None:
        raise DiskFullError("no space left")

    told: list[LedgerRow] = []
    asked = (own, NAME, None, "worse", "anna", NOON)
    with pytest.raises(DiskFullError):
        roll_back(*asked, fail)
    row = roll_back(*asked, told.append)
    assert told == [row]
    assert (row.kind, row.sequence, row.champion_after, champion_of(own, NAME)) == ("rollback", 4, TWO, TWO)
    assert len(read_ledger(own, NAME).decisions) == 4


def test_a_champion_set_outside_is_rolled_back_to_the_one_before(own: Workspace) -> None:
    promoted(own, TWO)
    promote(own, THREE)
    assert back(own).champion_after == TWO
    assert [row.kind for row in read_ledger(own).decisions] == ["first", "promote", "outside_gate", "rollback"]


def test_a_night_is_accepted_once_a_name(own: Workspace) -> None:
    assert accepted_nights(own, NAME) == set()
    row = accepted(own)
    assert (row.kind, row.verdict, row.night) == ("accept", "ACCEPT", "2026-11-27")
    assert (row.champion_before, row.champion_after) == (ONE, ONE)
    accepted(own, str(TODAY))
    with pytest.raises(DecisionError, match=r"2026-11-27 was accepted for realbogus on 2026-11-28 by anna \(row 2: s"):
        accepted(own)
    assert accepted_nights(own, NAME) == {"2026-11-27", "2026-11-28"}
    assert accepted_nights(own, "galaxy-deck-3") == set()
    accepted(own, name="galaxy-deck-3")
    assert accepted_nights(own, "galaxy-deck-3") == {"2026-11-27"}


@pytest.mark.parametrize(
    ("decide", "error", "message"),
    [
        (lambda own: promoted(own, TWO, " \n"), DecisionError, "promote needs a reason, which the ledger keeps"),
        (lambda own: back(own, reason=""), DecisionError, "rollback needs a reason"),
        (lambda own: accepted(own, reason=""), DecisionError, "accept needs a reason"),
        (
            lambda own: promoted(own, f"models:/{NAME}/9"),
            UnknownModelError,
            r"realbogus, version 9 .* has galaxy",
        ),
        (lambda own: promoted(own, "nightly"), UnknownModelError, r"no model realbogus@nightly; .* has galaxy"),
        (
            lambda own: promoted(own, "e" * 32),
            UnknownModelError,
            "run e+ has no registered model; .* has galaxy",
        ),
        (lambda own: promoted(own, TWO, name="realbogos"), UnknownModelError, "'realbogos'; .* has galaxy"),
        (
            lambda own: back(own, TWO, reason="\udcff"),
            LedgerError,
            r"reasons\[0\]='\\udcff' of a decision is no Uni",
        ),
        (
            lambda own: promoted(own, "models:/galaxy-deck-3/1"),
            DecisionError,
            "model=models:/galaxy-deck-3/1 is models:/galaxy-deck-3/1, not a model of name=realbogus: say -p name=gal",
        ),
        (
            lambda own: promoted(own, resolve_model(own, "models:/galaxy-deck-3/1", None).run_id),
            DecisionError,
            "is models:/galaxy-deck-3/1, not a model of name=realbogus",
        ),
        (
            lambda own: promoted(own, ONE),
            DecisionError,
            f"{ONE} is the champion of {NAME} already since row 1",
        ),
        (lambda own: back(own, "champion"), DecisionError, f"{ONE} is the champion of {NAME} already"),
        (lambda own: back(own), DecisionError, "nothing to roll back to; name one with -p model="),
        (
            lambda own: accepted(own, "2026-11-29"),
            DecisionError,
            "night=2026-11-29 is in the future, today is",
        ),
        (lambda own: accepted(own, "28.11.2026"), LedgerError, "night='28.11.2026' is no date: give that of the local"),
        (lambda own: accepted(own, ""), LedgerError, "night='' is no date"),
        (lambda own: accepted(own, name="absent"), UnknownModelError, "no model is registered as 'absent'"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(
    unchanged: Workspace, decide: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        decide(unchanged)
    assert champion_of(unchanged, NAME) == ONE
    assert [row.kind for row in read_ledger(unchanged, NAME).decisions] in ([], ["first"])


def changes(targets: list[str]) -> list[Decision]:
    """Promotions from each target to the next."""
    return [
        Decision(NOON, NAME, "promote", "PROMOTE", "anna", ("so",), champion_before=before, champion_after=after)
        for before, after in zip([None, *targets], targets, strict=False)
    ]


addresses = st.lists(st.sampled_from([ONE, TWO, THREE]), min_size=1, max_size=6)


@given(addresses)
def test_a_rollback_finds_what_was_champion_before_and_never_the_present_one(targets: list[str]) -> None:
    distinct = [target for number, target in enumerate(targets) if number == 0 or targets[number - 1] != target]
    earlier = earlier_champions(changes(distinct))
    assert earlier == [target for target in distinct[:-1] if target != distinct[-1]]


@given(addresses)
def test_rolling_back_to_the_end_visits_every_champion_once(targets: list[str]) -> None:
    distinct = list(dict.fromkeys(targets))
    history = changes(distinct)
    visited = []
    while earlier := earlier_champions(history):
        before, after = history[-1].champion_after, earlier[-1]
        history.append(
            Decision(NOON, NAME, "rollback", "PROMOTE", "anna", ("so",), champion_before=before, champion_after=after)
        )
        visited.append(after)
    assert visited == distinct[-2::-1]


def test_a_row_that_is_lost_is_made_up_for_by_the_next_one_s_champion_before() -> None:
    first, second, third = changes([ONE, TWO, THREE])
    assert earlier_champions([first, third]) == [ONE, TWO]
    assert earlier_champions([second, third]) == [ONE, TWO]
