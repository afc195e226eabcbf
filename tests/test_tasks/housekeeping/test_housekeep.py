"""What goes and what stays in a workspace with something of every kind; and a removal that is killed in between."""

import hashlib
import json
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tasks.housekeeping.disk import TRASH
from tasks.housekeeping.housekeep import housekeep
from tasks.housekeeping.references import plan_removal
from tasks.housekeeping.request import HousekeepingRequest
from tasks.housekeeping.rules import Rules
from tasks.housekeeping.survey import survey_workspace
from tasks.housekeeping.turn import HousekeepingBusyError
from tasks.runtime.folder_lock import lock_folder
from tasks.runtime.workspace import Workspace
from tasks.server.process_guard import locked_file
from tasks.store.dataset import Dataset
from tasks.store.files import sha256_of_file
from tasks.store.locks import one_builder
from tasks.store.raw import RawStore
from tasks.store.verification import verify_version
from tasks.tracking.database import open_client, prepare
from tasks.tracking.model_registry import resolve_model
from tests.small_workspace import LATER, MODEL, NIGHTS, decide, make_workspace, sha256_of_model, write

ALL_OLD = HousekeepingRequest(keep_versions=1, keep_nights=0, plan_only=False)
PLAN = ALL_OLD.model_copy(update={"plan_only": True})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, dict[str, str]]:
    """A workspace that tests copy, and its runs."""
    folder = tmp_path_factory.mktemp("made")
    workspace = Workspace(folder / "workspace")
    return workspace, make_workspace(workspace, folder / "archives")


@pytest.fixture
def own(made: tuple[Workspace, dict[str, str]], workspace: Workspace) -> Workspace:
    shutil.copytree(made[0].root, workspace.root, symlinks=True)
    prepare(workspace)
    return workspace


def planned(workspace: Workspace, **changes: Any) -> set[str]:
    """Return the keys of what would go; raw bytes without their day."""
    request = PLAN.model_copy(update=changes)
    items = survey_workspace(workspace, Rules(request, LATER)).items
    return {item.key.partition(" of day")[0] for item in plan_removal(items, 0, None).removed}


def contents(workspace: Workspace) -> set[str]:
    """Return the files of a workspace but those of servers, databases and the page."""
    files = (path for path in workspace.root.rglob("*") if path.is_file())
    names = {str(path.relative_to(workspace.root)) for path in files}
    return {name for name in names if not name.endswith(".lock") and "mlflow.db" not in name} - {
        "reports/housekeeping.html"
    }


def require_whole(workspace: Workspace) -> None:
    """Every version verifies, every registered model is there with the bytes of its card."""
    for path in sorted(workspace.datasets.glob("*/versions/*")):
        found = verify_version(Dataset.at(path), workspace.raw, lambda *_: NoBar())
        assert found.problems == []
        assert found.raw_missing == 0
        assert found.pixels_ok == found.samples > 0
    for version in open_client(workspace).search_model_versions():
        ref = resolve_model(workspace, f"models:/{version.name}/{version.version}", None)
        card = json.loads((ref.folder / "model.json").read_text())
        assert sha256_of_file(ref.folder / "model.keras") == card["sha256"]
        assert Dataset.open(workspace, f"{card['dataset']}@{card['dataset_version']}").version
        assert open_client(workspace).get_run(version.run_id).info.lifecycle_stage == "active"


class NoBar:
    def __enter__(self) -> Callable[[int], None]:
        return lambda count: None

    def __exit__(self, *_: object) -> None: ...


def test_what_a_killed_process_was_writing_goes_when_it_is_old(own: Workspace) -> None:
    before = planned(own)
    part = own.scores / ".drill.parquet.99.part"
    part.write_bytes(b"half")
    assert planned(own) - before == {"unfinished work scores/.drill.parquet.99.part"}
    assert part.name not in str(planned(own, keep_days=10**6))
    housekeep(own, ALL_OLD, LATER)
    assert not part.exists()


