"""A run whose Prefect server is lost: it goes on, ends as it would have, and is recorded when a server is back."""

import asyncio
import json
import logging
import os
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect import flow, get_client, task

from tasks.runtime.run_artifacts import put_summary
from tasks.runtime.run_log import run_logger
from tasks.runtime.workspace import Workspace
from tasks.server.flow_runs import record_ends, run_here
from tasks.server.prefect_server import prefect_server, running_server
from tasks.server.server_link import ServerLink, lasting_link


@task(name="step")
def take_step(number: int) -> int:
    run_logger().info("step %d", number)
    return number + 1


@flow(name="part-of-lost")
def run_part(number: int) -> int:
    return take_step(number)


@flow(name="lost")
def lose_server(root: str) -> dict[str, Any]:
    """Kill the server of the workspace between two steps."""
    number = take_step(run_part(0))
    record = running_server(Workspace(Path(root)))
    assert record is not None
    os.kill(record["pid"], 9)
    for _ in range(20):
        number = take_step(number)
    summary = {"number": run_part(number)}
    put_summary(summary)
    return summary


def end_names(client: Any) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for flow_run in client.read_flow_runs():
        flow_name = client.read_flow(flow_run.flow_id).name
        names.setdefault(flow_name, []).append(flow_run.state_name)
    return names


def test_a_lost_server_costs_the_page_and_a_warning(
    home: Workspace,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PREFECT_LOGGING_TO_API_ENABLED", "true")
    prefect_server(home)
    begun = time.monotonic()
    with caplog.at_level(logging.WARNING):
        assert run_here(home, lose_server, {"root": str(home.root)}) == {"number": 23}
    assert time.monotonic() - begun < 30  # of which the loss is 10 at most; undisturbed it takes some seconds
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert "is lost: the run goes on" in warning
    captured = capfd.readouterr()
    assert "Traceback" not in captured.err
    assert "Error logging to API" not in captured.err

    prefect_server(home)
    with get_client(sync_client=True) as client:
        assert end_names(client) == {"lost": ["Running"], "part-of-lost": ["Completed"]}
        assert len(record_ends(client, home)) == 1
        assert record_ends(client, home) == []
        # The second part began after the loss: the server never heard of it.
        assert end_names(client) == {"lost": ["Completed"], "part-of-lost": ["Completed"]}


def request(method: str, path: str, body: Any = None) -> httpx.Request:
    return httpx.Request(method, f"http://127.0.0.1:9/api{path}", json=body)


def test_answers_in_place_of_a_lost_server_keep_the_last_state() -> None:
    link = ServerLink("http://127.0.0.1:9")
    assert not link.lost
    assert link.is_lost()
    known = httpx.Response(201, json={"id": "a-1", "name": "known", "state": {"type": "PENDING"}})
    link.remember(request("POST", "/flow_runs/", {}), known)
    assert link.answer(request("GET", "/flow_runs/a-1")).json()["name"] == "known"
    for kind in ("RUNNING", "COMPLETED"):
        answer = link.answer(request("POST", "/flow_runs/a-1/set_state", {"state": {"type": kind}})).json()
        assert (answer["status"], answer["state"]["type"]) == ("ACCEPT", kind)
    assert {run: state["type"] for run, state in link.ends.items()} == {"a-1": "COMPLETED"}
    assert link.answer(request("GET", "/flow_runs/a-1")).json()["state"]["type"] == "COMPLETED"
    assert json.loads(link.answer(request("POST", "/flow_runs/filter", {})).content) == []
    made = link.answer(request("POST", "/flow_runs/", {"flow_id": "f", "name": None})).json()
    assert link.answer(request("GET", f"/flow_runs/{made['id']}")).json()["flow_id"] == "f"


def test_clients_are_as_before_after_the_block() -> None:
    from prefect.client import orchestration

    before = orchestration.PrefectHttpxSyncClient, orchestration.PrefectHttpxAsyncClient
    senders = logging.getLogger("prefect.events.clients").filters[:]
    with lasting_link("http://127.0.0.1:9"):
        assert orchestration.PrefectHttpxSyncClient is not before[0]
    assert (orchestration.PrefectHttpxSyncClient, orchestration.PrefectHttpxAsyncClient) == before
    assert logging.getLogger("prefect.events.clients").filters == senders


def test_clients_of_two_event_loops_share_no_connection(home: Workspace) -> None:
    async def ask(client: Any) -> int:
        return (await client.hello()).status_code

    async def open_and_ask() -> int:
        async with get_client() as client:
            return await ask(client)

    prefect_server(home)
    record = running_server(home)
    assert record is not None
    with lasting_link(record["url"]), asyncio.Runner() as first:
        client = get_client()
        first.run(client.__aenter__())
        assert first.run(ask(client)) == 200  # its connection stays open
        assert asyncio.run(open_and_ask()) == 200
        assert first.run(ask(client)) == 200
        first.run(client.__aexit__(None, None, None))
