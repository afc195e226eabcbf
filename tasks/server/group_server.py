"""A group's Prefect server: one that somebody else starts and ends, for the workspaces whose variable names it."""

import os
from collections.abc import Mapping

from tasks.runtime.addresses import ANSWER_S, WEB, AddressError, ServerAddress, read_address, web_fault

PREFECT_VARIABLE = "STARLOOM_PREFECT_API_URL"
_EXAMPLE = "http://prefect.example.org:4200/api"
_API = "/api"


def group_server(environment: Mapping[str, str] = os.environ) -> ServerAddress | None:
    """Return the address of the group's Prefect server without its ``/api``; None where the variable is not set.

    Raises
    ------
    AddressError
        The variable has no address of a Prefect API.
    """
    address = read_address(PREFECT_VARIABLE, environment, WEB, _EXAMPLE)
    if address is None:
        return None
    if not address.url.endswith(_API):
        raise AddressError(f"{PREFECT_VARIABLE}={address.url} does not end in {_API}, expected one like {_EXAMPLE}")
    return ServerAddress(address.variable, address.url.removesuffix(_API), address.user, address.password)


def require_group_server(environment: Mapping[str, str] = os.environ) -> ServerAddress | None:
    """Return the address of the group's Prefect server, which answers; None where there is none.

    Raises
    ------
    AddressError
        The variable has no address, or no Prefect server answers there within `ANSWER_S`.
    """
    address = group_server(environment)
    fault = None if address is None else server_fault(address)
    if address is not None and fault is not None:
        raise address.unreachable(fault, "start it there with `prefect server start`")
    return address


def server_fault(address: ServerAddress, patience_s: float = ANSWER_S) -> str | None:
    """Return why the server does not answer; None if it does."""
    return web_fault(address.url, f"{_API}/health", address.login, patience_s)
