"""One workspace with an MLflow database for all tests of this folder: making the database takes seconds."""

import pytest

from tasks.tracking import prepare
from tasks.workspace import Workspace


@pytest.fixture(scope="session")
def tracked_workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Shared: give registered models and datasets names of your own. Its own name needs escaping in addresses."""
    workspace = Workspace(tmp_path_factory.mktemp("a b") / "100% sky")
    prepare(workspace)
    return workspace
