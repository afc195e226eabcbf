"""A workspace that starts Prefect servers of its own."""

import os
from collections.abc import Iterator

import pytest

from tasks.runtime.workspace import Workspace
from tasks.server.prefect_server import stop_services


@pytest.fixture
def home(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """A workspace with servers of its own; the suite's server is as it was afterwards."""
    for name in ("PREFECT_API_URL", "PREFECT_HOME", "PREFECT_PROFILE", "PREFECT_PROFILES_PATH"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    yield workspace
    stop_services(workspace)
    from prefect.context import refresh_global_settings_context

    monkeypatch.undo()
    refresh_global_settings_context()
