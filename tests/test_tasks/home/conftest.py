"""A filled workspace that tests only read, and copies of it for tests that change something."""

import shutil
from pathlib import Path

import pytest

from tasks.home.status import WorkspaceStatus
from tasks.home.status_reader import StatusReader
from tasks.runtime.workspace import Workspace
from tests.small_home import fill_workspace


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = Workspace(tmp_path_factory.mktemp("home") / "workspace")
    fill_workspace(workspace)
    return workspace


@pytest.fixture(scope="session")
def status(filled: Workspace) -> WorkspaceStatus:
    return StatusReader(filled, patience_s=60).read()


@pytest.fixture
def own(filled: Workspace, tmp_path: Path) -> Workspace:
    shutil.copytree(filled.root, tmp_path / "own", symlinks=True)
    return Workspace(tmp_path / "own")
