"""Fixtures that the whole suite shares: a temporary workspace, one Prefect server, the shared real data."""

import gc
import logging
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tasks.runtime.logs import TerminalHandler
from tasks.runtime.workspace import ENVIRONMENT_NAME, Workspace

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import Scheduling

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["DO_NOT_TRACK"] = "true"
# Its log sender outlives the server of the suite and complains after the last test.
os.environ["PREFECT_LOGGING_TO_API_ENABLED"] = "false"
settings.register_profile("starloom", deadline=None)  # a busy machine is no failure
settings.load_profile("starloom")
SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Run one process more than there are cores: the process of the flows waits for servers half of its time."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: "Producer") -> "Scheduling":
    """Share the files out over processes; all that need the Prefect server go to one."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return process_of(nodeid.partition("::")[0])

    return ByFile(config, log)


@cache
def process_of(file: str) -> str:
    """Return what is the same for all test files that have to run in one process."""
    text = (Path(__file__).parents[1] / file).read_text(encoding="utf-8")
    return "flows" if "prefect_api" in text or "flows_here" in text else file


def pytest_collection_finish() -> None:
    """Leave what was imported out of later collections of garbage, each of which would go through it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def terminal() -> Iterator[None]:
    """Take the command's log handler away, so that a test that runs the command changes no later one."""
    yield
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, TerminalHandler)]:
        root.removeHandler(handler)


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
