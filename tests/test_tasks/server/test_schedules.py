"""What `starloom up` does with the deployments of its server."""

import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from prefect import flow, get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import FlowRunFilter
from prefect.states import Scheduled

from tasks.server.schedules import cancel_missed_runs, send_deployments

pytestmark = pytest.mark.usefixtures("prefect_api")


@flow(name="scheduled")
def scheduled() -> None: ...


def deploy(client: SyncPrefectClient, name: str, *tags: str) -> UUID:
    return client.create_deployment(
        flow_id=client.create_flow(scheduled), name=name, entrypoint="a:b", tags=list(tags), work_pool_name=None
    )


def miss_run(client: SyncPrefectClient, deployment: UUID, hours_ago: float) -> str:
    """Create a run as the server's scheduler does, whose time is past."""
    at = datetime.now(UTC) - timedelta(hours=hours_ago)
    run = client.create_flow_run_from_deployment(deployment, state=Scheduled(scheduled_time=at))
    # Only the scheduler says so, and it creates runs to come alone.
    with closing(sqlite3.connect(Path(os.environ["PREFECT_HOME"], "prefect.db"), timeout=60)) as database, database:
        database.execute("UPDATE flow_run SET auto_scheduled = 1 WHERE id = ?", (str(run.id),))
    return run.name


def test_of_missed_runs_a_deployment_s_newest_of_the_last_day_stays() -> None:
    with get_client(sync_client=True) as client:
        daily, weekly = deploy(client, "daily"), deploy(client, "weekly")
        kept = [miss_run(client, daily, 2)]
        missed = [miss_run(client, daily, hours) for hours in (26, 50)] + [miss_run(client, weekly, 30)]
        by_hand = client.create_flow_run_from_deployment(weekly).name
        cancelled = cancel_missed_runs(client)
        assert sorted(cancelled) == sorted(missed)
        assert cancel_missed_runs(client) == []
        named = FlowRunFilter.model_validate({"name": {"any_": [*kept, by_hand, *missed]}})
        states = {run.name: run.state_name for run in client.read_flow_runs(flow_run_filter=named)}
    assert [states[name] for name in (*kept, by_hand)] == ["Scheduled", "Scheduled"]
    assert {states[name] for name in missed} == {"Cancelled"}


def test_deployments_are_sent_to_a_work_pool_by_their_tags() -> None:
    with get_client(sync_client=True) as client:
        deploy(client, "fits", "training", "galaxy")
        other = deploy(client, "scores", "scoring")
        client.create_work_pool(WorkPoolCreate(name="devices", type="process"))
        assert send_deployments({"training", "study"}, "devices") == ["fits"]
        pools = {one.name: one.work_pool_name for one in client.read_deployments()}
        assert (pools["fits"], pools["scores"]) == ("devices", None)
        client.delete_deployment(other)
