"""The units of systemd: systemd accepts them, their commands are ours, and paths arrive as they are."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

from flows.cli.command import execute
from flows.cli.options import build_parser
from tasks.runtime.workspace import Workspace
from tasks.server.systemd_units import BACKUP, SERVICES, TIMER, UnitSettings, unit_texts, write_units

AWKWARD = 'a b/100% $sky "x"'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The units of a workspace whose path systemd would read otherwise, were it not escaped."""
    project = tmp_path / "50% $project"
    project.mkdir()
    texts = unit_texts(
        Workspace(tmp_path / AWKWARD),
        UnitSettings(project, tmp_path / "b c"),
        {"STARLOOM_INBOX": "/in %h", "HOME": "/h"},
    )
    write_units(tmp_path / "units", texts)
    return tmp_path / "units"


def sections(path: Path) -> ConfigParser:
    parser = ConfigParser(interpolation=None, strict=False)  # systemd takes several lines of one name
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's names have capitals
    parser.read(path, encoding="utf-8")
    return parser


def words_of(value: str) -> list[str]:
    return [word.replace("%%", "%").replace("$$", "$") for word in shlex.split(value)]


@pytest.mark.parametrize("name", [SERVICES, BACKUP, TIMER])
def test_systemd_replaces_nothing_in_them(name: str, folder: Path) -> None:
    text = (folder / name).read_text()
    assert "%%" in text
    assert "%" not in text.replace("%%", "")
    commands = [line for line in text.splitlines() if line.startswith("ExecStart=")]
    assert [line for line in commands if "$" in line.replace("$$", "")] == []


@pytest.mark.parametrize("name", [SERVICES, BACKUP])
def test_its_command_is_one_of_ours_on_the_same_workspace(name: str, folder: Path) -> None:
    python, *module, action = words_of(sections(folder / name)["Service"]["ExecStart"])[:4]
    options = build_parser(with_sky=False).parse_args(words_of(sections(folder / name)["Service"]["ExecStart"])[3:])
    assert (python, module) == (sys.executable, ["-m", "flows.cli.command"])
    assert Path(options.workspace) == folder.parent / AWKWARD
    assert action == ("up" if name == SERVICES else "backup")
    if name == BACKUP:
        assert (options.target, options.keep) == (folder.parent / "b c", 14)


def test_the_services_get_what_they_need_of_the_environment(folder: Path) -> None:
    text = (folder / SERVICES).read_text()
    given = [words_of(line.partition("=")[2])[0] for line in text.splitlines() if line.startswith("Environment=")]
    assert given == [f"STARLOOM_WORKSPACE={folder.parent / AWKWARD}", "STARLOOM_INBOX=/in %h"]


def test_systemd_accepts_them(folder: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed")
    names = [str(folder / name) for name in (SERVICES, BACKUP, TIMER)]
    told = subprocess.run(
        ["systemd-analyze", "--user", "verify", *names],
        env={"XDG_RUNTIME_DIR": str(folder), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )
    about_them = [line for line in told.stderr.splitlines() if "starloom" in line]
    assert (told.returncode, about_them) == (0, [])


def test_without_a_folder_of_backups_there_is_no_timer(
    workspace: Workspace, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert execute(["units", str(tmp_path / "units")]).code == 0
    told = capfd.readouterr()
    assert json.loads(told.out)["files"] == [str(tmp_path / "units" / SERVICES)]
    assert "systemctl --user enable --now starloom.service" in told.err
    assert not workspace.root.exists()
