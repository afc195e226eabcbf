"""Sizes of the workspace's folders: each byte once, the largest first, and no measurement more often than is told."""

import time
from collections.abc import Mapping

import pytest

from tasks.home import disk
from tasks.home.disk import DiskMeter
from tasks.home.status import DiskStatus
from tasks.runtime.workspace import Workspace

SIZES = {"raw/ab/one": 700, "raw/two": 300, "datasets/sky/pixels": 2000, "mlflow.db": 50}


def fill(workspace: Workspace, sizes: Mapping[str, int]) -> None:
    for name, size in sizes.items():
        path = workspace.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"0" * size)


def told(status: DiskStatus) -> list[tuple[str, int]]:
    return [(row.name, row.size) for row in status.rows]


def test_every_byte_is_counted_once_under_what_lies_at_the_top(workspace: Workspace) -> None:
    fill(workspace, SIZES)
    (workspace.root / "empty").mkdir()
    (workspace.root / "again").symlink_to(workspace.root / "raw", target_is_directory=True)
    link = (workspace.root / "again").lstat().st_size
    status = DiskMeter(workspace, patience_s=60).read()
    assert told(status) == sorted(
        [("datasets", 2000), ("raw", 1000), ("mlflow.db", 50), ("again", link)], key=lambda row: -row[1]
    )
    assert status.total == sum(SIZES.values()) + link
    assert status.free is not None
    assert status.free > 0


def test_a_measurement_is_taken_again_only_after_a_while(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(workspace, SIZES)
    monkeypatch.setattr(disk, "AGAIN_S", 3600.0)
    meter = DiskMeter(workspace, patience_s=60)
    first = meter.read()
    fill(workspace, {"raw/three": 5000})
    for _ in range(50):
        later = meter.read()
        assert (later.rows, later.measured_at) == (first.rows, first.measured_at)
        time.sleep(0.002)


def test_the_newest_known_sizes_are_told_while_a_later_measurement_runs(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(workspace, {f"folder-{number}/file": 100 for number in range(60)})
    monkeypatch.setattr(disk, "AGAIN_S", 0.0)
    monkeypatch.setattr(disk, "MOST_SHARE", 1e6)
    meter = DiskMeter(workspace, patience_s=60)
    before = meter.read()
    fill(workspace, {"folder-59/more": 900})
    seen, deadline = [before], time.monotonic() + 60
    while seen[-1] == before and time.monotonic() < deadline:
        seen.append(meter.read().model_copy(update={"free": before.free, "measured_at": before.measured_at}))
        time.sleep(0.0005)
    assert {status.total for status in seen} == {6_000, 6_900}, "never the first folders alone"


def test_a_workspace_that_is_not_there_has_no_size_and_is_not_made(workspace: Workspace) -> None:
    status = DiskMeter(workspace, patience_s=60).read()
    assert (status.rows, status.total, status.free) == ((), 0, None)
    assert status.measured_at is not None
    assert not workspace.root.exists()
