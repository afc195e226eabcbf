"""The workspace's file system, space and inbox, tried on real folders."""

from pathlib import Path

import pytest

from tasks.doctor.workspace_checks import (
    check_file_system,
    check_formats,
    check_inbox,
    check_object_store,
    check_workspace,
    check_writable,
    file_system,
    nearest_folder,
    space_finding,
)
from tasks.runtime.workspace import Workspace
from tests.object_servers import environment, free_port, settings


def test_a_workspace_that_does_not_exist_is_checked_where_it_would_be_made_and_stays_absent(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "new" / "one")
    found = {finding.subject: finding for finding in check_workspace(workspace, {})}
    assert {subject: finding.state for subject, finding in found.items()} == {
        "workspace": "ok",
        "file system": "ok",
        "disk": "ok",
        "inbox": "ok",
    }
    assert found["workspace"].value == f"{workspace.root}, made by the first command"
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_the_workspace_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    root = tmp_path / "file" / "workspace"
    assert nearest_folder(root) == tmp_path / "file"
    found = check_writable(root, nearest_folder(root))
    assert found.state == "problem"
    assert f"{root} cannot be written" in found.value
    assert "--workspace DIR" in found.remedy


def test_a_network_file_system_is_a_warning(tmp_path: Path) -> None:
    assert check_file_system(tmp_path, "nfs4").state == "warning"
    assert check_file_system(tmp_path, "ext4").state == "ok"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no procfs here")
def test_the_type_is_that_of_the_innermost_mount() -> None:
    assert file_system(Path("/proc/self")) == "proc"


def test_the_less_space_is_left_the_worse() -> None:
    assert [space_finding(free, 100.0).state for free in (50.0, 5.0, 0.5)] == ["ok", "warning", "problem"]


def test_an_object_store_that_does_not_answer_is_a_problem_and_a_folder_has_none(tmp_path: Path) -> None:
    assert check_object_store(Workspace(tmp_path)) == []
    endpoint = f"http://127.0.0.1:{free_port()}"
    with environment(settings(endpoint)):
        (found,) = check_object_store(Workspace(tmp_path, "s3://bucket/survey"))
    assert found.state == "problem"
    assert "s3://bucket/survey/.starloom-probe/" in found.value
    assert endpoint in found.remedy


def test_an_inbox_that_is_named_has_to_be_there(tmp_path: Path) -> None:
    workspace, named = Workspace(tmp_path / "workspace"), tmp_path / "inbox"
    assert check_inbox(workspace, {}).state == "ok"
    missing = check_inbox(workspace, {"STARLOOM_INBOX": str(named)})
    assert (missing.state, "STARLOOM_INBOX" in missing.value) == ("problem", True)
    for name in ("2026-11-29", "2026-11-30", "notes"):
        (named / name).mkdir(parents=True)
    assert check_inbox(workspace, {"STARLOOM_INBOX": str(named)}).value.endswith("nights: 2")
    assert list(tmp_path.iterdir()) == [named]


def test_formats_of_datasets_are_counted_and_one_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)

    def write(version: int, manifest: str) -> None:
        folder = workspace.datasets / "sky" / "versions" / f"{version:06d}"
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(manifest)

    write(1, '{"format_version": 1}')
    write(2, '{"format_version": 2}')
    write(3, '{"format_version": 2}')
    [found] = check_formats(workspace)
    assert (found.state, found.value) == (
        "ok",
        "dataset versions: 1 of format 1, 2 of format 2; read as they are, nothing to upgrade",
    )
    write(4, '{"format_version": 3}')
    write(5, "[")
    [found] = check_formats(workspace)
    assert found.state == "problem"
    assert found.value == "2 dataset versions cannot be read by this program: sky@4, sky@5"
