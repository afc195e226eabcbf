"""The alias and the ledger move together, whatever dies in between, and a move from outside is found once."""

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tasks.decisions.aliases import (
    DecisionError,
    carry_out,
    champion_of,
    finish_interrupted,
    record_outside_moves,
)
from tasks.decisions.by_hand import promote_by_hand
from tasks.decisions.decision import Decision
from tasks.decisions.ledger import decisions_folder, ledger_folder, read_ledger
from tasks.decisions.ledger_rows import LedgerError
from tasks.learning.models.saved_models import SavedModelError
from tasks.runtime.workspace import Workspace
from tasks.store.files import sha256_of_file
from tasks.tracking.database import open_client
from tasks.tracking.model_registry import UnknownModelError, promote, resolve_model

ROOT = Path(__file__).parents[3]
NAME = "realbogus"
ONE, TWO, THREE = (f"models:/{NAME}/{version}" for version in (1, 2, 3))
NOON = datetime(2026, 11, 28, 3, tzinfo=UTC)


def judged(verdict: str, challenger: str = TWO, **more: Any) -> Decision:
    values: dict[str, Any] = {
        "at": NOON,
        "name": NAME,
        "kind": "gate",
        "verdict": verdict,
        "by": "nightly-retrain",
        "reasons": ("as the gate found",),
        "night": "2026-11-27",
        "champion_before": ONE,
        "challenger": challenger,
        "figures": {"fpr": 0.02, "strata": [{"count": 70, "passed": True}]},
    }
    return Decision(**(values | more))


def story(workspace: Workspace) -> list[tuple[str, str, str | None, str | None]]:
    ledger = read_ledger(workspace, NAME)
    assert ledger.damage == []
    return [(row.kind, row.verdict, row.champion_before, row.champion_after) for row in ledger.decisions]


def runs_of(workspace: Workspace) -> list[Any]:
    client = open_client(workspace)
    experiment = client.get_experiment_by_name("realbogus")
    found = client.search_runs([experiment.experiment_id], "tags.kind = 'decision'")
    return sorted(found, key=lambda run: int(run.data.tags["sequence"]))


FIRST = ("first", "RECORD", None, ONE)


def test_the_first_champion_is_recorded_once(own: Workspace) -> None:
    (row,) = record_outside_moves(own, NAME)
    assert story(own) == [FIRST]
    assert row.digests["found"] == sha256_of_file(resolve_model(own, ONE, None).folder / "model.keras")
    assert record_outside_moves(own, NAME) == []
    assert story(own) == [FIRST]
    assert champion_of(own, "galaxy-deck-3") == "models:/galaxy-deck-3/1"
    assert champion_of(own, "absent") is None
    assert record_outside_moves(own, "absent") == []


def test_an_alias_moved_behind_the_ledger_s_back_is_recorded_once_with_from_and_to(own: Workspace) -> None:
    record_outside_moves(own, NAME)
    promote(own, THREE)
    (row,) = record_outside_moves(own, NAME)
    assert story(own)[1:] == [("outside_gate", "RECORD", ONE, THREE)]
    assert row.reasons == (f"the alias champion of {NAME} was found at {THREE}; the ledger left it at {ONE}",)
    assert record_outside_moves(own, NAME) == []
    open_client(own).delete_registered_model_alias(NAME, "champion")
    record_outside_moves(own, NAME)
    assert record_outside_moves(own, NAME) == []
    promote(own, TWO)
    record_outside_moves(own, NAME)
    assert story(own)[2:] == [("outside_gate", "RECORD", THREE, None), ("first", "RECORD", None, TWO)]


def test_a_promotion_moves_the_alias_and_a_hold_or_rejection_only_appends(own: Workspace) -> None:
    expected = [FIRST]
    for verdict in ("HOLD", "REJECT"):
        row = carry_out(own, judged(verdict))
        expected.append(("gate", verdict, ONE, ONE))
        assert (champion_of(own, NAME), story(own)) == (ONE, expected)
        assert row.challenger == TWO
    row = carry_out(own, judged("PROMOTE"))
    assert (champion_of(own, NAME), story(own)) == (TWO, [*expected, ("gate", "PROMOTE", ONE, TWO)])
    digests = {
        what: sha256_of_file(resolve_model(own, ref, None).folder / "model.keras")
        for what, ref in (("champion", ONE), ("challenger", TWO))
    }
    assert row.digests == digests
    assert row.sequence == 4
    assert not (decisions_folder(own) / "unfinished.json").exists()


