"""Flow runs of deployments on a group's Prefect server."""

import time
from typing import Any

import httpx

PATIENCE_S = 600
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


def start_deployment(api: str, flow: str, name: str, **parameters: Any) -> str:
    """Start a flow run of a deployment; return its id."""
    deployment = httpx.get(f"{api}/deployments/name/{flow}/{name}", timeout=60).raise_for_status().json()
    path, body = f"/deployments/{deployment['id']}/create_flow_run", {"parameters": parameters}
    made = httpx.post(f"{api}{path}", json=body, timeout=60).raise_for_status()
    return str(made.json()["id"])


def wait_for_end(api: str, run: str) -> dict[str, Any]:
    """Return a flow run that has ended."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found = read_run(api, run)
        if found["state_type"] in ENDED:
            return found
        time.sleep(0.5)
    raise TimeoutError(f"the flow run {run} has not ended")


def read_run(api: str, run: str) -> dict[str, Any]:
    """Return a flow run as the server has it."""
    found: dict[str, Any] = httpx.get(f"{api}/flow_runs/{run}", timeout=60).raise_for_status().json()
    return found
