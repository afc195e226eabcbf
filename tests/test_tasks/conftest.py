"""One workspace with an MLflow database for all tests of this folder: making the database takes seconds."""

import pytest
from hypothesis import settings

from tasks.runtime.workspace import Workspace
from tasks.tracking.database import prepare

# A deadline an example would fail on a busy machine, and says nothing about the code.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def tracked_workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Shared: give registered models and datasets names of your own. Its own name needs escaping in addresses."""
    workspace = Workspace(tmp_path_factory.mktemp("a b") / "100% sky")
    prepare(workspace)
    return workspace
