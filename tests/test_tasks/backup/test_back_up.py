"""A backup of a workspace in use: restored elsewhere it is the same, killed it goes on, damaged it is refused."""

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flows.cli.command import execute
from tasks.backup import back_up as making
from tasks.backup.back_up import back_up
from tasks.backup.contents import BackupError
from tasks.backup.restore import check, restore
from tasks.backup.snapshots import copied_sums, finished_snapshots
from tasks.decisions.ledger import read_ledger
from tasks.labelling.answer_log import AnswerLog
from tasks.runtime.progress import progress
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset, current_version
from tasks.store.verification import verify_version
from tests.answer_writers import make_answer
from tests.small_home import fill_workspace

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
NIGHT = "night-2026-11-28"
KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from tasks.backup import back_up as making
from tasks.runtime.workspace import Workspace

name, left = sys.argv[3], [int(sys.argv[4])]
usual = getattr(making, name)

def counted(*words):
    left[0] -= 1
    if left[0] < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return usual(*words)

setattr(making, name, counted)
making.back_up(Workspace(Path(sys.argv[1])), Path(sys.argv[2]), datetime(2026, 11, 30, 11, tzinfo=UTC))
"""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = Workspace(tmp_path_factory.mktemp("backup") / "workspace")
    fill_workspace(workspace)
    return workspace


@pytest.fixture
def own(filled: Workspace, tmp_path: Path) -> Workspace:
    shutil.copytree(filled.root, tmp_path / "own", symlinks=True)
    return Workspace(tmp_path / "own")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "backups"


def later(hours: int) -> datetime:
    return NOW + timedelta(hours=hours)


@pytest.fixture
def at_work(own: Workspace) -> Iterator[None]:
    """What writes into a workspace: a server into MLflow's database, a labeller into the log of answers."""
    ended = threading.Event()

    def serve() -> None:
        with closing(sqlite3.connect(own.root / "mlflow.db", timeout=30)) as database:
            while not ended.wait(0.002):
                with database:
                    database.execute("UPDATE experiments SET last_update_time = last_update_time + 1")

    def answer() -> None:
        log, number = AnswerLog.of(own, NIGHT), 0
        while not ended.wait(0.002):
            log.append(make_answer(f"meanwhile-{number}", labeller="eve"))
            number += 1

    threads = [threading.Thread(target=work) for work in (serve, answer)]
    for thread in threads:
        thread.start()
    yield
    ended.set()
    for thread in threads:
        thread.join()


