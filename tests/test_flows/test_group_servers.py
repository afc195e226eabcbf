"""A workspace on a group's servers: Prefect and MLflow on PostgreSQL, started and ended by somebody else."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tasks.runtime.addresses import AddressError
from tasks.runtime.workspace import Workspace
from tasks.server.group_server import PREFECT_VARIABLE
from tasks.server.slots import host
from tasks.tracking.alias_tables import aliased_versions
from tasks.tracking.mlflow_runs import open_run
from tasks.tracking.model_registry import CHAMPION, resolve_model
from tasks.tracking.tracking_store import MLFLOW_VARIABLE
from tests.group_runs import start_deployment, wait_for_end
from tests.postgres import PASSWORD, GroupServers, Postgres, group_servers, postgres_server

MORE_FLOWS = Path(__file__).with_name("more_flows")
STARLOOM = f"import flows; flows.__path__.append({str(MORE_FLOWS)!r}); from flows.cli.command import main; main()"
PATIENCE_S = 300
NOWHERE = "http://127.0.0.1:9/api"


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="module")
def group(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GroupServers]:
    with group_servers(postgres, tmp_path_factory.mktemp("group")) as servers:
        yield servers


def environment(workspace: Workspace, home: Path, prefect: str, mlflow: str) -> dict[str, str]:
    """A user's shell: addresses of the group's servers, and Prefect settings of the user's own that lead elsewhere."""
    (home / ".prefect").mkdir(parents=True)
    (home / ".prefect" / "profiles.toml").write_text(f'active = "own"\n[profiles.own]\nPREFECT_API_URL = "{NOWHERE}"\n')
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "STARLOOM_"))}
    return kept | {
        "HOME": str(home),
        "STARLOOM_WORKSPACE": str(workspace.root),
        PREFECT_VARIABLE: prefect,
        MLFLOW_VARIABLE: mlflow,
        "PREFECT_API_URL": NOWHERE,
        "PREFECT_PROFILE": "own",
        "PREFECT_PROFILES_PATH": str(home / ".prefect" / "profiles.toml"),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": "postgresql+asyncpg://nobody@127.0.0.1:9/nothing",
    }


