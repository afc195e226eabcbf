"""Decisions of people as flows: the summary, the page, the artifact, and a ledger with a torn part."""

import getpass
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client

from flows.accept import accept
from flows.promote import promote
from flows.rollback import rollback
from flows.show_decisions import show_decisions
from tasks.decisions.aliases import DecisionError, champion_of
from tasks.decisions.ledger import ledger_folder
from tasks.runtime.workspace import ENVIRONMENT_NAME, Workspace
from tasks.stages.models import decide
from tasks.store.errors import DiskFullError
from tasks.tracking.model_registry import UnknownModelError
from tests.small_models import register_small

ONE, TWO = "models:/realbogus/1", "models:/realbogus/2"


@pytest.fixture(scope="module")
def two_models(prefect_api: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """The workspace of this file's tests, which decide one after the other."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("decisions")
        patch.setenv(ENVIRONMENT_NAME, str(folder / "workspace"))
        workspace = Workspace.current()
        for mark in ("one", "two"):
            register_small(workspace, folder / "saved", "realbogus", mark)
        yield workspace


def newest_artifact() -> list[dict[str, Any]]:
    """The newest artifact ``decisions`` of the runs so far."""
    with get_client(sync_client=True) as client:
        answer = client.request("POST", "/artifacts/filter", json={"artifacts": {"key": {"any_": ["decisions"]}}})
    return json.loads(max(answer.json(), key=lambda artifact: artifact["created"])["data"])


def test_an_empty_workspace_has_no_decision(flows_here: Workspace) -> None:
    summary = show_decisions()
    assert (summary["rows"], summary["champions"], summary["decisions"], summary["faults"]) == (0, {}, [], [])
    assert "The ledger has no decision yet." in Path(summary["report"]).read_text(encoding="utf-8")


def test_a_promotion_whose_page_found_no_space_is_finished_by_the_same_command(
    flows_here: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for mark in ("one", "two"):
        register_small(flows_here, tmp_path / "saved", "realbogus", mark)

    def fail(_: Workspace) -> None:
        raise DiskFullError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(decide, "write_decisions_page", fail)
        with pytest.raises(DiskFullError):
            promote(model=TWO, reason="better")
    summary = promote(model=TWO, reason="better")
    assert (summary["sequence"], summary["champion_before"], summary["champion_after"]) == (2, ONE, TWO)
    assert summary["row_sha256"][:8] in Path(summary["report"]).read_text(encoding="utf-8")


def test_a_model_is_promoted_rolled_back_and_a_night_accepted(two_models: Workspace) -> None:
    promoted = promote(reason="finds <more>")
    assert {name: promoted[name] for name in ("name", "verdict", "reason", "by", "sequence", "faults")} == {
        "name": "realbogus",
        "verdict": "PROMOTE",
        "reason": "finds <more>",
        "by": getpass.getuser(),
        "sequence": 2,
        "faults": [],
    }
    assert (promoted["champion_before"], promoted["champion_after"]) == (ONE, TWO)
    assert champion_of(two_models, "realbogus") == TWO
    (shown,) = newest_artifact()
    assert (shown["model"], shown["versions"], shown["why"]) == ("realbogus", "1\xa0→\xa02", "finds <more>")
    with pytest.raises(DecisionError, match=rf"{TWO} is the champion of realbogus already since row 2 .*finds <more>"):
        promote(model=TWO, reason="again")
    back = rollback(reason="worse", by="ben")
    assert (back["champion_before"], back["champion_after"], back["by"]) == (TWO, ONE, "ben")
    night = f"{datetime.now(UTC) - timedelta(days=2):%Y-%m-%d}"
    accepted = accept(night=night, reason="seen")
    assert (accepted["night"], accepted["verdict"], accepted["sequence"]) == (night, "ACCEPT", 4)
    page = Path(accepted["report"]).read_text(encoding="utf-8")
    assert [word in page for word in ("finds &lt;more&gt;", "ACCEPT", accepted["row_sha256"][:8], night)] == [True] * 4
    assert "Faults of the ledger" not in page
    with pytest.raises(DecisionError, match="is in the future"):
        accept(night=f"{datetime.now(UTC) + timedelta(days=2):%Y-%m-%d}", reason="seen")
    for flow in (promote, rollback, accept):
        with pytest.raises(DecisionError, match=f"{flow.name} needs a reason"):
            flow()


def test_the_ledger_is_shown_with_the_name_of_a_torn_part(two_models: Workspace) -> None:
    shown = show_decisions()
    assert [row["sequence"] for row in shown["decisions"]] == [4, 3, 2, 1]
    assert (shown["rows"], shown["champions"], shown["recorded"]) == (4, {"realbogus": ONE}, [])
    torn = sorted(ledger_folder(two_models).glob("part-*"))[1]
    torn.write_bytes(torn.read_bytes()[:-1])
    shown = show_decisions(name="realbogus", last=2)
    assert [row["sequence"] for row in shown["decisions"]] == [4, 3]
    assert (shown["rows"], len(shown["faults"])) == (3, 1)
    assert shown["faults"][0].startswith(f"{torn} is torn")
    assert f"{torn.name} is torn" in Path(shown["report"]).read_text(encoding="utf-8")
    again = rollback(model=TWO, reason="after all")
    assert (again["sequence"], again["faults"]) == (5, shown["faults"])
    with pytest.raises(UnknownModelError, match=r"no model is registered as 'absent'; the workspace .* has realbogus"):
        show_decisions(name="absent")
