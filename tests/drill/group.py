"""The servers of a group to which a trial's runs, models and flow runs go, and which a fault kills."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tasks.server.group_server import PREFECT_VARIABLE
from tasks.tracking.tracking_store import MLFLOW_VARIABLE
from tests.object_servers import environment
from tests.postgres import group_servers, postgres_server
from tests.server_process import Server


@dataclass(frozen=True)
class Group:
    """The processes that a fault kills: PostgreSQL, which Prefect and MLflow use, and MLflow's server."""

    postgres: Server
    mlflow: Server


@contextmanager
def group_of(folder: Path) -> Iterator[Group]:
    """Run a group's servers; the variables of this process lead every workspace to them meanwhile."""
    with (
        postgres_server() as postgres,
        group_servers(postgres, folder) as servers,
        environment({PREFECT_VARIABLE: servers.prefect, MLFLOW_VARIABLE: servers.mlflow}),
    ):
        yield Group(postgres.server, servers.tracking)
