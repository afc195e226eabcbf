"""Housekeeping on an object store: what goes and stays is what does in a folder, and other machines are heeded."""

import json
import multiprocessing
import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from obstore.store import S3Store

from tasks.housekeeping import housekeep as housekeep_module
from tasks.housekeeping.housekeep import housekeep
from tasks.housekeeping.references import Plan, plan_removal
from tasks.housekeeping.removal import finish_removals
from tasks.housekeeping.request import GB, HousekeepingRequest
from tasks.housekeeping.rules import BUSY, READ_ELSEWHERE, UNREADABLE, Rules
from tasks.housekeeping.survey import survey_workspace
from tasks.housekeeping.turn import HousekeepingBusyError, only_keeper
from tasks.runtime.workspace import ENVIRONMENT_NAME, Workspace
from tasks.store.dataset import Dataset
from tasks.store.locks import one_builder
from tasks.store.object_store import at_work
from tasks.store.object_store.at_work import ClockError, KeeperBusyError, announced_builder, keepers_turn
from tasks.store.object_store.objects import ObjectFolder
from tasks.store.object_store.removal import NOTE, remove_below
from tasks.store.places import dataset_objects, list_files, raw_place
from tasks.store.verification import verify_version
from tasks.tracking.database import correct_addresses, prepare
from tests.object_servers import BUCKET, environment, moto_server, settings
from tests.small_workspace import LATER, make_workspace

