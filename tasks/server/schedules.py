"""The deployments of a server: their schedules, the runs that they missed, and the work pool that they go to."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

_AT_ONCE = 200


@dataclass(frozen=True)
class Schedule:
    """A schedule of a deployment, with the id by which Prefect's commands know it."""

    deployment: str
    id: str
    cron: str
    timezone: str
    active: bool


def read_schedules() -> list[Schedule]:
    """Return the cron schedules of all deployments."""
    from prefect import get_client
    from prefect.client.schemas.schedules import CronSchedule

    with get_client(sync_client=True) as client:
        return [
            Schedule(
                deployment.name, str(entry.id), entry.schedule.cron, entry.schedule.timezone or "UTC", entry.active
            )
            for deployment in client.read_deployments(limit=_AT_ONCE)
            for entry in deployment.schedules
            if isinstance(entry.schedule, CronSchedule)
        ]


def cancel_missed_runs(client: "SyncPrefectClient") -> list[str]:
    """Cancel the scheduled runs whose time passed while no worker ran, but a deployment's newest of the last day.

    Without this a workspace that was down for a month would begin with thirty daily and four weekly runs at once.
    Returns the names of the cancelled runs.
    """
    from prefect.client.schemas.filters import FlowRunFilter
    from prefect.client.schemas.objects import State
    from prefect.states import Cancelled

    now = datetime.now(UTC)
    waiting = FlowRunFilter.model_validate(
        {
            "state": {"type": {"any_": ["SCHEDULED"]}},
            "expected_start_time": {"before_": now.isoformat()},
        }
    )
    missed: dict[str, list[FlowRun]] = defaultdict(list)
    offset = 0
    while page := client.read_flow_runs(flow_run_filter=waiting, limit=_AT_ONCE, offset=offset):
        for run in page:
            if run.auto_scheduled and run.deployment_id is not None:
                missed[str(run.deployment_id)].append(run)
        offset += len(page)
    cancelled = []
    for runs in missed.values():
        *earlier, newest = sorted(runs, key=_expected)
        for run in earlier if _expected(newest) > now - timedelta(days=1) else runs:
            state: State[None] = Cancelled(message="No worker ran at its time.")
            client.set_flow_run_state(run.id, state, force=True)
            cancelled.append(run.name)
    return cancelled


def send_deployments(tags: Collection[str], pool: str) -> list[str]:
    """Send the runs of the deployments with one of these tags to a work pool; return the deployments' names."""
    from prefect import get_client
    from prefect.client.schemas.actions import DeploymentUpdate

    sent = []
    with get_client(sync_client=True) as client:
        for deployment in client.read_deployments(limit=_AT_ONCE):
            if set(deployment.tags) & set(tags):
                client.update_deployment(deployment.id, DeploymentUpdate(work_pool_name=pool))
                sent.append(deployment.name)
    return sent


def _expected(run: "FlowRun") -> datetime:
    return run.expected_start_time or datetime.max.replace(tzinfo=UTC)