def test_what_no_root_reaches_goes_and_the_rest_is_whole(
    own: Workspace, made: tuple[Workspace, dict[str, str]]
) -> None:
    runs = made[1]
    expected = {
        f"model version {MODEL}@3",  # no alias, not the newest, not in the ledger
        f"run {runs['3']}",
        f"run {runs['unnamed']}",
        f"night {NIGHTS[0]}",
        f"night {NIGHTS[2]}",
        "unfinished work training/abc",
        f"cache onnx/{sha256_of_model(3)}.onnx",
        "raw bytes",
        "page index",
        "page named",
        f"run {runs['named']}",  # once its page is gone
    }
    before = contents(own)
    assert planned(own) == expected
    assert contents(own) == before
    summary = housekeep(own, ALL_OLD, LATER)
    assert summary["removed_gb"] == summary["removable_gb"] > 0
    assert summary["items"]["raw bytes"] == 1
    assert (summary["skipped"], summary["problems"]) == ({}, [])
    gone = before - contents(own)
    assert {name.split("/")[0] for name in gone} == {
        *("mlartifacts", "nights", "onnx", "raw", "reports", "scores", "training")
    }
    assert contents(own) < before
    require_whole(own)
    assert sorted(int(version.version) for version in _versions(own)) == [1, 2, 4]
    assert planned(own) == set()
    assert housekeep(own, ALL_OLD, LATER)["removed_gb"] == 0


def _versions(workspace: Workspace) -> list[Any]:
    return list(open_client(workspace).search_model_versions(f"name = '{MODEL}'"))


def test_a_dataset_version_goes_with_the_last_that_names_it(own: Workspace) -> None:
    (own.root / "decisions" / "holdouts" / "h.json").unlink()
    assert "dataset version four@3" in planned(own)
    housekeep(own, ALL_OLD, LATER)
    assert {path.name for path in own.datasets.glob("four/versions/*")} == {"000001", "000002", "000004"}
    require_whole(own)


@pytest.mark.parametrize(
    ("changes", "stays"),
    [
        ({"keep_days": 200.0}, {""}),
        ({"keep_versions": 2}, {"model version"}),
        ({"keep_nights": 1}, {f"night {NIGHTS[2]}"}),
    ],
)
def test_what_a_rule_keeps_stays(own: Workspace, changes: dict[str, Any], stays: set[str]) -> None:
    assert not {key for key in planned(own, **changes) for prefix in stays if key.startswith(prefix)}


def test_a_page_keeps_what_it_names_while_it_stays(own: Workspace, made: tuple[Workspace, dict[str, str]]) -> None:
    os.utime(own.reports / "index.html", (LATER, LATER))
    assert not {"page index", "page named", f"run {made[1]['named']}"} & planned(own)
    write(own.reports / "housekeeping.html", f"<p>night {NIGHTS[0]}</p>".encode())
    assert f"night {NIGHTS[0]}" in planned(own)


def test_every_column_of_the_ledger_keeps_what_it_names(own: Workspace) -> None:
    assert {f"model version {MODEL}@3", f"night {NIGHTS[0]}"} <= planned(own)
    digests = json.dumps({"champion": sha256_of_model(3)})
    decide(own, {"champion_before": "", "night": "", "digests": digests})
    assert f"model version {MODEL}@3" not in planned(own)
    decide(own, {"champion_before": "", "night": NIGHTS[0], "digests": "{}"})
    assert f"night {NIGHTS[0]}" not in planned(own)


def test_of_a_torn_ledger_nothing_goes_that_it_could_have_named(own: Workspace) -> None:
    part = decide(own, {"champion_before": f"models:/{MODEL}/3", "night": "", "digests": "{}"})
    part.write_bytes(part.read_bytes()[:-30])
    before = planned(own)
    assert before == {"unfinished work training/abc", "raw bytes"}
    summary = housekeep(own, ALL_OLD, LATER)
    (problem,) = summary["problems"]
    assert problem.startswith(f"{part} cannot be read")
    assert summary["kept"]["the decision ledger cannot be read"] > 0
    assert len(_versions(own)) == 4


