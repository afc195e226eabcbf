"""The life of a workspace's Prefect server, with real servers."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from prefect import get_client

from tasks.runtime.addresses import AddressError
from tasks.runtime.workspace import Workspace
from tasks.server.group_server import PREFECT_VARIABLE
from tasks.server.prefect_server import (
    ServiceError,
    end_use,
    is_answering,
    prefect_server,
    running_server,
    stop_services,
)
from tasks.server.prefect_server_main import ALIVE_NAME, RECORD_NAME
from tasks.server.process_guard import is_locked

IDLE_S = 2.0
NOWHERE = "http://127.0.0.1:9/api"
ANOTHER = "import sys; from pathlib import Path; from tasks.runtime.workspace import Workspace; "
ANOTHER += "from tasks.server.prefect_server import prefect_server; print(prefect_server(Workspace(Path(sys.argv[1]))))"


@pytest.fixture
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of a user's own Prefect, each of which leads elsewhere."""
    profiles = tmp_path / "profiles.toml"
    profiles.write_text(f'active = "own"\n[profiles.own]\nPREFECT_API_URL = "{NOWHERE}"\n')
    monkeypatch.setenv("PREFECT_PROFILES_PATH", str(profiles))
    monkeypatch.setenv("PREFECT_PROFILE", "own")
    monkeypatch.setenv("PREFECT_API_URL", NOWHERE)
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", "postgresql+asyncpg://nobody@127.0.0.1:9/nothing")


def test_one_server_is_shared_replaced_when_killed_and_ends_when_idle(home: Workspace, own_settings: None) -> None:
    # What a killed server of a copied workspace leaves behind: a record with a living process and a dead port.
    home.prefect.mkdir(parents=True)
    (home.prefect / RECORD_NAME).write_text(json.dumps({"pid": os.getpid(), "url": "http://127.0.0.1:9"}))
    words = [sys.executable, "-c", ANOTHER, str(home.root)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as beside:
        address = prefect_server(home)
        assert beside.communicate(timeout=300)[0].strip() == address
    with get_client(sync_client=True) as client:
        assert str(client.api_url).startswith(address)
        assert client.read_flow_runs() == []
    assert (home.prefect / "prefect.db").exists()

    first = running_server(home)
    assert first is not None
    os.kill(first["pid"], 9)
    second_address = prefect_server(home, idle_s=IDLE_S)
    second = running_server(home)
    assert second is not None
    assert second["pid"] != first["pid"]
    assert second_address == f"{second['url']}/api"

    time.sleep(2 * IDLE_S)
    assert is_answering(second["url"], "/api/health")
    end_use(home)
    deadline = time.monotonic() + 30
    while is_locked(home.prefect / ALIVE_NAME) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert running_server(home) is None
    assert not (home.prefect / RECORD_NAME).exists()
    assert stop_services(home) == []


def test_a_groups_server_is_used_and_one_that_does_not_answer_is_refused(
    prefect_api: str, home: Workspace, own_settings: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PREFECT_VARIABLE, prefect_api)
    assert prefect_server(home) == prefect_api
    assert os.environ["PREFECT_API_URL"] == prefect_api
    assert list(home.prefect.iterdir()) == []
    assert stop_services(home) == []
    monkeypatch.setenv(PREFECT_VARIABLE, "http://me:secret@127.0.0.1:9/api")
    with pytest.raises(AddressError, match=rf"{PREFECT_VARIABLE}=http://127\.0\.0\.1:9 .*refused.*unset") as refusal:
        prefect_server(home)
    assert "secret" not in str(refusal.value)
    monkeypatch.setenv(PREFECT_VARIABLE, "http://127.0.0.1:9")
    with pytest.raises(AddressError, match="does not end in /api"):
        prefect_server(home)


def test_a_server_that_cannot_start_is_an_error_with_its_log(home: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with pytest.raises(ServiceError, match=r"server\.log"):
        prefect_server(home)
    assert not is_locked(home.prefect / ALIVE_NAME)
