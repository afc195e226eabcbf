"""Stage of `make-night`."""

from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.night import simulated
from tasks.night.simulated import NightToMake
from tasks.runtime.workspace import Workspace


@task(name="make-night", description="Draw candidates from a simulated survey", cache_policy=NO_CACHE)
def make_night(workspace: Workspace, request: NightToMake) -> dict[str, Any]:
    """Draw a night and return its path and counts."""
    return simulated.make_night(workspace, request)
