"""Writes that are complete or absent."""

import errno
import hashlib
import os
import sqlite3
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.store.errors import DamagedTableError, DiskFullError
from tasks.store.files import (
    disk_full_named,
    file_stem,
    read_table,
    sha256_of_file,
    sync_tree,
    whole_file,
    whole_folder,
    write_checked_table,
    write_json,
    write_table,
)


def test_a_full_disk_is_named_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    target = tmp_path / "table"

    def fill() -> None:
        with whole_file(target) as path:
            path.write_bytes(b"some")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DiskFullError, match=r"no space left on the disk of .*table"):
        fill()
    assert list(tmp_path.iterdir()) == []


def test_a_file_appears_whole_in_a_folder_that_is_made_for_it(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "er" / "note.txt"
    with whole_file(target) as path:
        path.write_text("whole")
        assert path.parent == target.parent
        assert not target.exists()
    assert target.read_text() == "whole"
    assert [path.name for path in target.parent.iterdir()] == ["note.txt"]
    with whole_file(target) as path:
        path.write_text("again")
    assert target.read_text() == "again"


def test_a_folder_appears_whole_and_leftovers_are_removed(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "er" / "batch"
    left = target.with_name(f".batch.{os.getpid()}.part")
    left.mkdir(parents=True)
    (left / "old").write_text("left by a process that died")
    with whole_folder(target) as folder:
        (folder / "new").write_text("1")
        assert not target.exists()
    assert [path.name for path in target.iterdir()] == ["new"]
    assert [path.name for path in target.parent.iterdir()] == ["batch"]


@pytest.mark.parametrize("whole", [whole_file, whole_folder])
def test_an_error_leaves_what_was_there(tmp_path: Path, whole: Any) -> None:
    target = tmp_path / "target"
    with pytest.raises(RuntimeError), whole(target):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("number", "error"), [(errno.ENOSPC, DiskFullError), (errno.EDQUOT, DiskFullError)])
def test_a_full_disk_or_quota_is_named(tmp_path: Path, number: int, error: type[Exception]) -> None:
    with pytest.raises(error, match=f"disk of {tmp_path}"), disk_full_named(tmp_path):
        raise OSError(number, "full")


def test_an_array_that_does_not_fit_is_named(tmp_path: Path) -> None:
    """NumPy tells it without a number of the error."""
    with pytest.raises(DiskFullError, match=f"disk of {tmp_path}"), disk_full_named(tmp_path):
        raise OSError("500000 requested and 131056 written")


def test_a_database_that_cannot_grow_is_named_and_one_that_is_locked_is_not(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "small.sqlite", isolation_level=None, timeout=0)
    database.execute("CREATE TABLE filler (content)")
    database.execute("PRAGMA max_page_count = 3")
    with pytest.raises(DiskFullError, match=f"disk of {tmp_path}"), disk_full_named(tmp_path):
        database.execute("INSERT INTO filler VALUES (zeroblob(100000))")
    other = sqlite3.connect(tmp_path / "small.sqlite", isolation_level=None, timeout=0)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(sqlite3.OperationalError, match="locked"), disk_full_named(tmp_path):
        database.execute("INSERT INTO filler VALUES (1)")
    other.close()
    database.close()


def test_another_error_of_the_system_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), disk_full_named(tmp_path):
        raise PermissionError(errno.EACCES, "denied")


def test_every_file_and_folder_of_a_tree_is_flushed_but_no_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    for name in ("one", "a/two", "a/b/three"):
        (tmp_path / name).write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "absent")
    flushed: list[str] = []

    def record(descriptor: int) -> None:
        flushed.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))

    monkeypatch.setattr(os, "fsync", record)
    sync_tree(tmp_path)
    names = {str(Path(path).relative_to(tmp_path.resolve())) for path in flushed}
    assert names == {".", "a", "a/b", "one", "a/two", "a/b/three"}


def test_json_is_readable_and_keeps_letters(tmp_path: Path) -> None:
    write_json(tmp_path / "facts.json", {"name": "é", "count": [1]})
    text = (tmp_path / "facts.json").read_text(encoding="utf-8")
    assert text == '{\n  "name": "é",\n  "count": [\n    1\n  ]\n}\n'


def test_a_table_and_a_digest_come_back(tmp_path: Path) -> None:
    write_table(tmp_path / "t.parquet", pa.table({"x": [1, 2]}))
    assert pq.read_table(tmp_path / "t.parquet")["x"].to_pylist() == [1, 2]
    content = b"x" * 3_000_000
    (tmp_path / "bytes").write_bytes(content)
    assert sha256_of_file(tmp_path / "bytes") == hashlib.sha256(content).hexdigest()


def test_a_page_of_a_checked_table_that_changed_is_named_and_one_without_checksum_is_read(tmp_path: Path) -> None:
    table = pa.table({"x": list(range(1000))})
    write_checked_table(tmp_path / "checked.parquet", table)
    write_table(tmp_path / "plain.parquet", table)
    assert read_table(tmp_path / "checked.parquet") == read_table(tmp_path / "plain.parquet") == table
    assert read_table(tmp_path / "checked.parquet", ["x"]).column_names == ["x"]
    content = bytearray((tmp_path / "checked.parquet").read_bytes())
    content[len(content) // 3] ^= 1
    (tmp_path / "checked.parquet").write_bytes(content)
    with pytest.raises(DamagedTableError, match=r"checked\.parquet cannot be read \(.*\); restore it"):
        read_table(tmp_path / "checked.parquet")


@pytest.mark.parametrize(
    ("name", "stem"), [("night-1.v2_x", "night-1.v2_x"), ("2026/03/01  é", "2026_03_01_"), ("a b@c", "a_b_c")]
)
def test_names_of_results_are_fit_for_files(name: str, stem: str) -> None:
    assert file_stem(name) == stem