ALL_OLD = HousekeepingRequest(keep_versions=1, keep_nights=0, plan_only=False)
PLAN = ALL_OLD.model_copy(update={"plan_only": True})
OLD_DATASET = "dataset version four@3"


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with moto_server() as endpoint, environment(settings(endpoint)):
        yield endpoint


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace in a folder, of which no holdout names a dataset version."""
    folder = tmp_path_factory.mktemp("made")
    workspace = Workspace(folder / "workspace")
    make_workspace(workspace, folder / "archives")
    (workspace.root / "decisions" / "holdouts" / "h.json").unlink()
    return workspace


@pytest.fixture
def own(made: Workspace, workspace: Workspace) -> Workspace:
    shutil.copytree(made.root, workspace.root, symlinks=True)
    prepare(workspace)
    return workspace


@pytest.fixture
def there(
    made: Workspace, moto: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Workspace:
    """The same workspace with its datasets and raw bytes on a store."""
    monkeypatch.setenv("STARLOOM_STATE", str(tmp_path / "state"))
    there = Workspace.named(f"s3://{BUCKET}/{re.sub('[^a-z0-9]+', '-', request.node.name)}")
    monkeypatch.setenv(ENVIRONMENT_NAME, there.name)
    shutil.copytree(made.root, there.root, ignore=shutil.ignore_patterns("datasets", "raw"))
    for name in ("datasets", "raw"):
        for path in (path for path in (made.root / name).rglob("*") if path.is_file()):
            if not any(parent.is_symlink() for parent in path.parents) and path.suffix not in (".lock", ".sqlite"):
                objects_of(there).put(path.relative_to(made.root).as_posix(), path.read_bytes())
    correct_addresses(there)
    return there


def objects_of(workspace: Workspace) -> ObjectFolder:
    return ObjectFolder(str(workspace.address))


def dataset_of(workspace: Workspace) -> ObjectFolder:
    objects = dataset_objects(workspace, "four")
    assert objects is not None
    return objects


def planned(workspace: Workspace, now: float = LATER, **changes: Any) -> set[str]:
    """Return the keys of what would go; raw bytes without their day."""
    items = survey_workspace(workspace, Rules(ALL_OLD.model_copy(update=changes), now)).items
    return {item.key.partition(" of day")[0] for item in plan_removal(items, 0, None).removed}


def reasons(workspace: Workspace, now: float) -> dict[str, str | None]:
    """Return why things are kept for a reason of their own, whatever their age."""
    rules = Rules(ALL_OLD.model_copy(update={"keep_days": 0}), now)
    return {item.key.partition(" of day")[0]: item.kept for item in survey_workspace(workspace, rules).items}


def versions_of(workspace: Workspace) -> set[str]:
    names = dataset_of(workspace).names("versions")
    return {name.split("/")[1] for name in names if name.endswith("/manifest.json")}


def require_whole(workspace: Workspace) -> None:
    """Every version that has a manifest verifies, with its raw bytes."""
    for number in versions_of(workspace):
        dataset = Dataset.open(workspace, f"four@{int(number)}")
        found = verify_version(dataset, raw_place(workspace), lambda *_: nullcontext(lambda _: None))
        assert (found.problems, found.raw_missing) == ([], 0)
        assert found.pixels_ok == found.samples > 0


def kept_files(workspace: Workspace) -> set[str]:
    """Return the names of dataset files and raw bytes, in the folder or on the store."""
    names: set[str] = set()
    for part in ("datasets", "raw"):
        place = workspace.root / part if workspace.address is None else objects_of(workspace) / part
        names |= {f"{part}/{name}" for name in list_files(place)}
    of_a_process = re.compile(r".*(\.lock|requests\.sqlite.*|/000\d\d\d/pixels\.zarr|/readers/.*|/plan\.json)")
    return {name for name in names if not of_a_process.fullmatch(name)}


def test_what_goes_and_stays_is_what_does_in_a_folder(own: Workspace, there: Workspace) -> None:
    before = planned(own)
    assert {OLD_DATASET, "raw bytes"} <= before
    assert planned(there) == before
    assert kept_files(there) == kept_files(own)
    plan = housekeep(there, PLAN, LATER)
    assert kept_files(there) == kept_files(own)
    summary = housekeep(there, ALL_OLD, LATER)
    assert summary["items"] == plan["items"] == housekeep(own, ALL_OLD, LATER)["items"]
    assert summary["removed_gb"] == summary["removable_gb"] > 0
    assert (summary["skipped"], summary["problems"]) == ({}, [])
    assert kept_files(there) == kept_files(own)
    assert versions_of(there) == {"000001", "000002", "000004"}
    assert not (there.datasets / "four" / "versions" / "000003").exists()  # the copy of its tables
    require_whole(there)
    assert planned(there) == set()


def test_journals_and_staged_batches_that_nobody_goes_on_with_go(there: Workspace) -> None:
    left = ("staging/publish-gone/000004/samples.parquet", "staging/given-up/batch-000000/pixels.npy")
    for key in left:
        dataset_of(there).put(key, b"left")
    stays = planned(there, now=time.time())
    assert planned(there) - stays >= {"unfinished build four given-up", "unfinished build four publish-gone"}
    housekeep(there, ALL_OLD, LATER)
    assert not dataset_of(there).names("staging")
    require_whole(there)


def test_what_another_machine_builds_stays_and_raw_bytes_too(there: Workspace, tmp_path: Path) -> None:
    another = Workspace(tmp_path / "another machine", there.address)
    objects = dataset_of(there)
    assert OLD_DATASET in planned(there, now=time.time() + 60, keep_days=0)
    with announced_builder(another.datasets / "four", objects):
        found = reasons(there, time.time())
        assert (found[OLD_DATASET], found["raw bytes"]) == (BUSY, BUSY)
        assert reasons(there, time.time() + at_work.GONE_S + 60)[OLD_DATASET] is None  # that machine is lost
    with announced_builder(there.datasets / "four", objects):  # of this machine the lock tells
        assert reasons(there, time.time())[OLD_DATASET] is None
    assert not objects.names("at-work")


def test_what_another_machine_has_read_stays(there: Workspace, tmp_path: Path) -> None:
    Dataset.open(Workspace(tmp_path / "another machine", there.address), "four@3")
    assert reasons(there, LATER)[OLD_DATASET] == READ_ELSEWHERE
    assert OLD_DATASET not in planned(there)


def test_a_housekeeping_is_no_reader(there: Workspace, tmp_path: Path) -> None:
    planned(Workspace(tmp_path / "another machine", there.address))
    assert not dataset_of(there).names("readers/000001")
    assert reasons(there, LATER)[OLD_DATASET] is None


def test_what_another_machine_reads_after_the_survey_stays(
    there: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    another, plan = Workspace(tmp_path / "another machine", there.address), housekeep_module.plan_removal

    def read_meanwhile(*words: Any) -> Plan:
        Dataset.open(another, "four@3")
        return plan(*words)

    monkeypatch.setattr(housekeep_module, "plan_removal", read_meanwhile)
    summary = housekeep(there, ALL_OLD, LATER)
    assert summary["skipped"][READ_ELSEWHERE] == 1
    assert "000003" in versions_of(there)
    require_whole(there)


def test_a_machine_whose_copy_is_there_already_is_noted_as_a_reader(there: Workspace, tmp_path: Path) -> None:
    another = Workspace(tmp_path / "another machine", there.address)
    copy = another.datasets / "four" / "versions" / "000003"
    shutil.copytree(Dataset.open(there, "four@3").path, copy)
    Dataset.open(another, "four@3")
    assert len(dataset_of(there).names("readers/000003")) == 2
    assert reasons(there, LATER)[OLD_DATASET] == READ_ELSEWHERE


def test_a_state_folder_has_one_token_for_all_its_datasets(there: Workspace, tmp_path: Path) -> None:
    make_night(there)
    for name in ("four", *NIGHT_SETS):
        Dataset.open(there, f"{name}@1")
    tokens = {night_objects(there, name).names("readers")[0].rpartition("/")[2] for name in ("four", *NIGHT_SETS)}
    assert tokens == {(there.root / "state-token").read_text()}


def test_a_removal_that_died_is_left_to_a_builder_and_is_finished_before_the_survey(
    there: Workspace, tmp_path: Path
) -> None:
    another, objects = Workspace(tmp_path / "another machine", there.address), dataset_of(there)
    prefix = "staging/given-up"
    objects.put(f"{prefix}/left", bytes(5_000_000))
    objects.put(NOTE, json.dumps([prefix]).encode())
    with one_builder(there.datasets / "four"):
        finish_removals(there, time.time())
    assert objects.names(prefix)
    objects.put("at-work/another.json", b'{"host": "another"}')
    finish_removals(there, time.time())
    assert objects.names(prefix)
    objects.delete("at-work/another.json")
    size = housekeep(there, PLAN, LATER)["size_gb"]
    summary = housekeep(there, ALL_OLD.model_copy(update={"budget_gb": size - 0.004}), LATER)
    assert (objects.names(prefix), summary["items"]) == ([], {})  # what was doomed gave back more than was asked
    objects.put("staging/again/left", b"left")
    objects.put(NOTE, b'["staging/again"]')
    with one_builder(another.datasets / "four"), announced_builder(another.datasets / "four", objects):
        assert not objects.names("staging/again")
        assert not objects.has(NOTE)


def test_a_plan_counts_what_a_removal_that_died_has_named_as_going(there: Workspace) -> None:
    objects, size = dataset_of(there), 5_000_000
    before = housekeep(there, PLAN, LATER)
    objects.put("staging/given-up/left", bytes(size))
    local = there.datasets / "four" / "staging" / "given-up" / "plan.json"
    local.parent.mkdir(parents=True)
    local.write_bytes(bytes(1000))
    objects.put(NOTE, b'["staging/given-up"]')
    plan = housekeep(there, PLAN, LATER)
    assert plan["removable_gb"] - before["removable_gb"] == pytest.approx((size + 1000) / GB, abs=1e-6)
    budget = plan["size_gb"] - size / GB
    assert housekeep(there, PLAN.model_copy(update={"budget_gb": budget + 1e-3}), LATER)["items"] == {}


def test_a_builder_that_died_does_not_keep_a_removed_dataset(there: Workspace) -> None:
    make_night(there)
    for name in NIGHT_SETS:
        night_objects(there, name).put("at-work/gone.json", b'{"host": "gone"}')
    housekeep(there, ALL_OLD, time.time())
    assert [night_objects(there, name).has("at-work/gone.json") for name in NIGHT_SETS] == [True, True]
    housekeep(there, ALL_OLD, LATER)
    assert (objects_of(there) / "datasets").folders() == ["four"]


def test_a_copy_of_a_version_that_is_gone_goes(there: Workspace) -> None:
    copy = Dataset.open(there, "four@3").path
    remove_below(dataset_of(there), ["versions/000003", "readers/000003"])  # and the keeper died
    assert "copy of a version four@3" in planned(there) - planned(there, now=time.time())
    housekeep(there, ALL_OLD, LATER)
    assert not copy.exists()
    assert not any(key.startswith("copy") for key in planned(there))


def test_a_machine_whose_clock_is_off_does_nothing(there: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = time.time
    with monkeypatch.context() as changes:
        changes.setattr(time, "time", lambda: usual() + at_work.CLOCK_S + 60)
        expected = r"the clock of this machine is \+3\d\d s off that of s3://.*: set it"
        with pytest.raises(ClockError, match=expected), keepers_turn(objects_of(there), removes=True):
            pass
        builder = announced_builder(there.datasets / "four", dataset_of(there))
        with pytest.raises(ClockError, match=expected), builder:
            pass
    assert not [name for name in objects_of(there).names() if "at-work/" in name]


def test_a_turn_is_taken_though_the_answer_was_lost_and_the_request_sent_again(
    there: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = S3Store.put

    def answer_lost(store: S3Store, key: str, content: bytes, **more: Any) -> Any:
        put(store, key, content, **more)
        if more.get("mode") is not None:
            put(store, key, content, **more)

    monkeypatch.setattr(S3Store, "put", answer_lost)
    with keepers_turn(objects_of(there), removes=True):
        assert objects_of(there).has(at_work.KEEPER)
    objects_of(there).put(at_work.KEEPER, b'{"host": "gone", "removes": true}')
    monkeypatch.setattr(at_work, "GONE_S", 0.0)  # that one is forgotten at once
    assert at_work._take(objects_of(there), b'{"host": "here", "removes": true}')


NIGHT = "2026-02-01"
NIGHT_SETS = (f"night-{NIGHT}", f"night-{NIGHT}-sky")


def night_objects(workspace: Workspace, name: str) -> ObjectFolder:
    objects = dataset_objects(workspace, name)
    assert objects is not None
    return objects


def make_night(workspace: Workspace) -> None:
    """Two datasets of one night, each the first version of dataset ``four`` under another name."""
    for name in NIGHT_SETS:
        for key in dataset_of(workspace).names("versions/000001") + dataset_of(workspace).names("pixels.zarr"):
            content = dataset_of(workspace).get(key) or b""
            if key.endswith("manifest.json"):
                content = json.dumps(json.loads(content) | {"name": name}).encode()
            night_objects(workspace, name).put(key, content)
        night_objects(workspace, name).put("CURRENT", b"1\n")


def test_a_night_goes_with_all_its_datasets(there: Workspace) -> None:
    make_night(there)
    assert f"night {NIGHT}" in planned(there)
    summary = housekeep(there, ALL_OLD, LATER)
    assert summary["skipped"] == {}
    assert [night_objects(there, name).names() for name in NIGHT_SETS] == [[], []]
    assert not [name for name in NIGHT_SETS if list((there.datasets / name).glob("versions/*"))]


@pytest.mark.parametrize("name", NIGHT_SETS)
def test_a_night_stays_while_any_of_its_datasets_is_built_or_is_read_elsewhere(
    there: Workspace, tmp_path: Path, name: str
) -> None:
    make_night(there)
    another = Workspace(tmp_path / "another machine", there.address)
    assert reasons(there, time.time())[f"night {NIGHT}"] is None
    with announced_builder(another.datasets / name, night_objects(there, name)):
        assert reasons(there, time.time())[f"night {NIGHT}"] == BUSY
    with one_builder(there.datasets / name):
        assert reasons(there, time.time())[f"night {NIGHT}"] == BUSY
    Dataset.open(another, name)
    assert reasons(there, time.time())[f"night {NIGHT}"] == READ_ELSEWHERE


def test_a_version_that_is_not_complete_keeps_its_dataset_and_raw_bytes(there: Workspace) -> None:
    dataset_of(there).put("versions/000005/manifest.json", b"{}")
    found = reasons(there, LATER)
    assert (found[OLD_DATASET], found["raw bytes"]) == (UNREADABLE, UNREADABLE)
    summary = housekeep(there, ALL_OLD, LATER)
    assert any("000005 is above the published version" in problem for problem in summary["problems"])
    assert versions_of(there) == {"000001", "000002", "000003", "000004", "000005"}


def test_a_builder_waits_for_a_housekeeping_and_a_second_one_is_refused(
    there: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(at_work, "_POLL_S", 0.02)
    another = Workspace(tmp_path / "another machine", there.address)
    begun = threading.Event()

    def build() -> None:
        with announced_builder(another.datasets / "four", dataset_of(there)):
            begun.set()

    builder = threading.Thread(target=build)
    with keepers_turn(objects_of(there), removes=True):
        with pytest.raises(
            HousekeepingBusyError, match=f"keeps house in {there.address}, backs it up or restores to it, on"
        ):
            housekeep(another, ALL_OLD, LATER)
        builder.start()
        assert not begun.wait(0.3)
    assert begun.wait(20)
    builder.join()
    with keepers_turn(objects_of(there), removes=False):  # of a backup
        build()


def test_a_keeper_that_died_is_forgotten_and_one_that_slept_stops(
    there: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    another = Workspace(tmp_path / "another machine", there.address)
    with only_keeper(there, removes=True) as require_turn:
        require_turn()
        monkeypatch.setattr(at_work, "GONE_S", 2.0)
        time.sleep(2.1)
        with only_keeper(another, removes=True) as require_its_turn:
            require_its_turn()
            with pytest.raises(KeeperBusyError, match="lost its turn: run the same command again"):
                require_turn()
    assert not objects_of(there).has(at_work.KEEPER)


def housekeep_killed_at(given: dict[str, str], step: int) -> None:
    """Keep house in this process, which is killed before it removes the object of that number."""
    os.environ.update(given)
    left, delete = [step], S3Store.delete

    def counted(*words: Any, **more: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return delete(*words, **more)

    S3Store.delete = counted  # type: ignore[method-assign]
    housekeep(Workspace.current(), ALL_OLD, LATER)


@pytest.mark.parametrize("step", [1, 3])
def test_a_removal_that_was_killed_is_finished_by_the_next(there: Workspace, own: Workspace, step: int) -> None:
    given = {ENVIRONMENT_NAME: there.name, "STARLOOM_STATE": os.environ["STARLOOM_STATE"]}
    process = multiprocessing.get_context("spawn").Process(target=housekeep_killed_at, args=(given, step))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert dataset_of(there).has(NOTE)
    assert versions_of(there) == {"000001", "000002", "000004"}
    require_whole(there)
    objects_of(there).delete(at_work.KEEPER)  # forgotten after `GONE_S`
    housekeep(there, ALL_OLD, LATER)
    housekeep(own, ALL_OLD, LATER)
    assert kept_files(there) == kept_files(own)
    require_whole(there)
