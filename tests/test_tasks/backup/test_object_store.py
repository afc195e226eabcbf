"""A backup of a workspace on an object store, restored to a folder and to another address; and of a folder to one."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tasks.backup import copying
from tasks.backup.back_up import back_up
from tasks.backup.contents import BackupError, StoredObject
from tasks.backup.restore import check, restore
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.locks import one_builder
from tasks.store.objects import ObjectFolder
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


def test_a_backup_of_a_folder_is_restored_to_a_store(moto: str, tmp_path: Path) -> None:
    local, away = Workspace(tmp_path / "local"), Workspace.named(f"s3://{BUCKET}/from-a-folder")
    fill(local, tmp_path / "archives")
    left = local.datasets / "four" / "versions" / "000003"  # by a publisher that died
    shutil.copytree(local.datasets / "four" / "versions" / "000002", left, symlinks=True)
    back_up(local, tmp_path / "backups", NOW)
    restore(tmp_path / "backups", away)
    require_same(local, away)
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