def starloom(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", STARLOOM, *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


def ask(api: str, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = httpx.post(f"{api}{path}", json=body, timeout=60).raise_for_status().json()
    return rows


def test_workers_of_two_pools_share_the_groups_server_and_up_leaves_it_running(
    group: GroupServers, workspace: Workspace, tmp_path: Path
) -> None:
    project = write_project(tmp_path / "project")
    shell = environment(workspace, tmp_path / "home", group.prefect, group.mlflow) | {"CUDA_VISIBLE_DEVICES": "0"}
    words = [sys.executable, "-c", STARLOOM, "up"]
    with (
        (tmp_path / "errors").open("w") as errors,
        subprocess.Popen(words, env=shell, cwd=project, stdout=subprocess.PIPE, stderr=errors, text=True) as services,
    ):
        try:
            assert services.stdout is not None
            addresses = json.loads(services.stdout.readline() or "{}")
            assert addresses, (tmp_path / "errors").read_text()
            assert (f"{addresses['prefect']}/api", addresses["mlflow"]) == (group.prefect, group.mlflow)
            status = httpx.get(f"{addresses['home']}/status.json", timeout=60).json()
            rows = {row["name"]: (row["address"], row["state"]) for row in status["services"]["rows"]}
            assert rows["prefect"] == (addresses["prefect"], "running")
            assert rows["mlflow"] == (group.mlflow, "running")
            runs = [start_deployment(group.prefect, "pause", name) for name in ("on-local", "on-gpu")]
            # A command beside the workers, in a workspace at work: its server is shared anyhow.
            direct = starloom(shell, "run", "pause", "-p", "text=direct")
            assert json.loads(direct.stdout) == {"text": "direct", "number": 1}, direct.stderr
            ended = [wait_for_end(group.prefect, run) for run in runs]
        finally:
            services.send_signal(signal.SIGINT)
            assert services.wait(PATIENCE_S) == 130
    assert [(run["state_type"], run["work_pool_name"]) for run in ended] == [
        ("COMPLETED", "local"),
        ("COMPLETED", "gpu"),
    ]
    pools = {pool: ask(group.prefect, f"/work_pools/{pool}/workers/filter", {}) for pool in ("local", "gpu")}
    assert {name: [worker["name"] for worker in workers] for name, workers in pools.items()} == {
        "local": [f"starloom-{host()}-{services.pid}"],
        "gpu": [f"gpu-{host()}-0"],
    }
    (direct_run,) = ask(group.prefect, "/flow_runs/filter", {"flow_runs": {"deployment_id": {"is_null_": True}}})
    assert (direct_run["parameters"]["text"], direct_run["state_type"]) == ("direct", "COMPLETED")
    assert json.loads(starloom(shell, "down").stdout) == {"ended": []}
    assert httpx.get(f"{group.prefect}/health", timeout=60).is_success
    assert not list(workspace.prefect.glob("server.*"))
    assert not (workspace.root / "mlflow.db").exists()


def write_project(folder: Path) -> Path:
    """A project with a deployment of the flow `pause` for each of two work pools."""
    folder.mkdir()
    (folder / "pause.py").write_text((MORE_FLOWS / "pause.py").read_text())
    (folder / "pyproject.toml").write_text("[tool.prefect.plugins]\nenabled = true\n")
    (folder / "prefect.yaml").write_text(
        "name: two\ndeployments:\n"
        + "".join(
            f"  - name: on-{pool}\n    entrypoint: pause:pause\n    work_pool: {{name: {pool}}}\n"
            for pool in ("local", "gpu")
        )
    )
    return folder


def test_models_go_to_the_groups_mlflow_and_come_back_byte_for_byte(
    group: GroupServers, postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres.create("direct")
    one, other = Workspace(tmp_path / "one"), Workspace(tmp_path / "other")
    for number, address in enumerate((group.mlflow, postgres.url("direct"))):
        monkeypatch.setenv(MLFLOW_VARIABLE, address)
        name, saved = f"galaxy-shared-{number}", tmp_path / f"model-{number}"
        saved.mkdir()
        (saved / "model.keras").write_bytes(os.urandom(1000))
        (saved / "model.json").write_text("{}")
        with open_run(one, problem="galaxy", run_name="a fit", params={}, tags={}, dataset=None) as run:
            run.log_metrics({"test_accuracy": 0.75})
            run.log_model(Saved(), saved, name, np.zeros((1, 8, 8, 3), np.uint8))
        found = resolve_model(other, f"{name}@{CHAMPION}", None)
        assert (found.folder / "model.keras").read_bytes() == (saved / "model.keras").read_bytes()
        (listed,) = [each for each in aliased_versions(other) if each.name == name]
        assert (listed.version, listed.run_id, listed.test) == (1, run.id, {"accuracy": 0.75})
        assert listed.aliases == ("challenger", CHAMPION)
    assert not any((workspace.root / "mlflow.db").exists() for workspace in (one, other))
    monkeypatch.setenv(MLFLOW_VARIABLE, postgres.url("mlflow"))
    with pytest.raises(AddressError, match=r"is the database of an MLflow server, .* name the server's address"):
        resolve_model(other, f"galaxy-shared-0@{CHAMPION}", None)


def test_a_lost_mlflow_is_named_and_what_comes_after_its_return_is_recorded(
    group: GroupServers, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MLFLOW_VARIABLE, group.mlflow)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    def record(meanwhile: Callable[[], None]) -> None:
        with open_run(workspace, problem="galaxy", run_name="a fit", params={}, tags={}, dataset=None) as run:
            meanwhile()
            run.log_metrics({"test_accuracy": 0.75})

    with pytest.raises(AddressError, match=f"no answer from {MLFLOW_VARIABLE}={group.mlflow}"):
        record(group.tracking.kill)
    group.tracking.start()
    record(lambda: None)


class Saved:
    """What the registry asks of a Keras model."""

    output_shape = (None, 2)


def test_what_is_shown_of_a_database_never_has_its_password(
    postgres: Postgres, workspace: Workspace, tmp_path: Path
) -> None:
    prefect = NOWHERE.replace("//", f"//group:{PASSWORD}@")
    shell = environment(workspace, tmp_path / "home", prefect, postgres.url("absent"))
    run, examined, told = (starloom(shell, *words) for words in (["run", "pause"], ["doctor"], ["status", "--json"]))
    assert run.returncode == 1
    last = run.stderr.splitlines()[-1]
    assert last.startswith(
        f"error: no answer from {MLFLOW_VARIABLE}=postgresql+psycopg://group@127.0.0.1:{postgres.port}/"
    )
    assert 'database "absent" does not exist' in last
    assert examined.returncode == 1
    assert f"no answer from {PREFECT_VARIABLE}={NOWHERE.removesuffix('/api')}" in examined.stdout
    assert json.loads(told.stdout)["services"]["rows"][1]["state"] == "no answer"
    texts = [*(each.stdout + each.stderr for each in (run, examined, told))]
    texts += [path.read_text() for path in workspace.prefect.iterdir() if path.is_file()]
    assert not [text for text in texts if PASSWORD in text]
