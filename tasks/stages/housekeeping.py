"""Housekeeping as a stage of a flow."""

import time
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.housekeeping.housekeep import housekeep
from tasks.housekeeping.request import HousekeepingRequest
from tasks.runtime.workspace import Workspace


@task(name="keep-house", description="Plan what may be forgotten, and remove it", cache_policy=NO_CACHE)
def keep_house(workspace: Workspace, request: HousekeepingRequest) -> dict[str, Any]:
    """Plan, remove unless `plan_only`, and return the summary."""
    return housekeep(workspace, request, time.time())
