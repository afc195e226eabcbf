"""The services with pages of their own, as the processes of the workspace announce them, and those of a group."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from tasks.home.status import ServiceName, ServiceState, ServiceStatus
from tasks.runtime.addresses import ServerAddress
from tasks.runtime.workspace import Workspace
from tasks.server.group_server import group_server, server_fault
from tasks.server.prefect_server import known_server
from tasks.server.process_guard import LABELLING, UP
from tasks.tracking.tracking_store import group_tracking, tracking_fault

ANSWER_S = 2.0
"""Time within which a group's server has to answer."""


def read_services(workspace: Workspace, processes: Sequence[Mapping[str, Any]]) -> list[ServiceStatus]:
    """Return the services, running or not.

    Parameters
    ----------
    workspace : Workspace
    processes : sequence of mapping
        What `living_processes` tells.
    """
    starting = any(entry["kind"] == UP for entry in processes)
    addresses: dict[str, str] = {}
    for entry in processes:
        if entry["kind"] == LABELLING and "url" in entry:
            addresses["label"] = entry["url"]
    for entry in processes:
        addresses |= entry.get("addresses", {})
    missing: ServiceState = "starting" if starting else "not running"
    rows: dict[ServiceName, ServiceStatus] = _of_group()
    if "prefect" not in rows and (server := known_server(workspace)) is not None:
        addresses["prefect"] = server["url"]
    for name in get_args(ServiceName):
        state: ServiceState = "running" if name in addresses else missing
        rows.setdefault(name, ServiceStatus(name=name, address=addresses.get(name), state=state))
    return [rows[name] for name in get_args(ServiceName)]


def _of_group() -> dict[ServiceName, ServiceStatus]:
    """Return the services that a group runs for this workspace and others."""
    found: dict[ServiceName, ServiceStatus] = {}
    prefect, tracking = group_server(), group_tracking()
    if prefect is not None:
        found["prefect"] = _asked("prefect", prefect, server_fault(prefect, ANSWER_S))
    if tracking is not None and tracking.is_web:
        found["mlflow"] = _asked("mlflow", tracking, tracking_fault(tracking, ANSWER_S))
    return found


def _asked(name: ServiceName, address: ServerAddress, fault: str | None) -> ServiceStatus:
    return ServiceStatus(name=name, address=address.url, state="running" if fault is None else "no answer")
