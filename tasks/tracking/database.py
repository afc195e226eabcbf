"""MLflow's database: without telemetry, and one in a workspace is found again after the workspace was moved.

MLflow takes about 5 s to import, so it is imported when it is first needed. Its database stores absolute artifact
addresses; `prepare` rewrites them if the workspace is elsewhere. Where `tasks.tracking.tracking_store` knows a group's
MLflow, that one is used and its addresses stay.
"""

import logging
import os
import sqlite3
from contextlib import closing
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, get_args

from filelock import FileLock

from tasks.runtime.addresses import AddressError
from tasks.runtime.workspace import Workspace
from tasks.store.schema import Problem
from tasks.tracking.tracking_store import MLFLOW_VARIABLE, require_tracking_server, tracking_store

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENTS = get_args(Problem)
"""Names of MLflow's experiments: one a problem."""

SERVER_SETTINGS = MappingProxyType(
    {
        "DO_NOT_TRACK": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_AI_GATEWAY": "false",
        "MLFLOW_ENABLE_REMOTE_ASSISTANT": "false",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
)
"""Environment of a process that serves MLflow's pages: no telemetry, no gateway to language models, no jobs."""

SERVER_WORDS = ("server", "--app-name", "starloom", "--workers", "1")
"""Words after ``mlflow`` that serve its pages; `tasks.tracking.mlflow_app` takes their assistant away."""

_ADDRESS_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
    ("model_versions", "source"),
)


def prepare(workspace: Workspace) -> None:
    """Create what MLflow lacks, the database or the experiments; correct addresses if the workspace was moved.

    Raises
    ------
    AddressError
        A group's MLflow does not answer, or is the database of a server that keeps the artifacts.
    """
    workspace.root.mkdir(parents=True, exist_ok=True)
    store = tracking_store(workspace)
    with lock(workspace):
        if store.is_own:
            correct_addresses(workspace)
        else:
            _require_once(store.uri)
        client = open_client(workspace)
        import_mlflow().set_tracking_uri(store.uri)
        for name in EXPERIMENTS:
            found = client.get_experiment_by_name(name)
            if found is not None and not store.is_web and found.artifact_location.startswith("mlflow-artifacts:"):
                raise AddressError(
                    f"{MLFLOW_VARIABLE}={store.uri} is the database of an MLflow server, which keeps the artifacts: "
                    "name the server's address, http://HOST:PORT"
                )
            if found is None:
                _create_experiment(client, name, None if store.is_web else f"{workspace.mlartifacts.as_uri()}/{name}")


def open_client(workspace: Workspace) -> "MlflowClient":
    """Return a client of the workspace's MLflow."""
    store = tracking_store(workspace)
    os.environ.update(store.credentials)
    return import_mlflow().MlflowClient(tracking_uri=store.uri)


@cache
def _require_once(uri: str) -> None:
    """Refuse a server that does not answer, at its first use in this process: MLflow itself tries for minutes."""
    require_tracking_server()


def _create_experiment(client: "MlflowClient", name: str, artifacts: str | None) -> None:
    """Create an experiment, unless another workspace that shares the server does so meanwhile."""
    try:
        client.create_experiment(name, artifact_location=artifacts)
    except import_mlflow().MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def lock(workspace: Workspace) -> FileLock:
    """Return the lock of the database; the thread that holds it may take it again."""
    return FileLock(workspace.root / "mlflow.lock", timeout=120, is_singleton=True)


def import_mlflow() -> Any:
    """Return the package ``mlflow``, silenced: it reads these settings while it is imported."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    # A minute, within which a server is started again, before each call gives up; MLflow's own 7 are four.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "5")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    logging.getLogger("alembic").setLevel(logging.WARNING)
    import mlflow
    from mlflow.utils.logging_utils import disable_logging

    disable_logging()  # registering a model prints two lines whatever the level is; failures are raised
    return mlflow


def correct_addresses(workspace: Workspace) -> None:
    """Point all artifact addresses of the database to the workspace's present place, in one transaction.

    It needs no MLflow, and does nothing where there is no database.
    """
    database = workspace.root / "mlflow.db"
    if not database.is_file():
        return
    present = workspace.mlartifacts.as_uri()
    with closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        for recorded in _recorded_roots(connection) - {present}:
            for table, column in _ADDRESS_COLUMNS:
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",
                    (present, len(recorded) + 1, len(recorded) + 1, f"{recorded}/"),
                )


def _recorded_roots(connection: sqlite3.Connection) -> set[str]:
    """Return the artifact roots of the experiments; none for a new database, which has no tables."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if "experiments" not in tables:
        return set()
    names = ", ".join("?" * len(EXPERIMENTS))
    rows = connection.execute(f"SELECT artifact_location FROM experiments WHERE name IN ({names})", EXPERIMENTS)
    return {address.rpartition("/")[0] for (address,) in rows}
