"""Where MLflow keeps runs and models: the workspace's own SQLite file, or what a group runs.

A group's is an MLflow server, or the PostgreSQL database of one. Its artifacts are then where that server puts them, or
in the workspace that first used the database.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from tasks.runtime.addresses import ANSWER_S, WEB, ServerAddress, read_address, web_fault
from tasks.runtime.workspace import Workspace

MLFLOW_VARIABLE = "STARLOOM_MLFLOW_URI"
_DRIVER = "postgresql+psycopg"
_SCHEMES = WEB | {"postgresql", _DRIVER}
_EXAMPLE = f"http://mlflow.example.org:5000 or {_DRIVER}://user@db.example.org/mlflow"
_REMEDY = "start it there, or correct the address"


@dataclass(frozen=True)
class TrackingStore:
    """What MLflow's clients need to know.

    Attributes
    ----------
    uri : str
        MLflow's tracking URI, without a password.
    is_own : bool
        Whether it is the workspace's own database.
    is_web : bool
        Whether it is an MLflow server.
    credentials : dict of str to str
        Variables of the environment from which the clients take the password.
    """

    uri: str
    is_own: bool = True
    is_web: bool = False
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)


def tracking_store(workspace: Workspace, environment: Mapping[str, str] = os.environ) -> TrackingStore:
    """Return where the runs and models of a workspace are.

    Raises
    ------
    AddressError
        The variable of a group's MLflow has no such address.
    """
    address = group_tracking(environment)
    if address is None:
        return TrackingStore(workspace.mlflow_uri)
    if address.is_web:
        login = {"MLFLOW_TRACKING_USERNAME": address.user, "MLFLOW_TRACKING_PASSWORD": address.password}
    else:
        login = {"PGPASSWORD": address.password}
    credentials = {name: value for name, value in login.items() if value is not None}
    return TrackingStore(address.url, False, address.is_web, credentials)


def group_tracking(environment: Mapping[str, str] = os.environ) -> ServerAddress | None:
    """Return the address of a group's MLflow, one that names its driver; None where the variable is not set.

    Raises
    ------
    AddressError
        The variable has no such address.
    """
    address = read_address(MLFLOW_VARIABLE, environment, _SCHEMES, _EXAMPLE)
    if address is None or not address.url.startswith("postgresql://"):
        return address
    url = address.url.replace("postgresql", _DRIVER, 1)  # SQLAlchemy's default is a driver that is not installed
    return ServerAddress(address.variable, url, address.user, address.password)


def require_tracking_server(environment: Mapping[str, str] = os.environ) -> None:
    """Refuse a group's MLflow that does not answer; without one there is nothing to do.

    Raises
    ------
    AddressError
        The variable has no such address, or nothing answers there within `ANSWER_S`.
    """
    address = group_tracking(environment)
    fault = None if address is None else tracking_fault(address)
    if address is not None and fault is not None:
        raise address.unreachable(fault, _REMEDY)


def tracking_fault(address: ServerAddress, patience_s: float = ANSWER_S) -> str | None:
    """Return why a group's MLflow does not answer; None if it does."""
    if address.is_web:
        return web_fault(address.url, "/health", address.login, patience_s)
    try:
        import psycopg
    except ImportError:
        return "psycopg is not installed: pip install 'starloom[postgres]'"
    try:
        psycopg.connect(
            address.url.replace(_DRIVER, "postgresql", 1), password=address.password, connect_timeout=int(patience_s)
        ).close()
    except (psycopg.Error, ValueError) as error:
        return " ".join(str(error).split())
    return None
