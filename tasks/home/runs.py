"""Flow runs: what runs, what comes next, and how the last ones ended, from Prefect's server and the processes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from tasks.home.file_memory import Found
from tasks.home.status import RunGroup, RunStatus
from tasks.runtime.addresses import ServerAddress
from tasks.runtime.workspace import Workspace
from tasks.server.prefect_server import server_address

ANSWER_S = 2.0
"""Time within which the server has to answer."""
MOST_ANSWERED = 200
"""Runs that are asked for; of each flow Prefect has scheduled 100 at most."""


@dataclass(frozen=True)
class _Question:
    """Which runs of a group are asked for, at most how many, in which order, and the time that is told of them.

    Only the first of each flow in a state is told: of one that runs every minute, and of its only failure.
    """

    group: RunGroup
    states: tuple[str, ...]
    most: int
    order: str
    time: str
    each: bool = False
    """Whether every run is told, the flow's others too."""

    def told(self, runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the runs that are told, of those answered."""
        if self.each:
            return runs[: self.most]
        first: dict[tuple[str, str], dict[str, Any]] = {}
        for run in runs:
            first.setdefault((run["flow_id"], run["state_type"]), run)
        return list(first.values())[: self.most]


QUESTIONS = (
    _Question("running", ("RUNNING", "PENDING", "CANCELLING", "PAUSED"), 20, "START_TIME_DESC", "start_time", True),
    _Question("scheduled", ("SCHEDULED",), 4, "NEXT_SCHEDULED_START_TIME_ASC", "expected_start_time"),
    _Question("ended", ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"), 6, "END_TIME_DESC", "end_time"),
)


def read_runs(workspace: Workspace, processes: Sequence[Mapping[str, Any]]) -> Found[RunStatus]:
    """Return the flow runs that were started by a person or a schedule, not their parts.

    Parameters
    ----------
    workspace : Workspace
    processes : sequence of mapping
        What `living_processes` tells.
    """
    local = {entry["flow_run"]: entry for entry in processes if "flow_run" in entry}
    server, rows, faults = server_address(workspace), [], []
    if server is not None:
        try:
            rows = _ask(server, local)
        except (httpx.HTTPError, ValueError, KeyError) as error:
            why = str(error) or type(error).__name__
            faults.append(f"the Prefect server {server.url} gave no answer within {ANSWER_S:g} s: {why}")
    told = {row.address.rpartition("/")[2] for row in rows if row.address}
    rows = [*(_from_process(entry) for name, entry in local.items() if name not in told), *rows]
    return rows, faults


def _ask(server: ServerAddress, local: Mapping[str, Mapping[str, Any]]) -> list[RunStatus]:
    login = None if server.user is None else httpx.BasicAuth(server.user, server.password or "")
    with httpx.Client(base_url=f"{server.url}/api", timeout=ANSWER_S, auth=login) as client:
        found = []
        for question in QUESTIONS:
            conditions = {"state": {"type": {"any_": question.states}}, "parent_task_run_id": {"is_null_": True}}
            body = {"flow_runs": conditions, "sort": question.order, "limit": MOST_ANSWERED}
            found += [(question, run) for run in question.told(_post(client, "/flow_runs/filter", body))]
        flows = {"flows": {"id": {"any_": sorted({run["flow_id"] for _, run in found})}}}
        names = {flow["id"]: flow["name"] for flow in _post(client, "/flows/filter", flows)} if found else {}
    return [
        RunStatus(
            flow=names.get(run["flow_id"], "unknown"),
            name=run["name"] if run["start_time"] else "",  # until it starts a run has a name by chance
            group=question.group,
            state=run["state_name"],
            at=_time(run[question.time] or run["expected_start_time"]),
            process=local.get(run["id"], {}).get("pid"),
            address=f"{server.url}/runs/flow-run/{run['id']}",
        )
        for question, run in found
    ]


def _post(client: httpx.Client, path: str, body: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = client.post(path, json=body).raise_for_status().json()
    return rows


def _from_process(entry: Mapping[str, Any]) -> RunStatus:
    """Return the run of a process that the server does not tell of."""
    return RunStatus(
        flow=entry["flow"],
        name=entry["flow_run"][:8],
        group="running",
        state="Running",
        at=None,
        process=entry["pid"],
        address=None,
    )


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
