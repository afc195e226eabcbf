"""Stage of `score-visit`. TensorFlow and MLflow take long to import, so they are imported where they are used."""

from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.runtime.workspace import Workspace
from tasks.visits.request import VisitRequest


@task(name="score-visits", description="Find, score and group the detections of new visits", cache_policy=NO_CACHE)
def score_visits(workspace: Workspace, request: VisitRequest) -> dict[str, Any]:
    """Score what waits in the inbox and return the summary."""
    from tasks.visits.drain import drain

    return drain(workspace, request)