def test_every_row_has_a_run_in_mlflow_and_the_model_has_its_tags(own: Workspace) -> None:
    carry_out(own, judged("HOLD"))
    carry_out(own, judged("REJECT", THREE))
    rows, runs = read_ledger(own, NAME).decisions, runs_of(own)
    assert [run.data.tags["row_sha256"] for run in runs] == [row.row_sha256 for row in rows]
    tags = runs[2].data.tags
    assert (tags["verdict"], tags["night"], tags["by"], tags["reasons"]) == (
        "REJECT",
        "2026-11-27",
        "nightly-retrain",
        "as the gate found",
    )
    assert runs[2].data.metrics == {"fpr": 0.02, "strata.0.count": 70.0}
    versions = {number: open_client(own).get_model_version(NAME, str(number)).tags for number in (1, 2, 3)}
    assert (versions[1]["decision"], versions[1]["decision_kind"], "night" in versions[1]) == ("RECORD", "first", False)
    assert (versions[2]["decision"], versions[2]["night"], versions[2]["decision_row"]) == ("HOLD", "2026-11-27", "2")
    assert versions[3]["decision"] == "REJECT"


def test_a_promotion_against_another_champion_is_held(own: Workspace) -> None:
    record_outside_moves(own, NAME)
    promote(own, THREE)
    row = carry_out(own, judged("PROMOTE"))
    assert champion_of(own, NAME) == THREE
    assert story(own)[1:] == [("outside_gate", "RECORD", ONE, THREE), ("gate", "HOLD", THREE, THREE)]
    assert row.reasons[-1] == f"the champion is {THREE} by now, not {ONE}, which this decision compares with"


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"challenger": ONE}, DecisionError, f"{ONE} is the champion of {NAME} already"),
        (
            {"challenger": f"models:/{NAME}/9"},
            UnknownModelError,
            r"no model realbogus, version 9 \(its newest are 1, 2, 3\); the workspace .* has",
        ),
        (
            {"challenger": "models:/galaxy-deck-3/1"},
            DecisionError,
            "is a model of galaxy-deck-3, not of name=realbogus",
        ),
        ({"challenger": None}, DecisionError, "names no model"),
        ({"figures": {"a": object()}}, LedgerError, "figures.a of a decision is of type object"),
    ],
)
def test_what_cannot_be_promoted_is_refused_and_leaves_nothing(
    unchanged: Workspace, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        carry_out(unchanged, judged("PROMOTE", **changes))
    assert (champion_of(unchanged, NAME), story(unchanged)) == (ONE, [FIRST])
    assert finish_interrupted(unchanged) is None


def test_a_model_without_its_card_or_with_another_file_is_not_promoted(own: Workspace) -> None:
    folder = resolve_model(own, TWO, None).folder
    (folder / "model.keras").write_bytes(b"changed")
    with pytest.raises(SavedModelError, match="the file was changed"):
        carry_out(own, judged("PROMOTE"))
    (folder / "model.json").unlink()
    with pytest.raises(UnknownModelError, match=r"holds no model\.json"):
        carry_out(own, judged("PROMOTE"))
    row = carry_out(own, judged("REJECT"))
    assert champion_of(own, NAME) == ONE
    assert "challenger" not in row.digests
    assert row.reasons[1].startswith(f"no digest of {TWO}: ")


def test_a_torn_row_is_told_where_it_may_explain_a_move(own: Workspace) -> None:
    carry_out(own, judged("PROMOTE"))
    torn = sorted(ledger_folder(own).glob("part-*"))[1]
    torn.write_bytes(torn.read_bytes()[:100])
    (row,) = record_outside_moves(own, NAME)
    assert (row.kind, row.champion_before, row.champion_after) == ("outside_gate", ONE, TWO)
    assert row.reasons[1].startswith(f"the ledger is damaged, a lost row may tell more: {torn} is torn")
    assert record_outside_moves(own, NAME) == []


KILLED = """
import os, signal, sys
from pathlib import Path
import mlflow
from tasks.decisions import aliases
from tasks.decisions.by_hand import promote_by_hand
from tasks.runtime.workspace import Workspace
from tests.test_tasks.decisions.test_aliases import NAME, NOON, TWO, judged

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def promote(root, place, when):
    called = getattr(aliases, place)

    def called_then_die(*words):
        called(*words)
        die()

    workspace = Workspace(Path(root))
    aliases.record_outside_moves(workspace, NAME, NOON)
    setattr(aliases, place, die if when.startswith("before") else called_then_die)
    if when.endswith("by hand"):
        promote_by_hand(workspace, NAME, TWO, "better", "anna", NOON)
    aliases.carry_out(workspace, judged("PROMOTE"))

for words in sys.argv[1:]:
    child = os.fork()  # MLflow takes long to import
    if child == 0:
        promote(*words.rsplit(":", 2))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
"""
PLACES = (
    "write_json:before",
    "append:before",
    "append:after",
    "promote:after",
    "record_run:after",
    "append:after moved",
    "append:after deleted",
    "append:after by hand",
)


@pytest.fixture(scope="module")
def killed(with_models: Workspace, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Workspace]:
    """A workspace for each place, in which a process was killed there while it promoted version 2."""
    folder = tmp_path_factory.mktemp("killed")
    copies = {place: Workspace(folder / place.replace(":", "-")) for place in PLACES}
    for copy in copies.values():
        shutil.copytree(with_models.root, copy.root)
    words = [f"{copy.root}:{place}" for place, copy in copies.items()]
    subprocess.run([sys.executable, "-c", KILLED, *words], cwd=ROOT, check=True)
    return copies


def test_a_process_that_is_killed_before_it_wrote_anything_has_not_decided(killed: dict[str, Workspace]) -> None:
    own = killed["write_json:before"]
    assert record_outside_moves(own, NAME) == []
    assert (champion_of(own, NAME), story(own)) == (ONE, [FIRST])


@pytest.mark.parametrize("place", PLACES[1:5])
def test_a_process_that_is_killed_loses_no_row_and_leaves_no_move_from_outside(
    killed: dict[str, Workspace], place: str
) -> None:
    own = killed[place]
    for _ in range(2):
        assert record_outside_moves(own, NAME) == []
        assert champion_of(own, NAME) == TWO
        assert story(own) == [FIRST, ("gate", "PROMOTE", ONE, TWO)]
        rows, runs = read_ledger(own, NAME).decisions, runs_of(own)
        assert [run.data.tags["row_sha256"] for run in runs] == [row.row_sha256 for row in rows]
        assert finish_interrupted(own) is None
    assert rows[1].at == NOON


def test_a_person_who_says_it_again_after_the_kill_gets_the_decision_that_was_made(
    killed: dict[str, Workspace],
) -> None:
    own = killed["append:after by hand"]
    row = promote_by_hand(own, NAME, TWO, "better", "anna", NOON + timedelta(minutes=1))
    assert (row.sequence, row.at, row.champion_after) == (2, NOON, TWO)
    assert champion_of(own, NAME) == TWO
    assert story(own) == [FIRST, ("promote", "PROMOTE", ONE, TWO)]
    with pytest.raises(DecisionError, match=f"{TWO} is the champion of {NAME} already since row 2 of the ledger"):
        promote_by_hand(own, NAME, TWO, "better", "anna", NOON + timedelta(minutes=2))


def test_a_move_by_hand_after_the_kill_is_from_outside(killed: dict[str, Workspace]) -> None:
    own = killed["append:after moved"]
    promote(own, THREE)
    record_outside_moves(own, NAME)
    assert champion_of(own, NAME) == THREE
    assert story(own)[1:] == [("gate", "PROMOTE", ONE, TWO), ("outside_gate", "RECORD", TWO, THREE)]


def test_a_version_deleted_after_the_kill_stops_no_later_decision(killed: dict[str, Workspace]) -> None:
    own = killed["append:after deleted"]
    open_client(own).delete_model_version(NAME, "2")
    carry_out(own, judged("REJECT", THREE))
    assert champion_of(own, NAME) == ONE
    assert story(own)[1:] == [
        ("gate", "PROMOTE", ONE, TWO),
        ("outside_gate", "RECORD", TWO, ONE),
        ("gate", "REJECT", ONE, ONE),
    ]


def test_an_unreadable_unfinished_decision_is_named(own: Workspace) -> None:
    record_outside_moves(own, NAME)
    path = decisions_folder(own) / "unfinished.json"
    for content in ("{", json.dumps({"at": "now", "reasons": []}), json.dumps([1])):
        path.write_text(content)
        with pytest.raises(LedgerError, match=f"{path}, the decision that an interrupted process"):
            record_outside_moves(own, NAME)


DECIDING = """
import os, sys
from datetime import timedelta
from pathlib import Path
import mlflow
from tasks.decisions.aliases import carry_out
from tasks.runtime.workspace import Workspace
from tests.test_tasks.decisions.test_aliases import NOON, judged

def hold(seconds):
    for number in range(3):
        at = NOON + timedelta(minutes=number, seconds=seconds)
        carry_out(Workspace(Path(sys.argv[1])), judged("HOLD", at=at))

children = []
for seconds in range(2):
    children.append(os.fork())
    if children[-1] == 0:
        hold(seconds)
        os._exit(0)
sys.exit(sum(os.waitpid(child, 0)[1] for child in children))
"""


def test_one_decides_at_a_time(own: Workspace) -> None:
    subprocess.run([sys.executable, "-c", DECIDING, str(own.root)], cwd=ROOT, check=True)
    assert [row.sequence for row in read_ledger(own, NAME).decisions] == list(range(1, 8))
    assert story(own) == [FIRST, *[("gate", "HOLD", ONE, ONE)] * 6]
    assert len(runs_of(own)) == 7