def test_a_dataset_that_is_built_and_raw_bytes_stay(own: Workspace) -> None:
    (own.root / "decisions" / "holdouts" / "h.json").unlink()
    with one_builder(own.datasets / "four"):
        assert not {"dataset version four@3", "raw bytes"} & planned(own)
        summary = housekeep(own, ALL_OLD, LATER)
    assert summary["kept"]["at work"] > 0
    assert RawStore(own.raw).path(sha256_of_raw()).exists()


def sha256_of_raw() -> str:
    return hashlib.sha256(b"an answer that no ledger names").hexdigest()


def test_a_training_at_work_keeps_all_that_it_may_read(own: Workspace) -> None:
    with lock_folder(own.root / "training" / "abc"):
        keys = planned(own)
    kinds = ("model", "run", "night", "dataset", "unfinished")
    assert not {key for key in keys if key.startswith(kinds)}
    assert "raw bytes" in keys


def test_within_its_budget_a_workspace_loses_nothing(own: Workspace) -> None:
    summary = housekeep(own, ALL_OLD.model_copy(update={"budget_gb": 5.0}), LATER)
    assert (summary["items"], summary["removed_gb"]) == ({}, 0)


def test_above_its_budget_the_oldest_go_until_it_is_met(own: Workspace) -> None:
    housekeep(own, PLAN, LATER)  # its page counts too
    everything = housekeep(own, PLAN, LATER)
    budget = everything["size_gb"] - 1e-6
    some = housekeep(own, PLAN.model_copy(update={"budget_gb": budget}), LATER)
    assert 0 < sum(some["items"].values()) < sum(everything["items"].values())
    assert some["size_gb"] - some["removable_gb"] <= budget + 1e-4  # the plan's page has come to it


def test_an_empty_workspace_is_no_error(workspace: Workspace) -> None:
    summary = housekeep(workspace, ALL_OLD, LATER)
    assert (summary["items"], summary["kept"], summary["removed_gb"]) == ({}, {}, 0)
    assert not (workspace.root / "mlflow.db").exists()


def test_two_do_not_keep_house_at_once(workspace: Workspace) -> None:
    with (
        locked_file(workspace.root / "housekeeping.lock"),
        pytest.raises(HousekeepingBusyError, match="another process keeps house in"),
    ):
        housekeep(workspace, PLAN, LATER)


@pytest.mark.parametrize("given", [{"budget_gb": 0}, {"budget_gb": -1}, {"budget_gb": float("nan")}, {"keep_days": -1}])
def test_a_senseless_rule_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(given))):
        HousekeepingRequest(**given)


def housekeep_killed_at(workspace: Workspace, step: int) -> None:
    """Keep house in this process, which is killed before file or folder number `step` is renamed or removed."""
    left = [step]

    def counted(function: Any) -> Any:
        def call(*words: Any, **more: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*words, **more)

        return call

    os.rename, shutil.rmtree = counted(os.rename), counted(shutil.rmtree)
    housekeep(workspace, ALL_OLD, LATER)


@pytest.mark.parametrize("step", [1, 8])
def test_a_removal_that_was_killed_is_finished_by_the_next(own: Workspace, tmp_path: Path, step: int) -> None:
    undisturbed = Workspace(tmp_path / "undisturbed" / "workspace")
    shutil.copytree(own.root, undisturbed.root, symlinks=True)
    housekeep(undisturbed, ALL_OLD, LATER)
    process = multiprocessing.get_context("spawn").Process(target=housekeep_killed_at, args=(own, step))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    require_whole(own)
    housekeep(own, ALL_OLD, LATER)
    require_whole(own)
    assert contents(own) == contents(undisturbed)
    assert not list(own.root.rglob(TRASH))
