"""The services with pages of their own, as the processes of the workspace announce them."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from tasks.home.status import ServiceName, ServiceState, ServiceStatus
from tasks.runtime.workspace import Workspace
from tasks.server.prefect_server import known_server
from tasks.server.process_guard import LABELLING, UP


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
    server = known_server(workspace)
    if server is not None:
        addresses["prefect"] = server["url"]
    missing: ServiceState = "starting" if starting else "not running"
    return [
        ServiceStatus(name=name, address=addresses.get(name), state="running" if name in addresses else missing)
        for name in get_args(ServiceName)
    ]
