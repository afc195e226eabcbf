"""Three versions of one name and one of another, registered once; each test has a copy of the workspace."""

import shutil
from pathlib import Path

import pytest

from tasks.runtime.workspace import Workspace
from tests.small_models import register_small


@pytest.fixture(scope="session")
def with_models(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Champion is version 1 of ``realbogus`` and of ``galaxy-deck-3``. Tests read it; `own` is for writing."""
    workspace = Workspace(tmp_path_factory.mktemp("decided") / "workspace")
    parent = tmp_path_factory.mktemp("saved")
    for mark in ("one", "two", "three"):
        register_small(workspace, parent, "realbogus", mark)
    register_small(workspace, parent, "galaxy-deck-3", "spiral")
    return workspace


@pytest.fixture
def own(with_models: Workspace, tmp_path: Path) -> Workspace:
    shutil.copytree(with_models.root, tmp_path / "own")
    return Workspace(tmp_path / "own")


@pytest.fixture(scope="session")
def unchanged(with_models: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A copy for decisions that are refused: at most the first champions are recorded in it."""
    copy = Workspace(tmp_path_factory.mktemp("refused") / "workspace")
    shutil.copytree(with_models.root, copy.root)
    return copy
