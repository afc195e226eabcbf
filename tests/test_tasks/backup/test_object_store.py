"""A backup of a workspace on an object store, restored to a folder and to another address; and of a folder to one."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flows.cli.actions import require_usable
from tasks.backup import copying
from tasks.backup.back_up import back_up
from tasks.backup.contents import BackupError, StoredObject
from tasks.backup.restore import check, restore
from tasks.backup.restored_objects import Upload
from tasks.housekeeping.turn import HousekeepingBusyError
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.locks import one_builder
from tasks.store.object_store import at_work
from tasks.store.object_store.at_work import KeeperBusyError, announced_builder
from tasks.store.object_store.objects import ObjectFolder
from tasks.store.object_store.restoring import RESTORING, RestoringError
from tasks.store.places import raw_place
from tasks.store.raw import open_raw
from tasks.store.verification import verify_version
from tests.object_servers import BUCKET, environment, moto_server, settings
from tests.small_backfills import archive_request, build, write_archive

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    states = {"STARLOOM_STATE": str(tmp_path_factory.mktemp("state"))}
    with moto_server() as endpoint, environment(settings(endpoint) | states):
        yield endpoint


def fill(workspace: Workspace, archives: Path) -> None:
    """Two versions of a dataset with raw bytes, a recorded request and a refusal, and a page in the state folder."""
    for number in (1, 2):
        add(workspace, archives, number)
    raw = open_raw(raw_place(workspace))
    raw.put_answer("GET a", b"picture")
    raw.put_refusal("GET b", "http_404")
    workspace.reports.mkdir(parents=True)
    (workspace.reports / "page.html").write_text("a page")


def add(workspace: Workspace, archives: Path, number: int) -> Dataset:
    table = write_archive(archives / str(number), 8 + 4 * number)
    with one_builder(workspace.datasets / "four"):
        return build(workspace, archive_request(table, "gz1-majority-2class", min_stored_fraction=0.0))


@pytest.fixture(scope="module")
def there(moto: str, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = Workspace.named(f"s3://{BUCKET}/survey")
    fill(workspace, tmp_path_factory.mktemp("archives"))
    return workspace


@pytest.fixture
def snapshot(there: Workspace, tmp_path: Path) -> Path:
    return Path(back_up(there, tmp_path / "backups", NOW)["backup"])


def objects_of(workspace: Workspace) -> ObjectFolder:
    return ObjectFolder(str(workspace.address))


def require_same(one: Workspace, other: Workspace) -> None:
    """Versions have the same digests and verify with their raw bytes, requests the same answers, pages their text."""
    for reference in ("four", "four@1"):
        datasets = [Dataset.open(workspace, reference) for workspace in (one, other)]
        assert (datasets[0].version, datasets[0].digest) == (datasets[1].version, datasets[1].digest)
        found = verify_version(datasets[1], raw_place(other), lambda *_: nullcontext(lambda _: None))
        assert (found.problems, found.raw_missing) == ([], 0)
        assert found.pixels_ok == found.raw_checked == found.samples > 0
    answer, refusal = (open_raw(raw_place(other)).answer(f"GET {name}") for name in ("a", "b"))
    assert answer is not None
    assert refusal is not None
    assert (answer.content, refusal.reason) == (b"picture", "http_404")
    assert (other.reports / "page.html").read_text() == "a page"


def test_restored_to_a_folder_it_is_an_ordinary_workspace(there: Workspace, snapshot: Path, tmp_path: Path) -> None:
    away = Workspace(tmp_path / "away")
    summary = restore(snapshot, away)
    assert (summary["of"], summary["workspace"]) == (there.address, str(away.root))
    require_same(there, away)
    assert (away.datasets / "four/versions/000002/pixels.zarr/zarr.json").is_file()
    assert (there.root / "state-token").is_file()
    assert not (away.root / "state-token").exists()  # it is the name of one state folder
    assert add(away, tmp_path / "archives", 3).version == 3
    by_hand = Workspace(tmp_path / "by hand")
    shutil.copytree(snapshot / "workspace", by_hand.root, symlinks=True)
    require_same(there, by_hand)


def test_restored_to_another_address_it_is_the_same_and_grows(there: Workspace, snapshot: Path, tmp_path: Path) -> None:
    away = Workspace.named(f"s3://{BUCKET}/away")
    assert restore(snapshot, away)["workspace"] == away.address
    require_same(there, away)
    names = [{key for key in objects_of(one).names() if "/readers/" not in key} for one in (there, away)]
    assert names[0] == names[1]
    assert add(away, tmp_path / "archives", 3).version == 3
    with pytest.raises(BackupError, match=f"{away.root} is not empty"):
        restore(snapshot, away)
    shutil.rmtree(away.root)
    with pytest.raises(BackupError, match=f"{away.address} is not empty: name another address"):
        restore(snapshot, away)


def test_a_backup_of_a_folder_is_restored_to_a_store(
    moto: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local, away = Workspace(tmp_path / "local"), Workspace.named(f"s3://{BUCKET}/from-a-folder")
    fill(local, tmp_path / "archives")
    left = local.datasets / "four" / "versions" / "000003"  # by a publisher that died
    shutil.copytree(local.datasets / "four" / "versions" / "000002", left, symlinks=True)
    (local.datasets / "four" / "versions" / "notes").write_text("by hand")
    back_up(local, tmp_path / "backups", NOW)
    monkeypatch.chdir(tmp_path)
    restore(Path("backups"), away)
    require_same(local, away)
    assert check(Path("backups"))["files"] > 0
    assert not objects_of(away).names("datasets/four/versions/000003")
    assert add(away, tmp_path / "more", 3).version == 3


def test_what_is_unchanged_is_linked_and_not_read_again(
    there: Workspace, snapshot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    usual = copying._copy_object
    monkeypatch.setattr(
        copying, "_copy_object", lambda source, target: read.append(source.file.key) or usual(source, target)
    )
    objects_of(there).put("raw/ab/new", b"new")
    try:
        summary = back_up(there, snapshot.parent, NOW + timedelta(hours=1))
    finally:
        objects_of(there).delete("raw/ab/new")
    assert sorted(read) == ["CURRENT", "ab/new", "pixels.zarr/pixels/zarr.json", "pixels.zarr/zarr.json"]
    assert summary["copied_bytes"] == len(b"new")
    shard = "workspace/datasets/four/pixels.zarr/pixels/c/0/0/0/0"
    assert (Path(summary["backup"]) / shard).samefile(snapshot / shard)
    assert (
        check(snapshot.parent)["files"]
        == summary["files"]
        == json.loads((snapshot / "backup.json").read_text())["files"] + 1
    )


def test_what_belongs_to_a_process_is_left_out_and_batches_are_whole(
    there: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, gone = (f"datasets/four/staging/request/batch-00000{number}" for number in (0, 1))
    files = [f"{folder}/{name}" for folder in (batch, gone) for name in ("pixels.npy", "crc32.json", "ledger.parquet")]
    others = (
        "staging/publish-a/000003/samples.parquet",
        "staging/request/rows.json",
        "readers/000001/a",
        "at-work/a.json",
    )
    dropped = [
        *(f"datasets/four/{name}" for name in others),
        "raw/budget/host.next",
        "datasets/four/versions/000003/manifest.json",
    ]
    for name in (*files, *dropped):
        objects_of(there).put(name, b"{}")

    def copy(source: StoredObject, target: Path) -> bytes:
        if source.file.key.endswith("batch-000001/ledger.parquet"):  # a builder published it meanwhile
            objects_of(there).clear(gone)
        return usual(source, target)

    usual = copying._copy_object
    monkeypatch.setattr(copying, "_copy_object", copy)
    copied = Path(back_up(there, tmp_path / "backups", NOW)["backup"]) / "workspace"
    for name in (*files, *dropped):
        objects_of(there).delete(name)
    assert [name for name in files if (copied / name).exists()] == files[:3]
    assert [name for name in dropped if (copied / name).exists()] == []
    assert (copied / "datasets/four/CURRENT").read_text() == "2\n"


def test_a_restore_that_fails_leaves_nothing_and_one_that_was_killed_is_begun_anew(
    there: Workspace, snapshot: Path
) -> None:
    away = Workspace.named(f"s3://{BUCKET}/damaged")
    shard = snapshot / "workspace/datasets/four/pixels.zarr/pixels/c/0/0/0/0"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1])
    with pytest.raises(BackupError, match=r"is damaged: workspace/datasets/four/pixels.zarr/pixels/c/0/0/0/0"):
        restore(snapshot, away)
    assert objects_of(away).names() == []
    assert not away.root.exists()
    shard.write_bytes(whole)
    objects_of(away).put("restoring.json", b"{}")  # as a killed restore leaves it
    objects_of(away).put("raw/ab/left", b"left")
    restore(snapshot, away)
    require_same(there, away)
    assert not objects_of(away).has("raw/ab/left")
    assert not objects_of(away).has("restoring.json")
    assert os.environ["STARLOOM_STATE"] in str(away.root)


def test_a_restore_that_was_killed_before_its_end_is_used_by_nobody(
    there: Workspace, snapshot: Path, tmp_path: Path
) -> None:
    away = Workspace.named(f"s3://{BUCKET}/killed-at-the-end")
    restore(snapshot, away)
    objects_of(away).put(RESTORING, b"{}")  # CURRENT is there, the mark is not removed
    expected = f"a restore to {away.address} was interrupted: run it again"
    with pytest.raises(RestoringError, match=expected):
        require_usable(away)
    with (
        pytest.raises(RestoringError, match=expected),
        announced_builder(away.datasets / "four", objects_of(away) / "datasets/four"),
    ):
        pass
    with pytest.raises(RestoringError, match=expected):
        back_up(away, tmp_path / "of half a workspace", NOW)
    with pytest.raises(BackupError, match=f"{away.root} is not empty: it is this machine's state folder"):
        restore(snapshot, away)
    shutil.rmtree(away.root)
    restore(snapshot, away)
    require_usable(away)
    require_same(there, away)


def test_a_second_restore_is_refused_and_removes_nothing(there: Workspace, snapshot: Path) -> None:
    away = Workspace.named(f"s3://{BUCKET}/twice")
    with Upload.begin(objects_of(away)) as upload:
        upload.take(snapshot / "backup.json", "raw/ab/first")
        with pytest.raises(KeeperBusyError, match=f"in {away.address}, backs it up or restores to it"):
            restore(snapshot, away)
        assert objects_of(away).names() == [at_work.KEEPER, "raw/ab/first", RESTORING]
        upload.finish()
    assert objects_of(away).names() == ["raw/ab/first"]


def test_a_restore_that_fails_removes_what_it_wrote_and_no_more(
    there: Workspace, snapshot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = Workspace.named(f"s3://{BUCKET}/renamed")

    def full(*_: object) -> None:
        objects_of(away).put("raw/ab/of another", b"its own")
        raise KeyboardInterrupt

    with monkeypatch.context() as changes:
        changes.setattr(Path, "rename", full)
        with pytest.raises(KeyboardInterrupt):
            restore(snapshot, away)
    assert objects_of(away).names() == ["raw/ab/of another"]
    assert not away.root.exists()


def test_a_restore_that_is_interrupted_after_its_end_stays(
    there: Workspace, snapshot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away, finish = Workspace.named(f"s3://{BUCKET}/after-its-end"), Upload.finish

    def interrupted(upload: Upload) -> None:
        finish(upload)
        raise KeyboardInterrupt

    monkeypatch.setattr(Upload, "finish", interrupted)
    with pytest.raises(KeyboardInterrupt):
        restore(snapshot, away)
    require_same(there, away)


def test_a_link_among_datasets_is_named_and_nothing_is_restored_to_a_store(moto: str, tmp_path: Path) -> None:
    local, away = Workspace(tmp_path / "local"), Workspace.named(f"s3://{BUCKET}/linked")
    fill(local, tmp_path / "archives")
    (local.datasets / "alias").symlink_to("four")
    back_up(local, tmp_path / "backups", NOW)
    with pytest.raises(BackupError, match="datasets/alias of the backup is a link, which an object store cannot hold"):
        restore(tmp_path / "backups", away)
    assert objects_of(away).names() == []


def test_a_backup_that_lost_its_turn_is_not_finished(
    there: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = copying._copy_object

    def copy(source: StoredObject, target: Path) -> bytes:
        objects_of(there).put(at_work.KEEPER, b"{}")  # of a housekeeping, while this process slept
        return usual(source, target)

    monkeypatch.setattr(copying, "_copy_object", copy)
    with pytest.raises(HousekeepingBusyError, match="lost its turn: run the same command again"):
        back_up(there, tmp_path / "backups", NOW)
    objects_of(there).delete(at_work.KEEPER)
    assert [path.name for path in (tmp_path / "backups").glob("[!.]*")] == ["unfinished"]