@pytest.mark.usefixtures("at_work")
def test_restored_elsewhere_it_is_the_same_though_it_was_in_use(own: Workspace, place: Path, tmp_path: Path) -> None:
    before = AnswerLog.of(own, NIGHT).rows()
    summary = back_up(own, place, NOW)
    assert summary["left_out"] == {}
    away = Workspace(tmp_path / "a b" / "100% sky")
    assert restore(place, away)["files"] == summary["files"]
    for folder in away.datasets.iterdir():
        assert current_version(folder) == current_version(own.datasets / folder.name)
        for version in (folder / "versions").iterdir():
            if folder.name in ("sky", "transients"):  # the others are not what their manifests tell
                assert verify_version(Dataset.at(version), away.raw, progress).problems == []
    assert read_ledger(away).faults == []
    assert read_ledger(away).table.equals(read_ledger(own).table)
    rows = AnswerLog.of(away, NIGHT).rows()
    assert rows[: len(before)] == before
    assert rows == AnswerLog.of(own, NIGHT).rows()[: len(rows)]
    assert (away.reports / "sky-000003.html").stat().st_mtime_ns == (own.reports / "sky-000003.html").stat().st_mtime_ns
    with closing(sqlite3.connect(away.root / "mlflow.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        addresses = [row[0] for row in database.execute("SELECT storage_location FROM model_versions")]
    assert addresses
    assert all(address.startswith(f"{away.mlartifacts.as_uri()}/") for address in addresses)


@pytest.mark.parametrize(("step", "count"), [("copy_file", 40), ("write_end", 0), ("sync", 0)])
def test_killed_at_any_point_it_is_no_backup_and_the_next_one_goes_on(
    step: str, count: int, own: Workspace, place: Path, tmp_path: Path
) -> None:
    ran = subprocess.run([sys.executable, "-c", KILLED, str(own.root), str(place), step, str(count)])
    assert ran.returncode == -signal.SIGKILL
    was_finished = step == "sync"  # the folder has its name, which the next backup need not know
    if not was_finished:
        with pytest.raises(BackupError, match="unfinished backup"):
            restore(place, Workspace(tmp_path / "away"))
        assert not (tmp_path / "away").exists()
        (place / "unfinished" / "workspace" / "left").write_text("of a file that is gone by now")
    summary = back_up(own, place, NOW)
    assert summary["copied_bytes"] < summary["size_bytes"]
    assert check(place)["files"] == summary["files"]
    whole = back_up(own, tmp_path / "undisturbed", NOW)
    assert copied_sums(Path(summary["backup"])) == copied_sums(Path(whole["backup"]))
    assert not (Path(summary["backup"]) / "workspace" / "left").exists()
    assert len(finished_snapshots(place)) == 1 + was_finished


@pytest.mark.parametrize(
    "name", ["workspace/mlflow.db", "workspace/datasets/sky/CURRENT", "backup.json", "workspace/decisions/head.json"]
)
def test_a_flipped_byte_is_refused_by_name(name: str, own: Workspace, place: Path, tmp_path: Path) -> None:
    snapshot = Path(back_up(own, place, NOW)["backup"])
    path, away = snapshot / name, Workspace(tmp_path / "away")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    for use in (lambda: restore(place, away), lambda: check(snapshot)):
        with pytest.raises(BackupError, match=name):
            use()
    path.unlink()
    with pytest.raises(BackupError, match=f"{name}.*missing"):
        restore(place, away)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["backups", "own"]


def test_cut_or_changed_digests_are_refused(own: Workspace, place: Path) -> None:
    sums = Path(back_up(own, place, NOW)["backup"]) / "SHA256SUMS"
    lines = sums.read_text().splitlines(keepends=True)
    sums.write_text("".join(lines[:-1]))
    with pytest.raises(BackupError, match=r"has .* files, the backup had"):
        check(place)
    sums.write_text("".join([*lines[:-1], "Z" + lines[-1][1:]]))
    with pytest.raises(BackupError, match=f"damaged in line {len(lines)}"):
        check(place)
    sums.write_text("".join([*lines[:-1], f"{'0' * 64}  workspace/../../outside\n"]))
    with pytest.raises(BackupError, match="no place in a workspace"):
        check(place)


def test_what_is_unchanged_is_linked_and_older_backups_stay_as_they_were(own: Workspace, place: Path) -> None:
    first = Path(back_up(own, place, later(0))["backup"])
    (own.root / "catalogs").mkdir(exist_ok=True)
    (own.root / "catalogs" / "new\nname.csv").write_text("new")
    (own.reports / "sky-000003.html").write_text("written anew")
    summary = back_up(own, place, later(1))
    second = Path(summary["backup"])
    assert summary["copied_bytes"] == len("new") + len("written anew")
    shard = "workspace/datasets/sky/CURRENT"
    assert (first / shard).samefile(second / shard)
    assert not (own.datasets / "sky" / "CURRENT").samefile(second / shard)
    for snapshot in (first, second):
        check(snapshot)
    assert subprocess.run(["sha256sum", "--quiet", "--check", "SHA256SUMS"], cwd=second).returncode == 0
    assert back_up(own, place, later(2), keep=2)["removed_backups"] == 1
    assert [snapshot.name for snapshot in finished_snapshots(place)] == ["2026-11-30T130000Z", "2026-11-30T140000Z"]
    check(second)


def test_a_folder_that_goes_while_it_is_copied_is_not_there_in_part(
    own: Workspace, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = own.datasets / "sky" / "staging" / "request" / "batch-000001"
    batch.mkdir(parents=True)
    for name in ("ledger.parquet", "pixels.npy"):
        (batch / name).write_bytes(b"x")

    def copy(source: Path, target: Path) -> bytes | None:
        digest = usual(source, target)
        if source.name == "ledger.parquet":
            shutil.rmtree(batch.parent)
        return digest

    usual = making.copy_file
    monkeypatch.setattr(making, "copy_file", copy)
    snapshot = Path(back_up(own, place, NOW)["backup"])
    assert not (snapshot / "workspace" / "datasets" / "sky" / "staging").exists()
    check(snapshot)


def test_only_what_belongs_to_the_workspace_is_copied(own: Workspace, place: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "bytes").write_bytes(b"on another disk")
    (own.root / "elsewhere").symlink_to(tmp_path / "disk")
    (own.root / "absolute").symlink_to(own.datasets / "sky" / "CURRENT")
    (own.root / "nothing").symlink_to(tmp_path / "none")
    kept = ("datasets/great-wal/CURRENT", "datasets/x.lock/CURRENT", "reports/server.json")
    dropped = ("mlflow.lock", "raw/.trash/a", "prefect/server.json", "prefect/worker.log", "prefect/processes/1.json")
    dropped += ("datasets/sky/.builder", "mlflow.db-wal", "reports/.a.html.12.part", "datasets/.sky.3.part/CURRENT")
    for name in (*kept, *dropped):
        (own.root / name).parent.mkdir(parents=True, exist_ok=True)
        (own.root / name).write_bytes(b"")
    answers = own.root / "labelling" / NIGHT / "answers.jsonl"
    lines = answers.read_bytes()
    answers.write_bytes(lines + b'{"torn')
    summary = back_up(own, place, NOW)
    assert summary["left_out"] == {"a link to nothing": 1}
    away = Workspace(tmp_path / "away")
    restore(place, away)
    assert (away.root / "elsewhere" / "bytes").read_bytes() == b"on another disk"
    assert (away.root / "absolute").readlink() == Path("datasets", "sky", "CURRENT")
    assert (away.root / "labelling" / NIGHT / "answers.jsonl").read_bytes() == lines
    assert [name for name in kept if not (away.root / name).exists()] == []
    assert [name for name in dropped if (away.root / name).exists()] == []


def test_a_row_that_is_not_committed_is_not_copied(own: Workspace, place: Path) -> None:
    with closing(sqlite3.connect(own.root / "served.db", isolation_level=None)) as server:
        server.execute("PRAGMA journal_mode = WAL")
        server.execute("CREATE TABLE t (x)")
        server.execute("INSERT INTO t VALUES (1)")
        server.execute("BEGIN")
        server.execute("INSERT INTO t VALUES (2)")
        snapshot = Path(back_up(own, place, NOW)["backup"])
    with closing(sqlite3.connect(snapshot / "workspace" / "served.db")) as copy:
        assert copy.execute("SELECT x FROM t").fetchall() == [(1,)]


def test_as_a_command(
    own: Workspace, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STARLOOM_WORKSPACE", "unset")  # `execute` sets it, and must not for later tests
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))

    def told(*words: str) -> tuple[int, Any]:
        status = execute(list(words))
        out = capfd.readouterr().out
        return status.code, json.loads(out) if out else status.error

    away = str(tmp_path / "away")
    assert told("backup", str(place), "--workspace", away)[0] == 2
    assert "is in the workspace" in told("backup", str(own.root / "b"), "--workspace", str(own.root))[1]
    code, summary = told("backup", str(place), "--keep", "3", "--workspace", str(own.root))
    assert code == 0
    assert told("restore", str(place), "--check")[1]["files"] == summary["files"]
    code, error = told("restore", str(place), "--workspace", str(own.root))
    assert (code, "is not empty" in error) == (1, True)
    assert told("restore", str(tmp_path), "--workspace", away) == (
        1,
        f"{tmp_path} holds no backup of a workspace: name a folder that `starloom backup` has written",
    )
    assert not Path(away).exists()
    assert told("restore", str(place), "--workspace", away)[0] == 0
    assert Dataset.open(Workspace(Path(away)), "sky").digest == Dataset.open(own, "sky").digest
