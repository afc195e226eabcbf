"""Fixtures that the whole suite shares: a temporary workspace, one Prefect server, the shared real data."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tasks.runtime.workspace import ENVIRONMENT_NAME, Workspace

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["DO_NOT_TRACK"] = "true"
# Its log sender outlives the server of the suite and complains after the last test.
os.environ["PREFECT_LOGGING_TO_API_ENABLED"] = "false"
settings.register_profile("starloom", deadline=None)  # a busy machine is no failure
settings.load_profile("starloom")
SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


ON_THE_SERVER = {"prefect_api", "flows_here"}
"""Fixtures whose tests need the Prefect server of the suite."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Share the tests out over processes by file; all that need the Prefect server go to one."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        group = "flows" if fixtures & ON_THE_SERVER else item.nodeid.partition("::")[0]
        item.add_marker(pytest.mark.xdist_group(group))


def pytest_collection_finish() -> None:
    """Leave what was imported out of later collections of garbage, each of which would go through it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    if not SHARED_DATA.is_dir():
        pytest.skip("the real data (../shared/data beside the checkout) is absent")
    return SHARED_DATA


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv(ENVIRONMENT_NAME, str(tmp_path / "workspace"))
    return Workspace.current()


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the one Prefect server of the whole run."""
    from tasks.server.prefect_server import prefect_server, stop_services

    home = Workspace(tmp_path_factory.mktemp("prefect"))
    yield prefect_server(home)
    stop_services(home)
